"""The data with which the watchdog cancels a cluster's jobs and `dask hpc jobs` finds them."""

import os
from typing import Any

from ..batch import BatchSystem, custom_commands
from ..watchdog import registry


def cancel_command(batch: BatchSystem, job: Any) -> list[str]:
    """Return the words of a job's cancel command, with options that say where the job is.

    Parameters
    ----------
    batch : BatchSystem
    job : dask_jobqueue.core.Job
        Any job of the cluster.
    """
    own = custom_commands.split_command(job.cancel_command)
    if not custom_commands.is_known(batch, own):
        return own
    submit = custom_commands.split_command(job.submit_command)
    return [*own, *batch.where(submit, job.job_extra_directives, os.environ)]


def _other_names(batch: BatchSystem, job: Any) -> list[str]:
    directives = job.job_extra_directives
    words = directives if isinstance(directives, (list, tuple)) else []
    return batch.own_names([*custom_commands.split_command(job.submit_command), *words], os.environ)


def describe(
    batch: BatchSystem, job: Any, cluster: str, name: str, logs: list[str]
) -> dict[str, Any]:
    """Return the data that a cluster's watchdog is started with (see `watchdog.process`).

    Parameters
    ----------
    batch : BatchSystem
    job : dask_jobqueue.core.Job
        Any job of the cluster.
    cluster : str
        The name of the cluster's class.
    name : str
        The cluster's name.
    logs : list of str
        The jobs' output files, as patterns of `output_files`.
    """
    own = cancel_command(batch, job)
    known = registry.new(
        batch=batch.name,
        cancel=own,
        cluster=cluster,
        name=name,
        job_name=job.job_name,
        other_names=_other_names(batch, job),
        logs=logs,
    )
    return known | {
        "cancel": custom_commands.cancel_commands(batch, [""], own)[0][:-1],
        "one_by_one": not custom_commands.is_known(batch, own),
        "environment": batch.reading(os.environ),
        "over": list(batch.gone_messages),
        "pattern": job.job_id_regexp,
    }

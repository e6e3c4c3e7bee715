"""Resolve a cluster's arguments, and warn of what in them and in the configuration is doubtful."""

from dataclasses import dataclass
from typing import Any

from ..batch import BatchSystem
from ..config import argument_names, resolve, validators, warnings
from ..config.profiles import Settings
from ..config.worker_start import add_worker_start


@dataclass(frozen=True)
class JobSettings:
    """What a cluster's arguments and the configuration say about each of its jobs.

    Attributes
    ----------
    arguments : dict
        Those of dask-jobqueue's class.
    section : Settings
        The keys of the cluster's section of ``jobqueue.yaml``.
    memory_limit : str or None
        A worker's, if it is not to be the default.
    walltime : float or None
        Seconds asked for; None without a walltime, or if it can't be read.
    death_timeout : float or None
        Seconds after which a worker that finds no scheduler gives up.
    """

    arguments: dict[str, Any]
    section: Settings
    memory_limit: str | None
    walltime: float | None
    death_timeout: float | None


def resolve_job_settings(
    batch: BatchSystem, cluster_class: type, job_cls: type | None, kwargs: dict[str, Any]
) -> JobSettings:
    """Return what the arguments of a cluster of this class come to.

    Raises
    ------
    ConfigError
        An argument or the configuration says something impossible.
    """
    files = warnings.source_files()
    sections = {name for name in (batch.section, kwargs.get("config_name")) if name}
    warnings.warn_about_keys(files, sections)
    kwargs = argument_names.normalize_names(batch, cluster_class, job_cls, kwargs)
    given = [name for name, value in kwargs.items() if value is not None]
    kwargs = add_worker_start(resolve.resolve_arguments(batch, kwargs))
    section = kwargs.pop("settings")
    warnings.warn_about_values(files, sections, given)
    _warn_about_cores(cluster_class, given, kwargs["cores"], kwargs["processes"])

    def setting(key: str) -> Any:
        value = kwargs.get(key.replace("-", "_"))
        return section.get(key) if value is None else value

    return JobSettings(
        section=section,
        memory_limit=kwargs.pop("memory_limit", None),
        walltime=_seconds(batch, setting(batch.walltime_key) if batch.walltime_key else None),
        death_timeout=setting("death-timeout"),
        arguments=kwargs,
    )


def _warn_about_cores(cluster_class: type, given: list[str], cores: int, processes: int) -> None:
    line = validators.check_core_split(cores, processes)
    if line and {"cores", "processes"} & set(given):
        name = f"{cluster_class.__name__}(cores={cores}, processes={processes})"
        warnings.warn(f"{name}: processes {line}")


def _seconds(batch: BatchSystem, walltime: Any) -> float | None:
    try:
        return None if walltime is None else batch.parse_walltime(str(walltime))
    except ValueError:
        return None

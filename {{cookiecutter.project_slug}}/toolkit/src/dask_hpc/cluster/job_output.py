"""Where the jobs of a cluster print to."""

import os
import shlex
from collections.abc import Callable
from typing import Any

from ..batch import BatchSystem, output_files


class ClusterJobOutput:
    """Implements `resilience.interface.JobOutput` for dask-jobqueue's jobs.

    Parameters
    ----------
    batch : BatchSystem
    any_job : callable
        Returns one of the cluster's jobs.
    """

    def __init__(self, batch: BatchSystem, any_job: Callable[[], Any]):
        self._batch = batch
        self._any_job = any_job
        self._folder = os.getcwd()  # noqa: PTH109 - a str; jobs are submitted from here

    @property
    def patterns(self) -> list[str]:
        """The files, as patterns of `output_files`; those of errors last."""
        job = self._any_job()
        header = getattr(job, "job_header_dict", None) or job.job_header or ""
        return output_files.output_patterns(self._batch, header, job.job_name, self._folder)

    @property
    def python(self) -> str:
        """The workers' Python, if the shell on the node knows it by the same name; else empty."""
        words = shlex.split(self._any_job().worker_command)
        return words[0] if words and "$" not in words[0] else ""

    @property
    def shebang(self) -> str:
        """The first line of the job script; empty if it has none."""
        return getattr(self._any_job(), "shebang", None) or ""

    def files(self, job_id: str) -> list[str]:
        """Return the files that a job prints to; that of errors last."""
        return [file for each in self.patterns for file in output_files.find_files(each, job_id)]

    def hint(self) -> str:
        """Return a sentence about where the jobs' output is; empty if there is none."""
        files = [output_files.show_pattern(pattern, "*") for pattern in self.patterns]
        folders = {os.path.dirname(file) for file in files}  # noqa: PTH120
        return f" Their output is in {' and '.join(sorted(folders))}." if folders else ""

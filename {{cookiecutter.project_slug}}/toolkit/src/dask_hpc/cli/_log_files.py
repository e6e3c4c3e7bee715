"""The output files of a user's jobs, also of those whose clusters have closed."""

import fnmatch
import glob
import os
import re
import time
from pathlib import Path

from ..batch import output_files
from ..watchdog import registry

RECENT_S = 86400.0
MAX_RECENT = 50


def places() -> list[str]:
    """Return patterns of the files where logs may be, most likely first."""
    import dask.config

    from ..config import options, paths

    found: list[str] = []
    for entry in reversed(registry.entries()):
        found += entry.logs
    found += registry.past_logs()
    batch = options.batch_system()
    if batch.section:
        settings = dask.config.get(f"jobqueue.{batch.section}", None) or {}
        directory = settings.get(batch.log_key) if batch.log_key else None
        if directory:
            folder = glob.escape(str(Path(paths.expanded(str(directory))).absolute()))
            names = (form.format(name="*", job=output_files.JOB) for form in batch.log_names)
            found += [f"{folder}/{name}" for name in names]
        directives = settings.get("job-extra-directives") or []
        if isinstance(directives, list):
            header = "\n".join(f"{batch.directive} {line}" for line in directives)
            if not directory or output_files.has_own_output(batch, header):
                found += output_files.output_patterns(batch, header, settings.get("name"))
    return list(dict.fromkeys(found))


def recent_jobs() -> list[str]:
    """Return the ids of jobs that have written to their logs lately, the last ones first."""
    since = time.time() - RECENT_S
    found: dict[str, float] = {}
    for form in places():
        # Neither glob nor fnmatch gives letters another meaning.
        pattern = fnmatch.translate(form.replace(output_files.JOB, "THEJOB"))
        name = re.compile(pattern.replace("THEJOB", r"(\d+)"))
        for file in output_files.find_files(form, None):
            try:
                written = os.path.getmtime(file)  # noqa: PTH204 - a str
            except OSError:
                continue
            if written > since and (match := name.fullmatch(file)) and match.groups():
                found[match[1]] = max(written, found.get(match[1], 0.0))
    return sorted(found, key=found.__getitem__, reverse=True)[:MAX_RECENT]

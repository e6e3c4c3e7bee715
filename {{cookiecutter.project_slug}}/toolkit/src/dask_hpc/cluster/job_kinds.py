"""Group the jobs of a cluster by the arguments that they were submitted with."""

import copy
from typing import Any

from ..resilience.tracked_job import JobKind


class JobKinds:
    """The kinds of jobs that a cluster has had, and the kind of each wanted job."""

    def __init__(self) -> None:
        self._kinds: list[JobKind] = []
        self._by_name: dict[str, JobKind] = {}  # by names in worker_spec

    def of_job(self, name: str) -> JobKind | None:
        return self._by_name.get(name)

    def of_spec(self, spec: dict[str, Any]) -> JobKind:
        """Return the kind of jobs submitted with this entry of ``worker_spec``."""
        # Copy it: users modify new_spec between calls of scale.
        spec = {**spec, "options": _copied(spec.get("options", {}))}
        for kind in self._kinds:
            if kind.spec == spec:
                return kind
        planned = spec["options"].get("processes") or len(spec.get("group", [""]))
        self._kinds.append(kind := JobKind(spec, planned))
        return kind

    def add_job(self, name: str, kind: JobKind) -> None:
        self._by_name[name] = kind

    def forget(self, name: str) -> None:
        self._by_name.pop(name, None)


def _copied(options: dict[str, Any]) -> dict[str, Any]:
    return {
        key: copy.copy(value) if isinstance(value, (list, dict)) else value
        for key, value in options.items()
    }

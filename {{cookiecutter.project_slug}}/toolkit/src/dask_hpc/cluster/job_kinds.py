"""Know the jobs of a cluster by the arguments that they were submitted with."""

import copy
from typing import Any

from ..resilience.tracking import JobKind


class JobKinds:
    """All kinds of jobs that a cluster has had, and the kind of each job."""

    def __init__(self) -> None:
        self._kinds: list[JobKind] = []
        self._by_name: dict[str, JobKind] = {}  # by names in worker_spec

    def of_job(self, name: Any) -> JobKind | None:
        return self._by_name.get(str(name))

    def of_spec(self, spec: dict[str, Any]) -> JobKind:
        """Return the kind of jobs that are submitted with this entry in ``worker_spec``."""
        # A copy: users change parts of new_spec between two calls of scale.
        spec = {**spec, "options": _copied(spec.get("options", {}))}
        for kind in self._kinds:
            if kind.spec == spec:
                return kind
        planned = spec["options"].get("processes") or len(spec.get("group", [""]))
        self._kinds.append(kind := JobKind(spec, planned))
        return kind

    def add_job(self, name: Any, kind: JobKind) -> None:
        self._by_name[str(name)] = kind


def _copied(options: dict[str, Any]) -> dict[str, Any]:
    return {
        key: copy.copy(value) if isinstance(value, (list, dict)) else value
        for key, value in options.items()
    }

"""No batch system: workers run on the computer where Python runs."""

from .base import BatchSystem


class NoBatchSystem(BatchSystem):
    """Workers run here."""

    name = "none"
    label = "no batch system"
    queue_key = None
    walltime_key = None


NONE = NoBatchSystem()

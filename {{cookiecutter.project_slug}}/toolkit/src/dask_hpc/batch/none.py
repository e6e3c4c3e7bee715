"""No batch system: workers run on the computer where Python runs."""

from .base import BatchSystem


class NoBatchSystem(BatchSystem):
    """Workers run here."""

    name = "none"
    label = "no batch system"


NONE = NoBatchSystem()

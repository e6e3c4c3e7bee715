"""No batch system: workers run on the computer where Python runs."""

from .base import BatchSystem

NONE = BatchSystem(name="none", label="no batch system")

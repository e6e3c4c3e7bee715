"""No batch system: workers run on the computer where Python runs."""

from .base import Scheduler

NONE = Scheduler(name="none", label="no batch system")

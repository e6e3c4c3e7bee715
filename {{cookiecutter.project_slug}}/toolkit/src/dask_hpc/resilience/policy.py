"""Base class of the policies of this package."""

from dataclasses import dataclass

from .._asyncio import BackgroundTasks, Clock
from .._output.messages import Messages
from .interface import JobPool
from .tracking import JobTracker


@dataclass(eq=False)
class Policy:
    """Base class of the policies, which share the same jobs and clock.

    Parameters
    ----------
    pool : JobPool
    tracker : JobTracker
    clock : Clock
    messages : Messages
    tasks : BackgroundTasks
    """

    pool: JobPool
    tracker: JobTracker
    clock: Clock
    messages: Messages
    tasks: BackgroundTasks

"""What each policy of this package has to hand."""

from dataclasses import dataclass

from .._asyncio import BackgroundTasks, Clock
from .._output.messages import Messages
from .interface import JobPool
from .tracking import JobTracker


@dataclass(eq=False)
class Policy:
    """The base of the policies, all of which look at the same jobs by the same clock.

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

"""What the cluster classes on a batch system and inside one job have in common."""

from .._compat.jobqueue_import import JobQueueCluster
from .._compat.lazy_dashboard import DashboardOnDemand
from .._compat.stopped_loop import StoppedLoopMixin
from .._compat.tls_error_queue import IsolatedTLSMixin
from .credentials import JobCredentialsMixin
from .private_scratch import PrivateScratchMixin
from .self_closing import SelfClosingMixin
from .start_errors import StartErrorsMixin


class PrivateCluster(
    StartErrorsMixin,
    PrivateScratchMixin,
    SelfClosingMixin,
    StoppedLoopMixin,
    JobCredentialsMixin,
    IsolatedTLSMixin,
    DashboardOnDemand,
    JobQueueCluster,
):
    """dask-jobqueue's cluster, which only its owner can use, and which starts and ends clearly."""

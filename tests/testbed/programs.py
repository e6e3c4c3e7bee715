"""Programs that tests run on the login node."""

import textwrap


def script(code):
    """Return a program around `code`, which finds `cluster` and `client` made."""
    return textwrap.dedent(
        """\
        import os, socket, subprocess, time
        from dask.distributed import Client
        from dask_hpc import SLURMCluster, SubmitError, WorkerStartTimeoutError, get_cluster
        """
    ) + textwrap.dedent(code)

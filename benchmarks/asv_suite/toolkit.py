"""The import time of the toolkit."""


class Import:
    """Import the toolkit in a fresh interpreter; cluster classes are imported on first use."""

    version = "1"
    repeat = 5
    timeout = 300

    def timeraw_import(self):
        return "import dask_hpc"

    def timeraw_import_cluster(self):
        return "from dask_hpc import SLURMCluster"

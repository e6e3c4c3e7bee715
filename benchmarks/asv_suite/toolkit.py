"""What everyone who uses the toolkit waits for."""


class Import:
    """A fresh interpreter that imports the toolkit; the cluster classes come on first use."""

    repeat = 5
    timeout = 60

    def timeraw_import(self):
        return "import dask_hpc"

    def timeraw_import_cluster(self):
        return "from dask_hpc import SLURMCluster"

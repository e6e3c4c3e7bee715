"""The command ``dask hpc``."""

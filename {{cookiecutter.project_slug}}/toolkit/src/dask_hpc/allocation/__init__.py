"""Scheduler, workers, and program in one batch job: ``dask hpc run``."""

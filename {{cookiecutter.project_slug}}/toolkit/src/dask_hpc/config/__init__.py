"""The lab's configuration: files, keys, checks and what a cluster makes of them.

It is Dask's own configuration, in the project's folder ``config/``. ``jobqueue.yaml`` has, beside
dask-jobqueue's sections, one of ours::

    dask-hpc:
      batch-system: slurm   # or none: workers run on the computer where Python runs
"""

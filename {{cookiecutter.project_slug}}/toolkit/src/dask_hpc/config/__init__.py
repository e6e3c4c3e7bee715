"""The lab's configuration: files, keys, checks, and the settings that result from them.

This is Dask's own configuration, in the project's folder ``config/``. In addition to
dask-jobqueue's sections, ``jobqueue.yaml`` has one of ours::

    dask-hpc:
      batch-system: slurm   # or none: workers run on the computer where Python runs
"""

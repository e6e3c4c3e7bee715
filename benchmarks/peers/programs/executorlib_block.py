"""executorlib's block allocation: workers that stay, each an `srun` step of one allocation.

The program starts itself again in an allocation, which `SlurmJobExecutor` is for.
"""

import os
import sys

from common import BEGIN, SLOTS, allocation, cold_and_warm, report_versions, task


def main():
    from executorlib import SlurmJobExecutor

    # A step without a memory of its own takes all of the job's on its node, and the next one waits.
    options = {"cores": 1, "slurm_cmd_args": ["--exact", "--mem-per-cpu=200M"]}

    with SlurmJobExecutor(
        max_workers=SLOTS, block_allocation=True, resource_dict=options
    ) as executor:

        def run(items, seconds):
            futures = [executor.submit(task, item, seconds) for item in items]
            return [future.result() for future in futures]

        cold_and_warm(run)
    report_versions("executorlib")


if __name__ == "__main__":
    if "SLURM_JOB_ID" not in os.environ:
        os.environ["PEERS_BEGIN"] = str(BEGIN)
        os.execvp("salloc", ["salloc", *allocation(), sys.executable, *sys.argv])
    main()

"""One `srun`: a rank for each slot, which runs its static share of the tasks."""

import subprocess
import time

from common import (
    SECONDS,
    SHARE,
    SLOTS,
    TASKS,
    allocation,
    report,
    report_versions,
    results_folder,
    shell_traces,
)


def main():
    folder = results_folder()
    loop = SHARE.format(
        first="$SLURM_PROCID", tasks=TASKS, step=SLOTS, seconds=SECONDS, folder=folder
    )
    begin = time.time()
    subprocess.run(["srun", *allocation(), "bash", "-c", loop], check=True)
    report("cold", begin, shell_traces(folder))
    report_versions(Slurm=["srun", "--version"])


if __name__ == "__main__":
    main()

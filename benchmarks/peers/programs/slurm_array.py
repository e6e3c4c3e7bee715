"""A Slurm job array, and `sbatch --wait`: a static share of the tasks for each slot.

    python slurm_array.py [elements]

With `elements`, there is an element for each task, as many at a time as there are slots.
"""

import subprocess
import sys
import time

from common import (
    SECONDS,
    SHARE,
    SLOTS,
    TASKS,
    in_slots,
    report,
    report_versions,
    results_folder,
    shell_traces,
)


def main():
    is_single = sys.argv[1:] == ["elements"]
    number = TASKS if is_single else SLOTS
    folder = results_folder()
    loop = SHARE.format(
        first="$SLURM_ARRAY_TASK_ID", tasks=TASKS, step=number, seconds=SECONDS, folder=folder
    )
    begin = time.time()
    subprocess.run(
        [
            *("sbatch", "--wait", f"--array=0-{number - 1}%{SLOTS}", "--ntasks=1", "--mem=100M"),
            *("--time=5", "--output=/dev/null"),
        ],
        input=f"#!/bin/bash\n{loop}",
        text=True,
        check=True,
    )
    traces = shell_traces(folder)
    report("cold", begin, in_slots(traces) if is_single else traces)
    report_versions(Slurm=["sbatch", "--version"])


if __name__ == "__main__":
    main()

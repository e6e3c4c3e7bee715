"""GNU parallel: one `srun` starts one of them on each node, with its share of the tasks.

A single one for all nodes would be the bottleneck: it needs 3 to 10 ms for each task
(parallel_design(7)).
"""

import os
import subprocess
import time

from common import (
    NODES,
    SECONDS,
    SLOTS_PER_NODE,
    TASKS,
    allocation,
    report,
    report_versions,
    results_folder,
    shell_traces,
)

# {} is the item, and {%} the number of the slot.
ONE = (
    "begin=$EPOCHREALTIME; sleep {seconds}; "
    "echo {{}} $SLURMD_NODENAME {{%}} 0 $begin $EPOCHREALTIME "
    ">> {folder}/$SLURMD_NODENAME.{{%}}"
)


def main():
    folder = results_folder()
    one = ONE.format(seconds=SECONDS, folder=folder)
    inside = (
        f"seq $SLURM_PROCID {NODES} {TASKS - 1} | "
        f"parallel --will-cite --jobs {SLOTS_PER_NODE} '{one}'"
    )
    shape = allocation(NODES, 1, SLOTS_PER_NODE, "--mem=8G")
    settings = {"PARALLEL_HOME": str(folder.parent / ".parallel"), "PARALLEL_SHELL": "/bin/bash"}
    begin = time.time()
    subprocess.run(["srun", *shape, "bash", "-c", inside], check=True, env=os.environ | settings)
    report("cold", begin, shell_traces(folder))
    report_versions(parallel=["parallel", "--minversion", "0"])


if __name__ == "__main__":
    main()

"""What it costs to lose a node in the middle: the workload `failure` on the testbed, from outside.

    python benchmarks/lost_node.py [--times 3]

A user can't make a node fail, so `dask hpc bench run failure` measures that only with --lose-node,
the command that does it. Here, that command asks this script, which kills the node's container, as
a power failure would, and repairs it later. Each job has a node of its own, and one node is spare.
"""

import sys
import threading
import time
from pathlib import Path

from on_testbed import options, project

from hpc_testbed import Testbed

NODES = 5
OUT = "lost-node"
# Each job on a node of its own; Slurm itself must not submit a job again.
DIRECTIVES = "['--nodes=1', '--no-requeue', '--exclusive']"
# By then, Slurm has noticed, and the tasks are done.
REPAIR_AFTER_S = 60.0


class NodeKiller(threading.Thread):
    """Kills a node as often as the workload asks for it, and repairs it later.

    Parameters
    ----------
    testbed : Testbed
    folder : str
        On the testbed: what is asked for, and what is done.
    """

    def __init__(self, testbed: Testbed, folder: str):
        super().__init__(daemon=True)
        self._testbed = testbed
        self._folder = folder

    @property
    def command(self) -> str:
        """The workload's --lose-node."""
        ask, done = f"{self._folder}/lose", f"{self._folder}/lost"
        return f"echo {{node}} > {ask}; until rm {done} 2>/dev/null; do sleep 0.05; done"

    def run(self) -> None:
        """Wait for what is asked, until the process ends."""
        ask, done = f"{self._folder}/lose", f"{self._folder}/lost"
        while True:
            # A file can be there before the name is in it.
            wait = f"until [ -s {ask} ]; do sleep 0.1; done; cat {ask}; rm {ask}"
            node = self._testbed.run(wait, timeout=3600).stdout.strip()
            self._testbed.inject("kill-node", node=node)
            self._testbed.run(f"touch {done}")
            time.sleep(REPAIR_AFTER_S)
            self._testbed.repair()


def main() -> int:
    """Measure, copy the record here, and write the report; return the exit code."""
    from demo import BUILD, bench, shown

    parser = options(__doc__)
    parser.add_argument("--times", type=int, default=3)
    chosen = parser.parse_args()
    results = BUILD / OUT
    with project("lost-node", chosen.home, NODES) as lab:
        testbed = lab.testbed
        folder = f"{lab.home}/lose-node"
        testbed.run(f"rm -rf {folder} {lab.home}/{OUT}; mkdir {folder}")
        killer = NodeKiller(testbed, folder)
        killer.start()
        try:
            testbed.run(
                f"cd {lab.home} && .venv/bin/dask hpc bench run failure --repeats {chosen.times} "
                f"--out {OUT} --lose-node '{killer.command}'",
                show=True,
                timeout=3600,
                env={"DASK_JOBQUEUE__SLURM__JOB_EXTRA_DIRECTIVES": DIRECTIVES},
            )
        finally:
            testbed.get(f"{lab.home}/{OUT}", results)
            testbed.repair()
    bench("report", results)
    print(f"See {shown(Path(results, 'report.html'))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

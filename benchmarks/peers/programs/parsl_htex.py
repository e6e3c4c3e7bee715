"""Parsl's HighThroughputExecutor: a job (block) for each node, and a process for each slot."""

import os
import sys
from pathlib import Path

from common import INTERFACE, NODES, OUT, SLOTS_PER_NODE, cold_and_warm, report_versions, task

SCRIPTS = Path(sys.executable).parent


def main():
    os.environ["PATH"] = f"{SCRIPTS}:{os.environ['PATH']}"  # Parsl starts its interchange by name
    import parsl
    from parsl.addresses import address_by_interface
    from parsl.config import Config
    from parsl.executors import HighThroughputExecutor
    from parsl.launchers import SingleNodeLauncher
    from parsl.providers import SlurmProvider

    executor = HighThroughputExecutor(
        address=address_by_interface(INTERFACE),
        cores_per_worker=1,
        max_workers_per_node=SLOTS_PER_NODE,
        provider=SlurmProvider(
            partition="short",
            account="lab",
            nodes_per_block=1,
            cores_per_node=SLOTS_PER_NODE,
            mem_per_node=8,
            init_blocks=NODES,
            min_blocks=NODES,
            max_blocks=NODES,
            walltime="00:10:00",
            exclusive=False,
            launcher=SingleNodeLauncher(),
            worker_init=f"export PATH={SCRIPTS}:$PATH PYTHONPATH={Path.cwd()}",
        ),
    )
    config = Config(executors=[executor], strategy="none", run_dir=str(OUT.with_suffix(".runs")))
    with parsl.load(config):
        app = parsl.python_app(task)

        def run(items, seconds):
            return [future.result() for future in [app(item, seconds) for item in items]]

        cold_and_warm(run)
    report_versions("parsl")


if __name__ == "__main__":
    main()

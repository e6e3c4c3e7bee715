"""Ray on the nodes of one allocation, by `ray symmetric-run`.

Its head looks every 5 s whether the other nodes have come, and they look every 5 s for the head, so
a start takes 5 to 10 s before the first Python worker is started.
"""

import os
import sys
from pathlib import Path

from common import BEGIN, NODES, SLOTS_PER_NODE, allocation, cold_and_warm, report_versions, task

# The first node is the head, by the address that Slurm knows.
INSIDE = """
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
head=$(scontrol show node "$head" | sed -n 's/.*NodeAddr=\\([^ ]*\\).*/\\1/p')
srun --ntasks={nodes} ray symmetric-run --address "$head:6379" --min-nodes {nodes} \
  --num-cpus {slots} --object-store-memory 100000000 -- {python} {program} inside
"""
# Four nodes' agents start on two cores here, which may take longer than Ray waits by default.
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_agent_register_timeout_ms": "120000",
    "RAY_raylet_start_wait_time_s": "120",
}


def main():
    import ray

    ray.init(address="auto", log_to_driver=False)
    remote = ray.remote(num_cpus=1)(task)
    cold_and_warm(lambda items, seconds: ray.get([remote.remote(item, seconds) for item in items]))
    report_versions("ray")


if __name__ == "__main__":
    if sys.argv[1:] != ["inside"]:
        scripts = Path(sys.executable).parent
        os.environ |= {"PEERS_BEGIN": str(BEGIN), **SETTINGS}
        os.environ["PATH"] = f"{scripts}:{os.environ['PATH']}"  # Ray starts itself by name
        words = INSIDE.format(
            nodes=NODES,
            slots=SLOTS_PER_NODE,
            python=sys.executable,
            program=Path(__file__).resolve(),
        )
        shape = allocation(NODES, 1, SLOTS_PER_NODE, "--mem=12G")
        os.execvp("salloc", ["salloc", *shape, "bash", "-c", words])
    main()

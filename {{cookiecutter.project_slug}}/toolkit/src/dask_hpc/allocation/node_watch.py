"""End the job when its first node, which runs the program, has failed.

With ``--no-kill``, Slurm removes a failed node from the job and keeps the others until the
walltime, though nothing can use them without the program. Workers cannot tell: they end when their
connections break, and run on when the node only hangs. So a step of its own on the other nodes
asks Slurm.
"""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Sequence

POLL_S = 60

# The second node asks once a minute, the third every other minute, and so on: one of them is alive,
# and Slurm is not asked too often.
_SCRIPT = """\
unset ${{!SQUEUE_*}} ${{!SCANCEL_*}} SLURM_CLUSTERS
while sleep $(((SLURM_NODEID + 1) * {poll})); do
  nodes=$(squeue --all --noheader --states=RUNNING --jobs=$SLURM_JOB_ID --format=%N 2>&1)
  case $nodes in
    "" | *"Invalid job id"*) exit ;; # the job is over
    *error*) continue ;;             # Slurm's controller does not answer
  esac
  if ! scontrol show hostnames "$nodes" | grep -qxF {first}; then
    echo "{first}, which ran the program, has failed: ending this job." >> {log}
    scancel $SLURM_JOB_ID
  fi
done
"""


async def watch_first_node(nodes: Sequence[str], log: str | None) -> None:
    """Run the step until this is cancelled; return at once in a job with only one node.

    Parameters
    ----------
    nodes : sequence of str
        The job's nodes; the first one runs the program.
    log : str or None
        The file for the reason.
    """
    first, *others = nodes
    if not others:
        return
    script = _SCRIPT.format(poll=POLL_S, first=first, log=log or os.devnull)
    process = await asyncio.create_subprocess_exec(
        *("srun", "--overlap", "--no-kill", f"--nodes={len(others)}", f"--ntasks={len(others)}"),
        *(f"--nodelist={','.join(others)}", "--ntasks-per-node=1", "--cpus-per-task=1"),
        *("--job-name=watch", "--input=none", "--output=/dev/null", "bash", "-c", script),
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # only the program gets Ctrl-C
    )
    try:
        await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()

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

from .step import TERMINATE_S

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


class FirstNodeWatch:
    """The step that ends the job after its first node has failed.

    Parameters
    ----------
    nodes : sequence of str
        The job's nodes; the first one runs the program.
    log : str, optional
        The file for the reason.
    """

    def __init__(self, nodes: Sequence[str], log: str | None = None) -> None:
        self._first, *self._others = nodes
        self._log = log or os.devnull
        self._process: asyncio.subprocess.Process | None = None

    def command(self) -> list[str]:
        """Return the command that runs the step."""
        number = len(self._others)
        script = _SCRIPT.format(poll=POLL_S, first=self._first, log=self._log)
        return [
            *("srun", "--overlap", "--no-kill", f"--nodes={number}", f"--ntasks={number}"),
            *(f"--nodelist={','.join(self._others)}", "--ntasks-per-node=1", "--cpus-per-task=1"),
            *("--job-name=watch", "--input=none", "--output=/dev/null", "bash", "-c", script),
        ]

    async def start(self) -> None:
        """Start the step, unless the job has only one node."""
        if not self._others:
            return
        self._process = await asyncio.create_subprocess_exec(
            *self.command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # only the program gets Ctrl-C
        )

    async def stop(self) -> None:
        """End the step."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            process.terminate()
            await asyncio.wait_for(process.wait(), TERMINATE_S)

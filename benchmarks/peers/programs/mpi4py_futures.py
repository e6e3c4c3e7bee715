"""mpi4py.futures: a manager and a rank for each slot in one MPI job, started by MPICH's mpiexec.

Idle ranks look for work every millisecond by default; 120 of them keep two cores busy, so here they
wait 10 ms (MPI4PY_FUTURES_BACKOFF).
"""

import os
import sys
from pathlib import Path

from common import (
    BEGIN,
    NODES,
    SLOTS,
    SLOTS_PER_NODE,
    allocation,
    cold_and_warm,
    report_versions,
    task,
)

# In containers, there is neither InfiniBand, whatever the interface is called, nor
# process_vm_readv; a real site needs neither of the last two.
SETTINGS = {
    "MPI4PY_FUTURES_BACKOFF": "0.01",
    "UCX_TLS": "tcp,self",
    "MPIR_CVAR_CH4_CMA_ENABLE": "0",
}


def main():
    from mpi4py.futures import MPIPoolExecutor

    with MPIPoolExecutor() as pool:
        cold_and_warm(lambda items, seconds: list(pool.map(task, items, [seconds] * len(items))))
    report_versions("mpi4py", "mpich")


if __name__ == "__main__":
    if "SLURM_JOB_ID" not in os.environ:
        os.environ |= {"PEERS_BEGIN": str(BEGIN), **SETTINGS}
        mpiexec = str(Path(sys.executable).parent / "mpiexec")
        shape = allocation(SLOTS + NODES, SLOTS_PER_NODE + 1)  # the manager is on one of the nodes
        ranks = ["-n", str(SLOTS + 1)]
        program = [sys.executable, "-m", "mpi4py.futures", *sys.argv]
        os.execvp("salloc", ["salloc", *shape, mpiexec, *ranks, *program])
    main()

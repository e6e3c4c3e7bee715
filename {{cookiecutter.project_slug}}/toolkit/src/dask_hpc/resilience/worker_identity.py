"""Find out which job a worker belongs to, by its name, its nanny, or its own word."""

import logging
import os.path
import re
from collections.abc import Iterable
from typing import Any

from distributed import Scheduler
from distributed.core import Status, rpc
from distributed.protocol import pickle
from distributed.scheduler import WorkerState

logger = logging.getLogger(__name__)


def possible_names(worker: WorkerState) -> list[str]:
    """Return a worker's name, and the name without the number that tells a job's workers apart."""
    name = str(worker.name)
    return [name, re.sub(r"-\d+$", "", name)]


def id_number(text: str) -> str:
    """Return the number in an id, without the server or the array's task: ``12[3].server``."""
    match = re.match(r"\d+", text)
    return match[0] if match else ""


async def ask_for_job_ids(
    scheduler: Scheduler, address: str, variables: Iterable[str]
) -> list[str] | None:
    """Ask a worker, once it has started, which job it is in; return None if it can't be reached.

    The batch system tells each process of a job the job's id, in an environment variable.

    Parameters
    ----------
    scheduler : distributed.Scheduler
    address : str
        The worker's address.
    variables : iterable of str
        Names of such variables.

    Returns
    -------
    list of str or None
        The numbers of the ids.
    """
    text = " ".join(f"${name}" for name in variables)
    answer: dict[str, Any] = {}
    try:
        async with rpc(address, connection_args=scheduler.connection_args) as worker:
            # The function is there in any worker's Python; dask_hpc need not be.
            answer = await worker.run(
                function=pickle.dumps(os.path.expandvars), args=pickle.dumps((text,))
            )
    except OSError:
        return None
    except Exception:
        logger.info("Worker %s does not say which job is its own", address, exc_info=True)
    words = str(answer.get("result", "")).split()
    return [number for word in words if (number := id_number(word))]


def workers_named(scheduler: Scheduler | None, addresses: Iterable[str]) -> list[WorkerState]:
    """Return the workers at these addresses, as far as the scheduler has them."""
    if scheduler is None:
        return []
    return [scheduler.workers[a] for a in list(addresses) if a in scheduler.workers]


def count_running(scheduler: Scheduler | None, addresses: Iterable[str]) -> int:
    """Return how many workers at these addresses can be given tasks."""
    return sum(worker.status is Status.running for worker in workers_named(scheduler, addresses))

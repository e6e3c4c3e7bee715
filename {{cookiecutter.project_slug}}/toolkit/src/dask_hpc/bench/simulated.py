"""Simulated workers: many in one process, each of which speaks a worker's protocol to a scheduler.

A real `distributed.Scheduler` cannot tell them from real ones: each has a connection of its own,
registers, sends heartbeats, receives tasks one by one, and reports each result. What they do not
do: run a function (a task takes the time that was set), keep a result for others to fetch, or use
the memory and the processes of real ones. So thousands of them fit on one computer.
"""

import asyncio
import itertools
import multiprocessing
import os
import pickle
import time
from collections import deque
from multiprocessing.connection import Connection
from typing import Any

# How many are connecting at one time, in a process.
AT_ONCE = 20
# As on nodes of so many cores: each "computer" has an address of its own.
WORKERS_PER_HOST = 32
NOTHING = pickle.dumps(type(None))
NAME = "simulated"


class SimulatedWorker:
    """A worker with one thread.

    Parameters
    ----------
    number : int
        Its number among all simulated workers.
    seconds : float
        How long each task takes.
    """

    def __init__(self, number: int, seconds: float):
        host, port = divmod(number, WORKERS_PER_HOST)
        self.address = f"tcp://127.1.{host // 256}.{host % 256}:{1024 + port}"
        self.name = f"{NAME}-{number}"
        self._seconds = seconds
        self._waiting: deque[dict] = deque()
        self._running: dict | None = None
        self._stream: Any = None

    async def connect(self, scheduler: str, security: Any, versions: dict) -> asyncio.Task:
        """Connect and register; return a task that ends with the connection."""
        from distributed.batched import BatchedSend
        from distributed.core import connect
        from tornado.ioloop import IOLoop

        # Without deserialization: a real worker does it on a core of its own.
        arguments = security.get_connection_args("worker")
        comm = await connect(scheduler, deserialize=False, **arguments)
        await comm.write(registration(self.address, self.name, versions), serializers=["msgpack"])
        answer = await comm.read()
        if answer["status"] != "OK":
            raise ConnectionError(str(answer.get("message", answer)))
        self._stream = BatchedSend(interval="2ms", loop=IOLoop.current())
        self._stream.start(comm)
        return asyncio.create_task(self._listen(comm))

    async def _listen(self, comm: Any) -> None:
        from distributed.comm import CommClosedError

        try:
            while True:
                messages = await comm.read()
                for message in messages if isinstance(messages, list | tuple) else [messages]:
                    self.handle(message)
        except CommClosedError:
            return

    def handle(self, message: dict) -> None:
        """Act on a message of the scheduler as a worker does, if it matters here."""
        operation = message.get("op")
        if operation == "compute-task":
            self._waiting.append(message)
            self._run_next()
        elif operation == "steal-request":
            self._answer_steal_request(message)
        elif operation == "free-keys":
            freed = set(message["keys"])
            self._waiting = deque(task for task in self._waiting if task["key"] not in freed)

    def _answer_steal_request(self, message: dict) -> None:
        """Give up a task that waits; keep the one that runs."""
        key, state = message["key"], None
        if self._running is not None and self._running["key"] == key:
            state = "executing"
        elif any(task["key"] == key for task in self._waiting):
            self._waiting = deque(task for task in self._waiting if task["key"] != key)
            state = "ready"
        self._send("steal-response", key=key, state=state, stimulus_id=message["stimulus_id"])

    def _run_next(self) -> None:
        if self._running is None and self._waiting:
            self._running = self._waiting.popleft()
            loop = asyncio.get_running_loop()
            loop.call_later(self._seconds, self._finish, self._running, time.time())

    def _finish(self, task: dict, start: float) -> None:
        self._running = None
        self._send(
            "task-finished",
            key=task["key"],
            run_id=task["run_id"],
            stimulus_id=f"task-finished-{time.time()}",
            status="OK",
            nbytes=16,
            type=NOTHING,
            typename="NoneType",
            metadata={},
            thread=1,
            startstops=[{"action": "compute", "start": start, "stop": time.time()}],
        )
        self._run_next()

    def _send(self, operation: str, **values: Any) -> None:
        from distributed.comm import CommClosedError

        try:
            self._stream.send({"op": operation, **values})
        except CommClosedError:
            return  # the scheduler has gone


def registration(address: str, name: str, versions: dict) -> dict:
    """Return the message with which a worker of one thread registers."""
    return {
        "op": "register-worker",
        "reply": False,
        "address": address,
        "status": "running",
        "nthreads": 1,
        "name": name,
        "now": time.time(),
        "resources": {},
        "memory_limit": 2**30,
        "local_directory": "",
        "services": {},
        "nanny": None,
        "pid": os.getpid(),
        "versions": versions,
        "metrics": metrics(),
        "extra": {},
        "stimulus_id": f"worker-connect-{time.time()}",
        "server_id": name,
    }


def metrics() -> dict:
    """Return what a worker's heartbeat tells: as much as a real one's, but for its numbers."""
    return {
        "task_counts": {"executing": 1},
        "bandwidth": {"total": 1e8, "workers": {}, "types": {}},
        "digests_total_since_heartbeat": {"latency": 0.01, "tick-duration": 0.5},
        "managed_bytes": 0,
        "spilled_bytes": {"memory": 0, "disk": 0},
        "transfer": {
            f"{way}_{what}": 0
            for way in ("incoming", "outgoing")
            for what in ("bytes", "count", "count_total")
        },
        "event_loop_interval": 0.02,
        "cpu": 1.0,
        "memory": 2**25,
        "time": time.time(),
        "host_net_io": {"read_bps": 0.0, "write_bps": 0.0},
        "host_disk_io": {"read_bps": 0.0, "write_bps": 0.0},
        "num_fds": 20,
    }


class SimulatedProcess:
    """A process with simulated workers.

    Parameters
    ----------
    scheduler : str
        The scheduler's address.
    security : distributed.Security
    seconds : float
        How long each task takes.
    """

    def __init__(self, scheduler: str, security: Any, seconds: float):
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        arguments = (other, scheduler, security, seconds)
        self.process = context.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()
        other.close()

    def ask_for(self, numbers: range) -> None:
        """Add workers with these numbers; `answer` waits for them."""
        self._pipe.send(numbers)

    def answer(self, timeout: float) -> str:
        """Wait until they are connected; return what went wrong, or nothing.

        Raises
        ------
        TimeoutError
            They are not connected in time.
        """
        try:
            if self._pipe.poll(timeout):
                text: str = self._pipe.recv()
                return text
        except EOFError:
            return "the process with the simulated workers ended"
        raise TimeoutError

    def close(self) -> None:
        """End the process and its workers."""
        self.process.kill()
        self.process.join()
        self._pipe.close()


def _serve(pipe: Connection, scheduler: str, security: Any, seconds: float) -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    asyncio.run(_Group(pipe, scheduler, security, seconds).serve())


class _Group:
    """The workers of one process."""

    def __init__(self, pipe: Connection, scheduler: str, security: Any, seconds: float):
        import dask
        from distributed.versions import get_versions

        self._pipe = pipe
        self._scheduler = scheduler
        self._security = security
        self._seconds = seconds
        self._versions = get_versions()
        # A scheduler that is busy with thousands of others is slow to answer.
        dask.config.set({"distributed.comm.timeouts.connect": "300s"})
        self._workers: list[SimulatedWorker] = []
        self._listening: set[asyncio.Task] = set()

    async def serve(self) -> None:
        """Add workers as often as the pipe says so, until it ends."""
        beating = asyncio.create_task(self._beat())
        loop = asyncio.get_running_loop()
        while True:
            try:
                numbers = await loop.run_in_executor(None, self._pipe.recv)
            except EOFError:
                beating.cancel()
                return
            self._pipe.send(await self._add(numbers))

    async def _add(self, numbers: range) -> str:
        waiting = iter(numbers)

        async def connect_some() -> None:
            for number in waiting:
                worker = SimulatedWorker(number, self._seconds)
                self._listening.add(
                    await worker.connect(self._scheduler, self._security, self._versions)
                )
                self._workers.append(worker)

        try:
            await asyncio.gather(*(connect_some() for _ in range(AT_ONCE)))
        except (OSError, ConnectionError) as error:
            return f"{type(error).__name__}: {error}"
        return ""

    async def _beat(self) -> None:
        """Send each worker's heartbeat as often as the scheduler asks for."""
        from distributed.core import rpc

        scheduler = rpc(
            self._scheduler, connection_args=self._security.get_connection_args("worker")
        )
        interval = 0.5
        for turn in itertools.count():
            if not self._workers:
                await asyncio.sleep(interval)
                continue
            worker = self._workers[turn % len(self._workers)]
            answer = await scheduler.heartbeat_worker(
                address=worker.address,
                now=time.time(),
                metrics=metrics(),
                executing={},
                extensions={},
            )
            interval = answer.get("heartbeat-interval", interval)
            await asyncio.sleep(interval / len(self._workers))

"""The record of a run: JSON Lines, one object a line, written as things happen.

Kinds of lines, told by their key ``kind``:

``header``
    The first line. ``schema`` and ``version`` say what this file is; the rest says what was run:
    command, plan, versions, machine.
``start``
    Workers were started: how slots are made of jobs, the job script, the batch system's settings,
    and the cold-start phases in seconds. The first of a run has the time from the command's start
    (phase ``import``) to its last result (``cold_total_s``).
``row``
    One repeat, measured or failed (``status``). Keys of a measured one: ``workload backend slots
    jobs processes threads tasks seconds way lengths saturation repeat order started makespan_s
    ideal_s efficiency overhead_s speedup speedup_bound tasks_per_s first_result_s dispatch_s
    gather_s cpu_s rss_mib slots_used hosts n_errors status``. ``way`` is how tasks are handed out
    (``gather``, ``sweep``, or the harness's own), ``saturation`` Dask's ``worker-saturation``;
    ``cpu_s`` and ``rss_mib`` are CPU time and memory of the process of the client and the
    scheduler. ``clock_skew_s`` and ``late_s`` are what the tasks' stamps show of clocks that differ
    and of workers that joined late, and ``remarks`` what makes the numbers doubtful for that
    reason. Rows of ``gil`` have ``mode`` (``serial``, ``threads``, ``processes``), and rows of
    ``cold-start`` have ``how`` (``default``, ``spawn``, ``no nanny``), ``phases``,
    ``first_worker_s``, and ``pss_mib``, the memory of a worker. Rows of ``failure`` have ``loss``
    (``nothing``, ``worker``, ``job``, ``node``), ``lost_s`` (over ``undisturbed_s``, the makespan
    of the undisturbed repeat on the same workers), ``tasks_twice``, ``workers_lost``, and, counted
    from the loss or from the start of the command that causes it, ``noticed_s`` and ``back_s``
    (null if the workers did not come back). Rows of ``adapt`` have ``first_worker_s``,
    ``most_workers``, ``empty_s`` (from the last result until no cores were held), ``held_core_s``,
    ``busy_core_s``, ``wasted_core_s``, and the steps of workers and running tasks over time,
    ``held_at`` and ``busy_at``. Rows of ``scheduler-limit`` have ``simulated`` (true: no real
    workers), ``connected_s``, and ``simulated_cpu_percent``, the use of a core by the busiest
    process with simulated workers. Rows of ``peers``, which the
    repository's ``make bench-peers`` writes, have ``tool``, ``title``, ``versions``, ``state``
    (``cold``, ``warm``), ``shape``, ``works_in`` (threads or processes), ``hands_out``, ``note``,
    ``has_warm``, and ``told_s``, the time from the last task's end until all results are there.
    Rows of ``numpy`` have ``work`` (``numpy``, ``python``), ``mode`` as those of ``gil``, and
    ``cores``, the number of physical cores. Rows of ``files`` have ``mode`` (``loop``, ``disk``,
    ``sweep``), ``format``, ``size_mb`` of a file, ``cores``, ``mb_per_s``, and, for the loop,
    ``task_cpu_s``, its CPU time; ``tasks`` are files. Rows of ``data`` have ``mode`` (such as
    ``scatter`` and ``scatter direct``), ``size_mb`` of an array (``tasks`` is their number),
    ``mb_per_s``, ``stream_mb_per_s``, ``encrypted``, ``hosts``, here of computers, and the largest
    memory meanwhile of the process of client and scheduler, ``client_peak_mib``, and of a worker,
    ``worker_peak_mib``.
``trace``
    Of one repeat of a record: which task ran on which slot, and when. Beside the keys of the row
    that say which repeat, ``slot_hosts slot_workers task_slots starts_ms ends_ms``
    (`dask_hpc.bench.trace`).
``environment``
    Written after the measurement, also if it failed: ``digest``, the SHA-256 of the sorted lines
    ``name==version`` of all installed Python packages but the lab's own and the toolkit;
    ``packages``, their number; ``system_packages``, versions of Debian's packages of Slurm and
    Python, as on the testbed; and ``commit``, of the project by git, or ``BENCH_COMMIT``.
``end``
    The run came to its own end.

A run that is killed leaves the lines it had written. The last may be torn; `read` leaves it out.
"""

import contextlib
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DaskHPCError

SCHEMA = "dask-hpc-bench"
VERSION = 2

# The phases of a cold start until the last result, in order, and their descriptions in the report.
# Each starts at the end of the previous one.
PHASES = {
    "import": "load Python and Dask",  # from the command's start
    "cluster": "start Dask's scheduler",
    "submit": "submit the jobs",  # all of them
    "queue": "wait until the first worker starts",
    "first_worker": "first worker connected",
    "all_workers": "all workers connected",
    "warmup": "warm-up",  # a short map that is thrown away
    "first_result": "first task done",  # of the measured map
    "last_result": "last result received",
}


class RecordError(DaskHPCError):
    """A record cannot be written or read."""


def file_name(workload: str) -> str:
    """Return a name that sorts by time: workload, date, time, process."""
    return f"{workload}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.jsonl"


class Writer(contextlib.AbstractContextManager):
    """Writes a record; each line is flushed before `write` returns.

    Parameters
    ----------
    path : Path
        The file, which must not exist. Its folder is created.

    Raises
    ------
    RecordError
        The file cannot be created.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("x", encoding="utf-8")
        except OSError as error:
            raise RecordError(
                f"cannot write results to {path.parent}: {error.strerror}; use another --out"
            ) from None

    def write(self, kind: str, **values) -> None:
        """Append one line. Values that JSON does not support are written as text."""
        line = json.dumps({"kind": kind, **values}, default=str, allow_nan=False)
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError as error:
            raise RecordError(f"cannot write results to {self.path}: {error.strerror}") from None

    def close(self) -> None:
        # `write` has reported a full disk; raising it again would hide the original error.
        with contextlib.suppress(OSError):
            self._file.close()

    def __exit__(self, *_):
        self.close()


@dataclass
class Record:
    """A record as read.

    Attributes
    ----------
    path : Path
    header : dict
    starts, rows, traces : list of dict
    environment : dict
    complete : bool
        Whether the run was completed.
    """

    path: Path
    header: dict
    starts: list[dict] = field(default_factory=list)
    rows: list[dict] = field(default_factory=list)
    traces: list[dict] = field(default_factory=list)
    environment: dict = field(default_factory=dict)
    complete: bool = False

    @property
    def workload(self) -> str:
        return self.header.get("workload", "")

    @property
    def measured(self) -> list[dict]:
        """The rows with a measurement."""
        return [row for row in self.rows if row.get("status") == "ok"]


def read(path: Path) -> Record:
    """Read the record of one run, complete or truncated.

    Raises
    ------
    RecordError
        As for `read_all`.
    """
    return read_all(path)[0]


def read_all(path: Path) -> list[Record]:
    """Read a file: the record of a run, or an exported one, which may have several runs.

    Raises
    ------
    RecordError
        The file is not a record, has another version, or is damaged before its last line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RecordError(f"{path} is not a benchmark record: it is not text") from None
    objects: list[dict] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError:
            if number == len(lines) and objects:
                break  # truncated when the run ended
            raise RecordError(f"{path}, line {number}: not JSON; the record is damaged") from None
        objects.append(value if isinstance(value, dict) else {})
    if not objects or objects[0].get("schema") != SCHEMA:
        raise RecordError(f"{path} is not a benchmark record: it has no {SCHEMA} header")
    found: list[list[dict]] = []
    for value in objects:
        if value.get("schema") == SCHEMA:
            found.append([])
        found[-1].append(value)
    return [_record(path, lines) for lines in found]


def _record(path: Path, objects: list[dict]) -> Record:
    header = objects[0]
    if header.get("version") != VERSION:
        raise RecordError(
            f"{path} has version {header.get('version')}, but this dask-hpc reads {VERSION}: "
            "repeat the measurement, or update the toolkit"
        )
    return Record(
        path,
        header,
        rows=[value for value in objects if value.get("kind") == "row"],
        starts=[value for value in objects if value.get("kind") == "start"],
        traces=[value for value in objects if value.get("kind") == "trace"],
        environment=next((it for it in objects if it.get("kind") == "environment"), {}),
        complete=any(value.get("kind") == "end" for value in objects),
    )


def read_folder(folder: Path) -> list[Record]:
    """Return all records in a folder, oldest first, skipping other ``.jsonl`` files.

    Raises
    ------
    RecordError
        The folder does not exist or contains no records.
    """
    if not folder.is_dir():
        raise RecordError(f"{folder} is not a folder: pass the --out folder of `bench run`")
    records: list[Record] = []
    failed = None
    for path in sorted(folder.glob("*.jsonl")):
        try:
            records += read_all(path)
        except RecordError as error:
            failed = failed or error
    if not records:
        raise failed or RecordError(f"{folder} contains no benchmark record (*.jsonl)")
    return sorted(records, key=lambda record: str(record.header.get("started", "")))

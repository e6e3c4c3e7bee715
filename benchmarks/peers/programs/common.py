"""The task of all programs here, and what they report. Standard library only: workers import it."""
# ruff: noqa: E402

import os
import time

# When the program began, or the one that started it again in an allocation.
BEGIN = float(os.environ.get("PEERS_BEGIN") or time.time())

import json
import socket
import subprocess
import threading
from pathlib import Path

NODES = int(os.environ["PEERS_NODES"])
SLOTS_PER_NODE = int(os.environ["PEERS_SLOTS_PER_NODE"])
SLOTS = NODES * SLOTS_PER_NODE
TASKS = int(os.environ["PEERS_TASKS"])
SECONDS = float(os.environ["PEERS_SECONDS"])
OUT = Path(os.environ["PEERS_OUT"])
INTERFACE = "ib0"
WARM, WARM_UP = 1_000_000, 2_000_000  # the first items of these maps
WARM_UP_TASK_S, WARM_UP_LIMIT_S = 0.5, 90

# The tasks of one slot, for tools that run commands: bash's time stamps, and a sleep.
SHARE = """
for ((i = {first}; i < {tasks}; i += {step})); do
  begin=$EPOCHREALTIME; sleep {seconds}; end=$EPOCHREALTIME
  echo "$i $SLURMD_NODENAME $$ 0 $begin $end"
done > {folder}/{first}
"""


def task(item, seconds):
    """Sleep, and return where and when, as a task of `dask hpc bench` does."""
    start = time.time()
    time.sleep(seconds)
    return item, socket.gethostname(), os.getpid(), threading.get_ident(), start, time.time(), None


def share(first, step, tasks, seconds):
    """Run every `step`-th task from `first` on, one after the other."""
    return [task(item, seconds) for item in range(first, tasks, step)]


def allocation(tasks=SLOTS, per_node=SLOTS_PER_NODE, cpus=1, memory="--mem-per-cpu=200M"):
    """Return the options of Slurm's commands for one job on all nodes."""
    shape = [f"--nodes={NODES}", f"--ntasks={tasks}", f"--ntasks-per-node={per_node}"]
    return [*shape, f"--cpus-per-task={cpus}", memory, "--time=10"]


def cold_and_warm(run):
    """Report the tasks from the program's first line on, and again on workers that are up.

    Parameters
    ----------
    run : callable
        Runs tasks, given their items and their length, and returns the results.
    """
    report("cold", BEGIN, run(range(TASKS), SECONDS))
    _warm_up(run)
    begin = time.time()
    report("warm", begin, run(range(WARM, WARM + TASKS), SECONDS))


def _warm_up(run):
    """Run a task in each slot, until all slots have one at the same time."""
    first, limit = WARM_UP, time.time() + WARM_UP_LIMIT_S
    while (most := busiest(run(range(first, first + SLOTS), WARM_UP_TASK_S))) < SLOTS:
        if time.time() > limit:
            raise SystemExit(f"{most} of {SLOTS} slots are up after {WARM_UP_LIMIT_S} s")
        first += SLOTS
    time.sleep(0.5)  # the tool is done with these tasks


def busiest(traces):
    """Return the largest number of tasks that ran at the same time."""
    changes = [(trace[4], 1) for trace in traces] + [(trace[5], -1) for trace in traces]
    now = most = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


def report(state, begin, traces):
    """Report tasks whose results are there now; `begin` is when they were asked for."""
    done = time.time()
    _write({"state": state, "begin": begin, "done": done, "traces": traces})


def report_versions(*packages, **others):
    """Report versions of Python packages, and others: texts, or the words of commands."""
    from importlib.metadata import version

    found = {package: version(package) for package in packages}
    for name, words in others.items():
        found[name] = words if isinstance(words, str) else _printed_version(words)
    _write({"versions": found})


def _printed_version(command):
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return printed.splitlines()[0].split()[-1]


def shell_traces(folder):
    """Return the traces that commands wrote into the files of a folder."""
    traces = []
    for path in sorted(folder.iterdir()):
        for line in path.read_text().splitlines():
            item, host, pid, thread, start, end = line.split()
            traces.append((int(item), host, int(pid), int(thread), float(start), float(end), None))
    return traces


def in_slots(traces):
    """Return traces of tasks that are processes of their own, with slots instead of processes.

    The slots of a node are numbered: each task gets the first that is free when it starts.
    """
    free_at, found = {}, []
    for item, host, _, _, start, end, value in sorted(traces, key=lambda trace: trace[4]):
        slots = free_at.setdefault(host, [])
        slot = next((n for n, free in enumerate(slots) if free <= start), len(slots))
        slots[slot : slot + 1] = [end]
        found.append((item, host, slot, 0, start, end, value))
    return found


def results_folder():
    """Return a new folder that all nodes see."""
    folder = OUT.with_suffix(".tasks")
    folder.mkdir()
    return folder


def _write(line):
    with OUT.open("a") as file:
        file.write(json.dumps(line) + "\n")

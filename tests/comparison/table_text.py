"""The rows of the comparison in docs/reference/dask-jobqueue.md, in words.

The figures come from the results. What a sentence says without a figure is held by the checks of
its cases (`expectations.py`).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from .expectations import DEATHS, LIMITS

Results = dict[str, dict]


@dataclass(frozen=True)
class Row:
    """One situation.

    Attributes
    ----------
    situation : str
    cases : tuple of str
        Those of `expectations.py` that show it.
    issues : str
        Where upstream knows of it: issues of dask-jobqueue, others with the repository's name.
    plain, ours : callable
        What happens, of the results of the cases, {case: what was seen}.
    why : str
        Why ours differs.
    goes : str
        What of ours could go when upstream has it; empty where it is beyond what upstream means to
        do.
    """

    situation: str
    cases: tuple[str, ...]
    issues: str
    plain: Callable[[Results], str]
    ours: Callable[[Results], str]
    why: str
    goes: str = ""


def _range(results: Results, name: str, cases) -> str:
    """Return the seconds of some cases, as "3 s" or "3 to 17 s"."""
    values = sorted(results[case][name] for case in cases if results[case][name] is not None)
    if not values:
        return "-"
    low, high = f"{values[0]:.0f}", f"{values[-1]:.0f}"
    return f"{low} s" if low == high else f"{low} to {high} s"


QUICK_DEATHS = tuple(f"death-{d}-{n}" for d in DEATHS if d != "pause-node" for n in (1, 2))
SILENT = tuple(f"death-pause-node-{n}" for n in (1, 2))

ROWS = [
    Row(
        "`cores`, `memory`, and `processes` are only in `jobqueue.yaml`",
        ("yaml",),
        "none found",
        lambda r: (
            "`scale(cores=)` and `adapt(maximum_cores=)` raise "
            f"`{r['yaml']['calls']['scale(cores=9)']}`, `scale(memory=)` a ValueError about a "
            "missing memory_limit definition; `scale(jobs=)` and `scale(n)` work"
        ),
        lambda r: "all of them work",
        "they are read from the file and passed as arguments, where distributed looks for them",
        "`config/resolve.py`",
    ),
    Row(
        "a job ends by NODE_FAIL, TIMEOUT, PREEMPTED, or FAILED",
        QUICK_DEATHS,
        "#122, #611, #691",
        lambda r: (
            "its tasks run again elsewhere; it is not replaced, without a message, until no "
            "worker is left"
        ),
        lambda r: (
            "reported in one line and resubmitted; as many workers as before after "
            f"{_range(r, 'back', QUICK_DEATHS)}"
        ),
        "only the batch system knows what became of a job; distributed sees only workers",
        "`resilience/resubmission.py`, if `SpecCluster` learns to replace jobs",
    ),
    Row(
        "a node falls silent: no connection is closed",
        SILENT,
        "#122, #611",
        lambda r: (
            f"its workers are given up {_given_up(r)} (`worker-ttl` is 5 minutes), and not replaced"
        ),
        lambda r: (
            f"given up after {_range(r, 'dropped', SILENT)}, and as many workers as before after "
            f"{_range(r, 'back', SILENT)}"
        ),
        "the project's `distributed.yaml` has a shorter `worker-ttl`",
    ),
    Row(
        "somebody else cancels a job",
        ("cancelled",),
        "none found",
        lambda r: "no message; the work goes on with the other jobs",
        lambda r: "reported in one line; the work goes on with the other jobs, none is resubmitted",
        "whoever cancels a job wants it to be gone",
    ),
    Row(
        "the walltime ends, under `scale`",
        ("walltime-scale",),
        "#122, #416, #481, #597, #611",
        lambda r: (
            "all workers are gone for good, and their results with them: {done} of {tasks} are "
            "there after {seconds:.0f} s".format(**r["walltime-scale"])
        ),
        lambda r: (
            "jobs drain before, one after the other, and others take their place: "
            "{executions} executions for {tasks} tasks".format(**r["walltime-scale"])
        ),
        "only the batch system knows when a job really ends, and `--lifetime` does not ask it",
    ),
    Row(
        "the walltime ends, under `adapt`",
        ("walltime-adapt",),
        "#122, #691",
        lambda r: (
            "jobs are replaced, but results are lost with each: {executions} executions in "
            "{seconds:.0f} s, and {done} of {tasks} results are there".format(**r["walltime-adapt"])
        ),
        lambda r: "as under `scale`: {executions} executions for {tasks} tasks".format(
            **r["walltime-adapt"]
        ),
        "as above",
    ),
    Row(
        "a task takes longer than a job may",
        ("long-task",),
        "distributed#4394",
        lambda r: (
            f"it starts {r['long-task']['starts']} times in "
            f"{r['long-task']['ended']['seconds'] / 60:.0f} minutes, and ends with "
            f"`{r['long-task']['ended']['error']}`"
        ),
        lambda r: (
            f"it starts {r['long-task']['starts']} times, then "
            f"`{r['long-task']['ended']['error']}`: ask for a longer walltime, or shorter tasks"
        ),
        "reruns are counted where their reason is known",
    ),
    Row(
        "`adapt()` with several processes for each job",
        ("adapt",),
        "#498",
        lambda r: (
            "scaling down ends jobs that are needed: {executions} executions for {tasks} tasks, "
            "with {fewest_results} results at the low point".format(**r["adapt"])
            + ("" if r["adapt"]["right"] else "; tasks fail because “4 workers died”")
        ),
        lambda r: "no result is lost at any time, {executions} executions for {tasks} tasks".format(
            **r["adapt"]
        ),
        "ours counts in jobs, and moves results before a job ends",
        "`cluster/adaptive.py`",
    ),
    Row(
        "`sbatch` refuses a job, or is missing",
        ("refused", "missing"),
        "#15, #564, #632, distributed#6183",
        lambda r: (
            "`scale()` returns, an event loop prints a traceback, and `wait_for_workers()` "
            "waits for its timeout, or forever"
        ),
        lambda r: (
            f"`{r['refused']['wait']['error'] or r['refused']['scale']['error']}` with Slurm's own "
            "words and what to change, from `scale()` or `wait_for_workers()`, after "
            f"{_waited(r, 'refused', 'missing')}"
        ),
        "submissions run in the background, so their outcome has to be kept for the next call",
    ),
    Row(
        "jobs wait in the queue",
        ("pending",),
        "#11, #620, #701",
        lambda r: (
            "a pending job is called `running`; the exception at the timeout is "
            f"“{r['pending']['wait']['said']}”"
        ),
        lambda r: (
            "a message says how many are there, and Slurm's reason in words; so does the "
            f"exception: “{r['pending']['wait']['said']}”"
        ),
        "one call of `squeue` now and then for all jobs",
    ),
    Row(
        "a job runs, and its worker never connects",
        ("never",),
        "#20, #246, #325, #376, #616",
        lambda r: f"no message; at the timeout “{r['never']['wait']['said']}”",
        lambda r: (
            f"after {r['never']['wait']['seconds']:.0f} s an exception with the job, its node, the "
            "last lines of its log, and the likely cause"
        ),
        "the log is on the shared file system, where it can be read at once",
    ),
    Row(
        "`$USER`, `~`, `$SCRATCH` in folders",
        ("folders",),
        "#604",
        lambda r: (
            "in `log-directory` they are taken literally: folders are called "
            + ", ".join(f"`{name.rpartition('/')[2]}`" for name in r["folders"]["literal"])
            + "; where the folder can't be created, the error is a traceback"
        ),
        lambda r: "expanded, and created if missing; where that fails, an error of one line",
        "Slurm does not expand them",
    ),
    Row(
        "an exception in the `with` block",
        ("exception",),
        "#610",
        lambda r: f"no job is left, after {r['exception']['cancel_calls']} calls of `scancel`",
        lambda r: "no job is left, after one call for all",
        "sites ask users not to make many calls at once, and they take long for many jobs",
    ),
    Row(
        "Ctrl-C",
        ("ctrl-c",),
        "#667, #696",
        lambda r: "the program ends with exit code 0, and `except KeyboardInterrupt` never runs",
        lambda r: "KeyboardInterrupt, exit code 130, no job is left",
        "importing dask-jobqueue replaces Python's signal handler, which ours restores",
        "`_compat/jobqueue_import.py` (fixed on dask-jobqueue's main)",
    ),
    Row(
        "the process gets SIGTERM, or is killed with -9",
        ("sigterm", "sigkill"),
        "#83, #640",
        lambda r: (
            "its jobs stay until their workers notice that it is gone: "
            f"{_range(r, 'gone_after', ('sigterm', 'sigkill'))} here, with a death-timeout of 20 s"
        ),
        lambda r: (
            "a watchdog process cancels them: none left after "
            f"{_range(r, 'gone_after', ('sigterm', 'sigkill'))}"
        ),
        "a killed process can't clean up; another one has to",
    ),
    Row(
        "the watchdog is killed, too",
        ("sigkill-all",),
        "#83",
        lambda r: "as above; `squeue` and `scancel` by hand",
        lambda r: "`dask hpc jobs` lists what is left, and `--cancel` cancels it",
        "jobs are kept in a list with their owner's host and heartbeat",
    ),
    Row(
        "`import` in a thread",
        ("thread",),
        "#667, #697",
        lambda r: f"`{r['thread']['thread']['error']}: {r['thread']['thread']['said']}`",
        lambda r: "works, and the signal handlers stay as they were",
        "only the main thread may set a signal handler",
        "`_compat/jobqueue_import.py` (fixed on dask-jobqueue's main)",
    ),
    Row(
        "nothing to do for the idle timeout",
        ("idle",),
        "none found",
        lambda r: (
            "with distributed's own `scheduler.idle-timeout` the jobs end "
            + ("" if r["idle"]["said"] else "without a word ")
            + f"after {r['idle']['seconds']:.0f} s; `cluster.status` stays `{r['idle']['status']}`"
        ),
        lambda r: "the cluster closes, says so, and reports the core-hours used",
        "whoever forgets a cluster learns what it cost",
    ),
    Row(
        "a profile (`config_name`) that says only what differs; one that does not exist",
        ("profile",),
        "#95, #604",
        lambda r: (
            f"`KeyError: {r['profile']['partial']['said']}`, and "
            f"`KeyError: {r['profile']['unknown']['said']}`"
        ),
        lambda r: (
            "it falls back to the batch system's section; for an unknown name, the error lists the "
            "known ones"
        ),
        "the rest of a site's settings is the same for all its profiles",
    ),
    Row(
        "a misspelled or renamed key in `jobqueue.yaml`",
        ("misspelt",),
        "#604",
        lambda r: (
            "`wall-time` is ignored: the job asks for dask-jobqueue's default, "
            f"`{r['misspelt']['walltime'][0].split()[-1]}`"
        ),
        lambda r: "a warning with the file, the key, and the right key",
        "a key that nothing reads is probably a mistake",
    ),
    Row(
        "the login node may not run a scheduler",
        ("one-allocation",),
        "#186, #356, #471",
        lambda r: (
            "`SLURMRunner` runs a program that is written for it in one job, with right results; "
            f"exit code 7 becomes {_code(r['one-allocation']['end 7'])}, 0 becomes "
            f"{_code(r['one-allocation']['end 0'])}"
        ),
        lambda r: (
            "`dask hpc run program.py` runs the program as it is in one job; exit code 7 becomes "
            f"{_code(r['one-allocation']['end 7'])}, 0 becomes "
            f"{_code(r['one-allocation']['end 0'])}"
        ),
        "the same program runs on a login node, on a laptop, and in one job",
    ),
    Row(
        "a task outgrows the job's memory",
        ("grow",),
        "none found",
        lambda r: _outgrown(r["grow"]),
        lambda r: _outgrown(r["grow"]),
        "only the batch system knows that memory was the reason",
    ),
    Row(
        "results exceed a worker's memory",
        ("memory",),
        "#252, #634",
        lambda r: (
            f"the worker may take {100 * r['memory']['limit_of_job']:.0f} % of the job's memory: "
            "{finished} of 24 results, {lost} lost".format(**r["memory"])
        ),
        lambda r: (
            f"{100 * r['memory']['limit_of_job']:.0f} %: it spills in time, "
            "{finished} of 24 results".format(**r["memory"])
        ),
        "the nanny and the job script need some of it, and Slurm kills at 100 %",
    ),
]


def _given_up(results: Results) -> str:
    if all(results[case]["dropped"] is None for case in SILENT):
        return f"later than after {LIMITS['plain']['pause-node'] / 60:.0f} minutes"
    return f"after {_range(results, 'dropped', SILENT)}"


def _code(part: dict) -> str:
    return "a job that hangs" if "left" in part else f"{part['exit_code']}"


def _outgrown(seen: dict) -> str:
    ended = seen["ended"]
    if ended["error"] == "TimeoutError":
        return "no worker is left, and the task waits forever, without a message"
    # Its first sentence; the rest names an address and a page.
    said = re.sub(r"'(\w+)-[0-9a-f-]{20,}'", r"'\1-…'", ended["said"].partition(". ")[0])
    return f"after {ended['seconds']:.0f} s `{ended['error']}`: “{said}.”"


def _waited(results: Results, *cases: str) -> str:
    seconds = [results[case]["wait"]["seconds"] for case in cases]
    return f"{max(seconds):.0f} s"

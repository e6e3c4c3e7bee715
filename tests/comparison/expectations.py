"""The cases of the comparison: how each is observed, and what has to be true of what was seen."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from . import harness

Checks = dict[str, Callable[[dict], bool]]

# The ends of a job, and what does them.
DEATHS = {
    "kill-node": "NODE_FAIL",
    "pause-node": "NODE_FAIL, silent",
    "end-walltime": "TIMEOUT",
    "preempt-jobs": "PREEMPTED",
    "crash": "FAILED",
}
# Seconds in which lost workers may be noticed and replaced. distributed's worker-ttl, by which a
# silent node is noticed, is 5 minutes; a job whose walltime is cut has up to a minute left.
LIMITS = {
    "ours": {"pause-node": 240, "end-walltime": 150},
    "plain": {"pause-node": 360, "end-walltime": 100},
}
# The worker-ttl of the project's config/distributed.yaml.
WORKER_TTL = 120.0
NOTICED = {"pause-node": WORKER_TTL + 20, "end-walltime": 60 + 20, "preempt-jobs": 15 + 20}


@dataclass(frozen=True)
class Case:
    """One thing that happens to a cluster.

    Attributes
    ----------
    id : str
    observe : callable
        Lets it happen, given the lab and the side; returns what was seen, ready for JSON.
    ours, plain : dict
        What has to be true of it, by its words. Where what is said of plain is not true any more,
        the docs have to change.
    quick : bool
        Whether ours is part of `make test`.
    """

    id: str
    observe: Callable
    ours: Checks = field(default_factory=dict)
    plain: Checks = field(default_factory=dict)
    quick: bool = False

    def problems(self, side: str, found: dict) -> list[str]:
        """Return what is not true of what was seen."""
        return [words for words, check in getattr(self, side).items() if not check(found)]


def _said(pattern: str, found: dict) -> int:
    """Return how many lines of stderr a pattern is found in."""
    return sum(bool(re.search(pattern, line)) for line in found["said"])


def _traceback(found: dict) -> bool:
    return _said("Traceback", found) > 0


def _simply(scenario: str, **settings) -> Callable:
    return partial(harness.simply, scenario=scenario, **settings)


def _deaths():
    for fault in DEATHS:
        for processes in (1, 2):

            def observe(lab, side, fault=fault, processes=processes):
                return harness.death(lab, side, fault, processes, limit=LIMITS[side].get(fault, 60))

            most = NOTICED.get(fault, 20)
            yield Case(
                f"death-{fault}-{processes}",
                observe,
                ours={
                    "the results are right": lambda o: o["right"],
                    f"the lost workers are noticed within {most:g} s": lambda o, most=most: (
                        o["dropped"] is None or o["dropped"] <= most
                    ),
                    "as many workers are there again": lambda o: o["workers"] == o["full"],
                    "it is said once": lambda o: len(o["told"]) == 1,
                    "there is no traceback": lambda o: not _traceback(o),
                },
                plain={
                    "the job is not replaced": lambda o: o["back"] is None,
                    "nothing is said": lambda o: not o["told"],
                    "a silent node's workers are kept": lambda o, fault=fault: (
                        fault != "pause-node" or o["dropped"] is None
                    ),
                },
            )


def _refused(how: str, words: str, quick: bool = True) -> Case:
    return Case(
        "refused" if how == "account" else how,
        _simply("refused", how=how),
        ours={
            "an exception says why": lambda o: words in o["wait"]["said"] + o["scale"]["said"],
            "at once": lambda o: o["wait"]["seconds"] < 10,
            "no traceback is printed": lambda o: not _traceback(o),
        },
        plain={
            "scale() tells nothing": lambda o: o["scale"]["error"] is None,
            "waiting ends at its timeout": lambda o: o["wait"]["seconds"] >= 20,
            "without the reason": lambda o: words not in o["wait"]["said"],
            "a traceback is printed": _traceback,
        },
        quick=quick,
    )


def _leaving(how: str, code: int) -> Case:
    return Case(
        how,
        partial(harness.leaving, how=how),
        ours={
            "no job is left": lambda o: o["jobs_left"] == 0,
            "one call cancelled them all": lambda o: o["cancel_calls"] == 1,
            f"the exit code is {code}": lambda o: o["exit_code"] == code,
            "Ctrl-C is KeyboardInterrupt": lambda o: o["keyboard_interrupt"] == (how == "ctrl-c"),
        },
        plain={
            "each job is cancelled by a call": lambda o: o["cancel_calls"] == 3,
            "Ctrl-C is not KeyboardInterrupt": lambda o: not o["keyboard_interrupt"],
            "the exit code after Ctrl-C is 0": lambda o: (
                o["exit_code"] == (0 if how == "ctrl-c" else code)
            ),
        },
    )


def _killed(name: str, signal: str) -> Case:
    return Case(
        name,
        partial(harness.killed, with_=signal),
        ours={"no job is left after some seconds": lambda o: o["left_after_8_s"] == 0},
        plain={"jobs are left": lambda o: o["left_after_8_s"] > 0},
    )


CASES = {
    case.id: case
    for case in [
        Case(
            "yaml",
            _simply("yaml"),
            ours={"all calls work": lambda o: set(o["calls"].values()) == {"works"}},
            plain={
                "scale(cores=) fails": lambda o: "unreachable" in o["calls"]["scale(cores=9)"],
                "scale(memory=) fails": lambda o: (
                    "memory_limit" in o["calls"]["scale(memory='9 GiB')"]
                ),
                "adapt() by cores fails": lambda o: (
                    "unreachable" in o["calls"]["adapt(minimum_cores=8, maximum_cores=16)"]
                ),
            },
        ),
        *_deaths(),
        Case(
            "cancelled",
            harness.cancelled,
            ours={
                "the results are right": lambda o: o["right"],
                "the job is not submitted again": lambda o: o["workers"] == 1,
                "it is said once": lambda o: len(o["told"]) == 1,
            },
            plain={"nothing is said": lambda o: not o["told"]},
        ),
        Case(
            "grow",
            partial(harness.memory, scenario="grow"),
            ours={"the task fails": lambda o: o["ended"]["error"] != "TimeoutError"},
            plain={"the task waits": lambda o: o["ended"]["error"] == "TimeoutError"},
        ),
        Case(
            "walltime-scale",
            _simply("walltime", mode="scale"),
            ours={
                "the results are right": lambda o: o["right"],
                "no task ran twice": lambda o: o["executions"] == o["tasks"],
                "workers are there at all times": lambda o: o["fewest_workers"] >= 1,
            },
            plain={
                "the work stops half-way": lambda o: o["done"] < o["tasks"] and o["workers"] == 0
            },
        ),
        Case(
            "walltime-adapt",
            _simply("walltime", mode="adapt"),
            ours={
                "the results are right": lambda o: o["right"],
                "no task ran twice": lambda o: o["executions"] == o["tasks"],
                "workers are there at all times": lambda o: o["fewest_workers"] >= 1,
            },
            plain={"tasks run again, or are lost": lambda o: o["executions"] != o["tasks"]},
        ),
        Case(
            "long-task",
            _simply("long_task"),
            ours={
                "it fails, and says so": lambda o: "walltime" in o["ended"]["said"],
                "after three starts": lambda o: o["starts"] == 3,
            },
        ),
        Case(
            "adapt",
            _simply("adapt"),
            ours={
                "the results are right": lambda o: o["right"],
                "no task ran twice": lambda o: o["executions"] == o["tasks"],
                "no result was away": lambda o: o["fewest_results"] == o["tasks"],
                "it did scale down": lambda o: o["workers"] < o["most_workers"],
            },
            plain={
                "results are lost": lambda o: (
                    o["fewest_results"] < o["tasks"] or o["executions"] > o["tasks"]
                )
            },
        ),
        _refused("account", "Invalid account"),
        _refused("missing", "sbatch", quick=False),
        Case(
            "pending",
            _simply("pending"),
            ours={
                "the exception counts the workers": lambda o: "2 of 4" in o["wait"]["said"],
                "and says what the job waits for": lambda o: "limit" in o["wait"]["said"],
                "a line tells it meanwhile": lambda o: _said("2 of 4", o) > 0,
            },
            plain={
                "a waiting job is called running": lambda o: (
                    o["slurm"] == ["PENDING", "RUNNING"] and o["called"] == ["running", "running"]
                ),
                "the exception has no reason": lambda o: "limit" not in o["wait"]["said"],
            },
        ),
        Case(
            "never",
            _simply("never"),
            ours={
                "an exception comes before the timeout": lambda o: (
                    o["wait"]["error"] and o["wait"]["seconds"] < 50
                ),
                "with the node": lambda o: re.search(r"\bnode\d", o["wait"]["said"]),
                "and the log": lambda o: ".err" in o["wait"]["said"],
                "and the likely cause": lambda o: "interface" in o["wait"]["said"],
            },
            plain={
                "waiting ends at its timeout": lambda o: o["wait"]["seconds"] >= 60,
                "without a word on the job": lambda o: "node" not in o["wait"]["said"],
            },
        ),
        Case(
            "folders",
            _simply("folders"),
            ours={
                "$USER, ~ and $SCRATCH work": lambda o: (
                    list(o["folders"].values())[:3] == ["works"] * 3
                ),
                "what can't be made is an error that says so": lambda o: (
                    "ConfigError: " in o["folders"]["/proc/logs"]
                ),
                "no folder is called $… or ~": lambda o: not o["literal"],
            },
            plain={
                "they do not": lambda o: "works" not in list(o["folders"].values())[:3],
                "a folder is called so": lambda o: o["literal"],
            },
        ),
        _leaving("exception", 1),
        _leaving("ctrl-c", 130),
        _killed("sigterm", "TERM"),
        _killed("sigkill", "KILL"),
        Case(
            "sigkill-all",
            partial(harness.killed, with_="KILL", watchdog=False),
            ours={
                "dask hpc jobs lists what is left": lambda o: (
                    o["listed"] == o["left_after_8_s"] > 0
                ),
                "and cancels it": lambda o: not o["left_after_cancel"],
            },
            plain={"jobs are left": lambda o: o["left_after_8_s"] > 0},
        ),
        Case(
            "thread",
            _simply("thread"),
            ours={
                "it works": lambda o: o["thread"]["error"] is None,
                "the handlers are as they were": lambda o: o["same_handlers"],
            },
            plain={
                "it fails": lambda o: o["thread"]["error"] == "ValueError",
                "the handler of Ctrl-C is another": lambda o: not o["same_handlers"],
            },
            quick=True,
        ),
        Case(
            "idle",
            _simply("idle"),
            ours={
                "the jobs end": lambda o: o["jobs_gone"],
                "the cluster is closed": lambda o: o["status"] == "closed",
                "it is said": lambda o: _said("(?i)idle", o) > 0,
                "with the core-hours": lambda o: _said("(?i)core-(hours|minutes)", o) > 0,
            },
        ),
        Case(
            "profile",
            _simply("profile"),
            ours={
                "a part is enough": lambda o: o["partial"]["error"] is None,
                "an unknown name lists the known": lambda o: "highmem" in o["unknown"]["said"],
            },
            plain={
                "a part is a KeyError": lambda o: o["partial"]["error"] == "KeyError",
                "so is an unknown name": lambda o: o["unknown"]["error"] == "KeyError",
            },
        ),
        Case(
            "misspelt",
            harness.misspelt,
            ours={
                "the wrong key and the right one are named": lambda o: (
                    _said(r"wall-time.*walltime", o) == 1
                ),
                "and the file": lambda o: _said("mine.yaml", o) > 0,
                "and the renamed key": lambda o: _said(r"project.*account", o) > 0,
            },
            plain={"it is ignored": lambda o: _said("wall-time", o) == 0},
        ),
        Case(
            "one-allocation",
            harness.one_allocation,
            ours={
                "the results are right": lambda o: all(part["right"] for part in o.values()),
                "the exit code is the program's": lambda o: (
                    [part["exit_code"] for part in o.values()] == [0, 7]
                ),
                "the job ends by itself": lambda o: not any("left" in part for part in o.values()),
            },
            plain={
                "the results are right": lambda o: all(part["right"] for part in o.values()),
                "the job ends by itself": lambda o: not any("left" in part for part in o.values()),
            },
        ),
        Case(
            "memory",
            partial(harness.memory, scenario="memory"),
            ours={
                "the limit is about 90 % of the job's": lambda o: 0.85 <= o["limit_of_job"] <= 0.92,
                "all results are there": lambda o: o["finished"] == 24 and not o["lost"],
                "the worker lived": lambda o: o["same_worker"],
            },
            plain={"the limit is all of the job's": lambda o: o["limit_of_job"] > 0.99},
        ),
    ]
}

"""Nodes on which jobs go wrong, and that further jobs are kept from."""

from types import SimpleNamespace

import dask
import pytest

import dask_hpc
from dask_hpc.batch import BATCH_SYSTEMS
from dask_hpc.resilience.node_health import EXCLUDED_S, NodeHealth

from .conftest import reported, until
from .fakes import FakeClock


@pytest.fixture
def tracker():
    return SimpleNamespace(nodes_seen=set(), on_job_ended=[])


def test_bad_node_is_excluded_for_a_while(tracker):
    clock = FakeClock()
    health = NodeHealth(tracker, clock)
    health.exclude("a")
    assert health.excluded == ["a"]
    clock.now += EXCLUDED_S + 1
    assert health.excluded == []


def test_of_few_nodes_only_the_last_bad_one_is_excluded(tracker):
    health = NodeHealth(tracker, FakeClock())
    tracker.nodes_seen.update("abcd")
    health.exclude("a")
    health.exclude("b")
    assert health.excluded == ["b"]
    health.exclude("a")
    assert health.excluded == ["a"]


def test_of_many_nodes_a_quarter_may_be_excluded(tracker):
    health = NodeHealth(tracker, FakeClock())
    tracker.nodes_seen.update("abcdefghijkl")
    for node in "abcd":
        health.exclude(node)
    assert health.excluded == ["b", "c", "d"]


@pytest.mark.parametrize(
    ("directives", "arguments"),
    [
        ([], ["--exclude=a,b"]),
        (["--exclusive", "-n 1"], ["--exclude=a,b"]),
        (["--exclude=c[1-3],d"], ["--exclude=c[1-3],d,a,b"]),
        (["-x c", "--hint=nomultithread --exclude d"], ["--exclude=c,d,a,b"]),
        (["--nodelist=a"], []),
        (["--exclusive -w a"], []),
        (["-F nodes.txt"], []),
        (["--nodelis=a"], []),
        (["--reservation=course"], []),
        (["--exclude=/home/me/bad"], []),
        (["--exclud='c[1-3]'"], ["--exclude=c[1-3],a,b"]),
    ],
)
def test_slurm_leaves_nodes_out_beside_those_that_the_user_does(directives, arguments):
    assert BATCH_SYSTEMS["slurm"].exclude_args(["a", "b"], directives) == arguments


@pytest.mark.parametrize("batch_system", BATCH_SYSTEMS.values(), ids=BATCH_SYSTEMS)
def test_without_a_bad_node_no_batch_system_is_asked_for_anything(batch_system):
    assert batch_system.exclude_args([], []) == []


def excluded(lab):
    """Return the nodes that each submission excluded."""
    return [
        next((word.removeprefix("--exclude=") for word in call if word.startswith("--exclude")), "")
        for call in lab.calls("sbatch")
    ]


@pytest.fixture
def beside(lab, held):
    """Two jobs, one of them as if workers of it were there on another node."""
    lab.state("101", "RUNNING", "None", "good")
    job = held._control.tracker.by_id("101")
    until(lambda: job.node == "good")
    job.addresses = {"tcp://10.0.0.2:1"}
    return held


def test_a_job_that_no_other_node_takes_may_run_anywhere(lab, beside):
    real = lab.folder / "bin" / "sbatch"
    real.rename(lab.folder / "bin" / "sbatch.real")
    real.write_text(
        '#!/bin/sh\ncase "$*" in *--exclude*) echo "sbatch: error: Batch job submission failed: '
        'Requested node configuration is not available" >&2; exit 1;; esac\nexec sbatch.real "$@"\n'
    )
    real.chmod(0o755)
    lab.state("100", "FAILED", "NonZeroExitCode", "bad")
    until(lambda: "102" in beside.job_ids)
    assert beside._control.health.excluded == []
    assert len(reported(beside)) == 1


def test_a_refusal_that_says_nothing_of_nodes_is_not_tried_without_them(lab, beside):
    lab.says("sbatch", "sbatch: error: Socket timed out on send/recv operation")
    lab.state("100", "FAILED", "NonZeroExitCode", "bad")
    until(lambda: len(reported(beside)) == 2)
    assert excluded(lab)[:3] == ["", "", "bad"]  # it may have been taken nevertheless
    lab.says("sbatch", None)
    until(lambda: len(beside.job_ids) == 2)


def test_a_user_who_wants_certain_nodes_gets_them(lab):
    settings = {"jobqueue.slurm.job-extra-directives": ["--nodelist=bad"]}
    with dask.config.set(settings), dask_hpc.SLURMCluster() as cluster:
        lab.hold()
        cluster.scale(jobs=1)
        until(lambda: cluster.job_ids == ["100"])
        cluster._control.tracker.any_worker_came = True
        cluster._control.health.exclude("bad")
        lab.state("100", "FAILED", "NonZeroExitCode", "bad")
        until(lambda: "101" in cluster.job_ids)
        assert reported(cluster)[0].endswith("Resubmitting in 1 s (1 of 5).")
    assert excluded(lab) == ["", ""]

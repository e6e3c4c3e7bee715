"""Starting and stopping, again and again; and how long the stages of a start took."""

import tempfile
from datetime import UTC, datetime, timedelta

import pytest

from hpc_testbed import Testbed, TestbedError, default_name
from hpc_testbed.soak import soak
from hpc_testbed.startup_timing import STAGES, startup_stages

BEGIN = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)


def log(*lines):
    """Return a log as Compose prints it, of lines: container, seconds since BEGIN, text."""
    return "\n".join(
        f"{name}  | {(BEGIN + timedelta(seconds=at)).isoformat()[:-6]}.000000001Z {text}"
        for name, at, text in lines
    )


START = [
    ("mariadb-1", 1, "testbed-role mariadb: ready: container"),
    ("node-1", 2, "testbed-role node: ready: container"),
    ("slurmctld-1", 3, "testbed-role slurmctld: ready: munge"),
    ("slurmdbd-1", 2, "testbed-role slurmdbd: ready: database"),
    ("slurmctld-1", 5, "testbed-role slurmctld: ready: slurmdbd"),
    ("slurmctld-1", 6, "testbed-role slurmctld: ready: accounts"),
    ("node-1", 8, "testbed-role node: ready: slurmctld"),
    ("node-1", 9, "slurmd-node1: slurmd started on some day"),
]
TOOK = {
    "containers": 2.0,
    "munge": 1.0,
    "database": 0.0,  # ready before munge was
    "slurmdbd": 2.0,
    "accounts": 1.0,
    "slurmctld": 2.0,
    "nodes": 1.0,
}


@pytest.mark.parametrize(
    "later",
    [
        [],
        [("node-2", 60, "testbed-role node: ready: container"), ("node-2", 61, "slurmd started")],
        [("node-1", 70, "testbed-role node: ready: container"), ("node-1", 71, "slurmd started")],
    ],
    ids=["as it was", "a node added", "a node started again"],
)
def test_the_stages_of_a_start_add_up_whatever_came_later(later):
    created = {name: BEGIN for name, _, _ in START}
    created["node-2"] = BEGIN + timedelta(seconds=59)
    assert startup_stages(log(*START, *later), created) == TOOK


def test_a_start_of_which_nothing_is_known_has_no_stages():
    assert startup_stages("", {}) == {}
    assert startup_stages("rubbish\n", {"node-1": BEGIN}) == {}


def test_status_tells_the_stages_of_a_start_long_ago(testbed):
    stages = testbed.startup_stages()
    assert list(stages) == ["image", *STAGES]
    assert all(seconds >= 0 for seconds in stages.values())
    (line,) = [line for line in testbed.status().splitlines() if "Startup took" in line]
    assert all(f"{stage} " in line for stage in stages)
    assert 0.5 < sum(stages.values()) - stages["image"] < 120


@pytest.mark.full
@pytest.mark.testbed
@pytest.mark.timeout(900)
@pytest.mark.parametrize("load", [False, True], ids=["machine as it is", "all cores busy"])
def test_rounds_of_up_job_down_are_clean(testbed_session, capsys, load):
    testbed = Testbed(default_name("rounds"), nodes=4)
    assert soak(testbed, 3, load=load) == 0, capsys.readouterr().out
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == "3 of 3 rounds succeeded."
    assert len(printed) == 2 + 3 + 2 + 1
    assert testbed.leftover_resources() == []


def test_a_round_that_fails_is_counted_and_leaves_nothing(
    testbed_session, capsys, monkeypatch, tmp_path
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # for the logs that are kept
    testbed = Testbed(default_name("rounds"), nodes=1)
    monkeypatch.setattr(testbed, "up", lambda: testbed.run("true"))  # it is not up
    assert soak(testbed, 2) == 2
    printed = capsys.readouterr().out
    assert printed.count("FAILED: ") == 2
    assert "is not up" in printed
    assert len(list(tmp_path.glob("*.log"))) == 2
    assert "0 of 2 rounds succeeded." in printed


def test_a_testbed_that_is_up_is_not_taken_for_rounds(testbed):
    with pytest.raises(TestbedError, match="is up or not cleaned up"):
        soak(testbed, 1)

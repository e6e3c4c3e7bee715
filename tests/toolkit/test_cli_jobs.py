"""The commands `dask hpc jobs` and `dask hpc logs`, with fakes of Slurm's."""

import json
import os
import socket
import time

import dask
import pytest
from click.testing import CliRunner

from dask_hpc.cli import jobs, main
from dask_hpc.watchdog import registry


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """Return the registry's folder, empty."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "state" / "dask-hpc").mkdir(parents=True)
    return tmp_path / "state" / "dask-hpc"


@pytest.fixture
def run():
    return lambda *arguments, **given: CliRunner().invoke(main.main, list(arguments), **given)


@pytest.fixture
def cluster(state, slurm, tmp_path):
    """Make the file of a cluster that was last heard of so many seconds ago."""

    def make(*job_ids, silent=0.0, host="login2", **fields):
        for job in job_ids:
            (slurm.folder / f"{job}.script").touch()
        path = state / f"{host}-{len(list(state.iterdir()))}.json"
        entry = {
            "host": host,
            "pid": 4711,
            "started": time.time() - 100,
            "batch": "slurm",
            "cluster": "SLURMCluster",
            "job_name": "dask-worker",
            "logs": [f"{tmp_path}/logs/dask-worker-{{job}}.{end}" for end in ("out", "err")],
            "jobs": list(job_ids),
        }
        path.write_text(json.dumps(entry | fields))
        then = time.time() - silent
        os.utime(path, (then, then))
        return path

    return make


@pytest.fixture
def terminal(monkeypatch):
    """Pretend that there is a terminal of 80 columns to write to and to read from."""

    def isatty(_):
        return True

    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", isatty, raising=False)
    monkeypatch.setenv("COLUMNS", "80")


def test_jobs_are_shown_by_cluster_with_all_there_is_to_say(run, cluster, slurm, tmp_path):
    cluster("7", "8", name="physics")
    cluster("9", silent=1000, host="login1")
    slurm.row("7", "RUNNING|None|node1|1:02:03|57:57")
    slurm.row("8", "PENDING|QOSMaxJobsPerUserLimit||0:00|2:00:00")
    slurm.row("9", "RUNNING|None|node2|1-00:00:05|UNLIMITED")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "dask-worker-7.out").touch()
    (tmp_path / "logs" / "dask-worker-7.err").write_text("hello\n")
    result = run("jobs")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].startswith("SLURMCluster physics on login2, process 4711, started ")
    assert lines[0].endswith(": alive")
    assert [line.split() for line in lines[1:3]] == [
        ["job", "state", "node", "elapsed"],
        ["7", "running", "node1", "1:02:03", "of", "2:00:00"],
    ]
    assert lines[3] == f"    {tmp_path}/logs/dask-worker-7.err"
    assert lines[4].split() == ["8", "pending", "-", "-"]
    assert lines[5].startswith("    your limit of running jobs is reached until")  # piped: one line
    assert lines[5].endswith("(QOSMaxJobsPerUserLimit)")
    assert lines[6] == ""
    assert lines[7].startswith("SLURMCluster on login1, process 4711, started ")
    assert lines[7].endswith(": orphaned (no heartbeat for 17 min)")
    assert lines[9].split() == ["9", "running", "node2", "1-00:00:05"]
    assert len(slurm.calls("squeue")) == 1  # for all clusters


SACCT_USAGE = """\
7|RUNNING|00:05:00|8|1|billing=8,cpu=8,mem=16G,node=1|||
7.batch|RUNNING|00:05:00|8|1|cpu=8,mem=16G,node=1|1||
8|CANCELLED by 1000|01:00:00|8|1|billing=8,cpu=8,mem=16G,node=1|||
8.batch|CANCELLED|01:00:00|8|1|cpu=8,mem=16G,node=1|1|06:20:00|2202009K
8.extern|COMPLETED|01:00:00|8|1|billing=8,cpu=8,mem=16G,node=1|1|00:00:07|100K
9|COMPLETED|01:00:00|16|2|cpu=16,mem=32G,node=2|||
9.batch|COMPLETED|01:00:00|8|1|cpu=8,mem=16G,node=1|1|00:40:00|1G
9.0|COMPLETED|01:00:00|8|1|cpu=8,mem=16G,node=1|1|01:00:00|2G
9.1|COMPLETED|01:00:00|8|1|cpu=8,mem=16G,node=1|1|01:00:00|3.5G
10|PENDING|00:00:00|0|1||||
nonsense
"""


@pytest.fixture
def sacct(slurm):
    """Return a function that sets what sacct prints; without text, it fails."""

    def answer(text=""):
        path = slurm.folder / "bin" / "sacct"
        (slurm.folder / "usage").write_text(text)
        end = f"cat {slurm.folder}/usage" if text else "echo Slurm accounting is off >&2; exit 1"
        path.write_text(f'#!/bin/sh\necho "$@" > {slurm.folder}/asked\n{end}\n')
        path.chmod(0o755)
        return lambda: (slurm.folder / "asked").read_text()

    with dask.config.set({"dask-hpc.batch-system": "slurm"}):
        yield answer


def test_usage_is_shown_of_running_jobs_and_of_those_with_recent_logs(
    run, cluster, sacct, state, tmp_path
):
    asked = sacct(SACCT_USAGE)
    cluster("7")
    logs = tmp_path / "logs [1]"  # with characters that glob knows
    logs.mkdir()
    (state / "past-logs").write_text(f"{tmp_path}/logs [[]1]/dask-worker-{{job}}.err\n")
    for job in (8, 9, 10, 11):
        (logs / f"dask-worker-{job}.err").touch()
    os.utime(logs / "dask-worker-11.err", (1, 1))  # long ago
    os.utime(logs / "dask-worker-10.err", (time.time() - 60,) * 2)
    os.utime(logs / "dask-worker-9.err", (time.time() - 30,) * 2)
    assert run("jobs", "--usage").output.splitlines() == [
        "  job  state      elapsed  cores busy  memory used          enough next time",
        "  7    running    0:05:00  - of 8      - of 16.0 GiB",
        "  8    cancelled  1:00:00  6.3 of 8    2.1 GiB of 16.0 GiB  4 GiB",
        # The program and a node's workers; cores that were mostly idle show no need.
        "  9    done       1:00:00  2.7 of 16   4.5 GiB of 16.0 GiB",
        "  10   pending    0:00:00  - of -      - of -",
    ]
    assert asked().endswith("--jobs=7,8,9,10\n")


def test_where_there_are_no_figures_of_usage_one_line_says_so(run, cluster, sacct, slurm):
    assert run("jobs", "--usage").output == "You have no recent jobs.\n"
    path = cluster("8")
    sacct("8|COMPLETED|01:00:00|8|1|cpu=8,mem=16G|||\n8.batch|COMPLETED|01:00:00||||1||\n")
    *_, row, last = run("jobs", "--usage").output.splitlines()
    assert row.split() == ["8", "done", "1:00:00", "-", "of", "8", "-", "of", "16.0", "GiB"]
    assert last.startswith("Slurm measures neither memory nor CPU time here. ")
    sacct("\n")
    unknown = run("jobs", "--usage").output
    assert unknown.startswith("Slurm's accounting does not know these jobs: 8. A cluster reports")
    sacct()
    failed = run("jobs", "--usage")
    assert failed.exit_code == 1
    assert failed.output.startswith("Error: Cannot query Slurm for what your jobs used: sacct: ")
    assert failed.output.count("\n") == 1
    path.unlink()
    cluster("8", batch="pbs", cluster="PBSCluster")
    assert run("jobs", "--usage").output.startswith("There are no such figures for PBS. A cluster")


def test_how_a_job_ended_that_is_not_listed_is_asked_of_the_accounting(run, cluster, slurm):
    cluster("7", "8")
    slurm.row("7", "RUNNING|None|node1|1:02:03|57:57")
    (slurm.folder / "bin" / "squeue").write_text(
        "#!/bin/sh\necho '7|RUNNING|None|node1|0:05|9:55|dask-worker'\n"
    )
    sacct = slurm.folder / "bin" / "sacct"
    sacct.write_text(
        f'#!/bin/sh\necho "$@" > {slurm.folder}/asked\n'
        "echo '8|CANCELLED by 1000|0:0|node2|00:00:05|dask-worker'\n"
    )
    sacct.chmod(0o755)
    lines = [line.split() for line in run("jobs").output.splitlines()]
    assert ["8", "cancelled", "node2", "0:00:05"] in lines
    assert (slurm.folder / "asked").read_text().endswith("--jobs=8\n")


def test_jobs_are_asked_about_and_cancelled_by_their_clusters_own_command(
    run, cluster, slurm, tmp_path
):
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/called\nexec "$@"\n')
    wrapper.chmod(0o755)
    cluster("7", silent=1000, cancel=[str(wrapper), "scancel"])
    slurm.row("7", "RUNNING|None|node1")
    assert run("cancel", "--orphaned", "--yes").output.endswith("Cancelled 1 job.\n")
    assert (tmp_path / "called").read_text().split() == ["squeue", "scancel"]
    assert slurm.calls("scancel") == [["--quiet", "7"]]


def test_jobs_that_their_user_has_named_otherwise_are_found(run, cluster, slurm):
    cluster("7", "8", other_names=["arena"])
    (slurm.folder / "bin" / "squeue").write_text(
        "#!/bin/sh\necho '7|RUNNING|None|node1|0:05|9:55|arena'\n"
        "echo '8|RUNNING|None|node1|0:05|9:55|of-another-site'\n"
    )
    states = [line.split()[:2] for line in run("jobs").output.splitlines()]
    assert ["7", "running"] in states
    assert ["8", "gone"] in states


def test_in_a_terminal_no_line_of_the_table_is_longer_than_it(run, cluster, slurm, terminal):
    node = "node-0123456789.rack-17.cluster.institute.example.org"
    cluster("1234567")
    slurm.row("1234567", f"RUNNING|QOSMaxJobsPerUserLimit|{node}|1-01:02:03|1-00:57:57")
    result = run("jobs")
    assert "node-0123456789" in result.output
    assert max(map(len, result.output.splitlines())) <= 80
    assert "(QOSMaxJobsPerUserLimit)" in result.output


def test_without_clusters_it_says_so_and_asks_nobody(run, slurm):
    result = run("jobs")
    assert result.output == "You have no clusters with jobs.\n"
    assert not slurm.calls("squeue")


def test_a_file_that_is_no_clusters_is_left_alone(run, state, cluster):
    (state / "x.json").write_text("{}")
    (state / "y.json").write_text("half a fi")
    cluster("7")
    assert "7" in run("jobs").output
    assert (state / "x.json").exists()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"jobs": "7"}, "it is damaged"),
        ({"jobs": [7]}, "it is damaged"),
        ({"started": "yesterday"}, "it is damaged"),
        ({"cancel": {"rm": "-r"}}, "it is damaged"),
        ({"host": None}, "it is damaged"),
        ({"batch": "slrum"}, "it is damaged"),
        (None, "it is not a file of yours"),
        ("link", "Too many levels of symbolic links"),
        ("pipe", "it is not a file of yours"),
    ],
)
def test_a_file_that_is_damaged_or_planted_is_named_and_ends_no_job(
    run, cluster, slurm, change, why
):
    path = cluster("7", silent=1000)
    slurm.row("7", "RUNNING|None|node1|1:02:03|57:57")
    if change is None:
        if os.geteuid() != 0:
            pytest.skip("only root may give a file away")
        os.chown(path, 65534, 65534)
    elif change == "link":
        path.rename(path.with_suffix(".txt"))
        path.symlink_to(path.with_suffix(".txt"))
    elif change == "pipe":
        path.unlink()
        os.mkfifo(path)
    else:
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
        os.utime(path, (1, 1))
    for command in (["jobs"], ["cancel", "--orphaned", "--yes"]):
        result = run(*command)
        assert result.stderr == f"Ignoring {path}: {why}. If it is not needed, remove it.\n"
        assert result.exit_code == 0
    assert "Nothing to cancel" in result.stdout
    assert not slurm.calls("scancel")
    assert not slurm.calls("squeue")


def test_a_registry_of_another_users_is_not_read(run, cluster, state, slurm, monkeypatch):
    if os.geteuid() != 0:
        pytest.skip("only root may give a folder away")
    cluster("7", silent=1000)
    os.chown(state, 65534, 65534)
    result = run("cancel", "--orphaned", "--yes")
    assert result.stderr == f"Ignoring {state}: it belongs to user id 65534, not to you.\n"
    assert not slurm.calls("scancel")


def test_a_batch_system_that_can_not_be_asked_is_one_line(run, cluster, slurm):
    cluster("7")
    slurm.says("squeue", "squeue: error: Unable to contact slurm controller")
    result = run("jobs")
    assert result.exit_code == 1
    assert result.output == (
        "Error: Cannot query Slurm for your jobs: squeue: Unable to contact slurm controller.\n"
    )


@pytest.mark.parametrize(("host", "kept"), [(socket.gethostname(), False), ("login2", True)])
def test_a_cluster_that_is_gone_with_its_jobs_is_forgotten_on_its_own_host(
    run, cluster, slurm, host, kept
):
    path = cluster("7", silent=1000, host=host)
    slurm.state("7", "COMPLETED")
    assert ("completed" in run("jobs").output or "done" in run("jobs").output) == kept
    assert path.exists() == kept


def test_cancel_cancels_what_is_left_with_one_call_and_nothing_else(run, cluster, slurm):
    slurm.hold()
    left = cluster("7", "8", silent=61)
    also = cluster("9", "10", silent=1000, host="login1")
    alive = cluster("11", "10", silent=50, host="login3")
    slurm.state("8", "COMPLETED")
    result = run("cancel", "--orphaned", "--yes")
    assert result.exit_code == 0, result.output
    assert slurm.calls("scancel") == [["--quiet", "9", "7"]] or slurm.calls("scancel") == [
        ["--quiet", "7", "9"]
    ]
    assert result.output.splitlines()[-1] == "Cancelled 2 jobs."
    # Who waits for it is told why this one is not among them.
    assert "login3" in result.output
    assert "alive (no heartbeat for 50 s); considered dead after 60 s" in result.output
    assert [left.exists(), also.exists(), alive.exists()] == [False, False, True]


def test_a_job_of_the_same_number_but_another_name_is_not_ours(run, cluster, slurm):
    cluster("7", silent=1000)
    slurm.row("7", "RUNNING|None|node1|0:05|9:55|thesis")
    result = run("cancel", "--orphaned", "--yes")
    assert "Nothing to cancel" in result.output
    assert not slurm.calls("scancel")


@pytest.mark.parametrize(("answer", "calls"), [("y\n", 1), ("n\n", 0), ("\n", 0)])
def test_in_a_terminal_it_asks_first(run, cluster, slurm, terminal, answer, calls):
    slurm.hold()
    cluster("7", silent=1000)
    result = run("cancel", "--orphaned", input=answer)
    assert "Cancel this job? [y/N]" in result.output
    assert len(slurm.calls("scancel")) == calls


def test_where_nobody_can_be_asked_it_refuses_in_one_line(run, cluster, slurm):
    slurm.hold()
    path = cluster("7", silent=1000)
    result = run("cancel", "--orphaned")
    assert result.exit_code == 1
    [line] = [line for line in result.output.splitlines() if line.startswith("Error")]
    assert "Pass --yes to cancel" in line
    assert not slurm.calls("scancel")
    assert path.exists()


def test_a_cluster_that_has_come_back_while_it_was_asked_is_left_alone(
    run, cluster, slurm, terminal, monkeypatch
):
    slurm.hold()
    path = cluster("7", silent=1000)

    def confirm(_):
        os.utime(path)
        return True

    monkeypatch.setattr(jobs.click, "confirm", confirm)
    assert "is alive again: not cancelling its jobs" in run("cancel", "--orphaned").output
    assert not slurm.calls("scancel")


def test_what_can_not_be_cancelled_stays_known_and_the_command_is_named(run, cluster, slurm):
    slurm.hold()
    path = cluster("7", silent=1000)
    slurm.says("scancel", "scancel: error: no controller")
    result = run("cancel", "--orphaned", "--yes")
    assert result.exit_code == 1
    assert "Error: Slurm did not cancel the jobs: scancel: no controller." in result.output
    assert "scancel --quiet 7" in result.output
    assert path.exists()


def test_a_clock_that_differs_from_the_file_servers_makes_nobody_left(cluster, monkeypatch):
    cluster("7")
    monkeypatch.setattr(registry.time, "time", lambda: 10 * time.monotonic() + 1e12)
    assert [entry.alive for entry in registry.entries()] == [True]


@pytest.fixture
def folder(lab, tmp_path):
    """Return the log directory of the configuration, seen from the present folder."""
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


def test_the_log_written_last_is_shown_with_its_name(run, folder):
    (folder / "dask-worker-7.err").write_text("".join(f"line {n}\n" for n in range(100)))
    (folder / "dask-worker-8.err").write_text("old\n")
    (folder / "dask-worker-9.err").touch()
    os.utime(folder / "dask-worker-8.err", (1, 1))
    result = run("logs", "-n", "2")
    assert result.output == f"==> {folder}/dask-worker-7.err <==\nline 98\nline 99\n"


def test_a_jobs_log_is_found_and_the_rest_of_what_it_wrote(run, folder):
    (folder / "dask-worker-7.err").write_text("oh\n")
    (folder / "dask-worker-7.out").write_text("hello\n")
    (folder / "dask-worker-17.err").write_text("other\n")
    result = run("logs", "7")
    assert "oh" in result.output
    assert "hello" in result.output
    assert "other" not in result.output


def test_an_empty_log_is_named(run, folder):
    (folder / "dask-worker-7.err").touch()
    assert run("logs", "7").output == f"==> {folder}/dask-worker-7.err <==\n(empty)\n"


@pytest.mark.parametrize("arguments", [["logs"], ["logs", "7"]])
def test_where_there_is_no_log_another_line_says_where_it_looked(run, folder, arguments):
    result = run(*arguments)
    assert result.exit_code == 1
    looked, error = result.output.splitlines()
    assert looked == f"Searched {folder}."
    assert error.startswith("Error: No ")


def test_of_many_folders_without_a_log_three_are_named(run, folder, state):
    state.mkdir(parents=True, exist_ok=True)
    forms = [f"/old{number}/dask-worker-{{job}}.err" for number in range(9)]
    (state / "past-logs").write_text("\n".join(forms))
    looked, _ = run("logs", "7").output.splitlines()
    assert looked == "Searched /old8, /old7, /old6 and 7 more."


@pytest.mark.parametrize("job", ["../../etc/passwd", "", "*"])
def test_what_is_no_jobs_id_is_refused(run, folder, job):
    result = run("logs", job)
    assert result.output == f"Error: {job!r} is not a job id; `dask hpc jobs` lists yours.\n"


def test_logs_of_clusters_are_found_from_any_folder_also_when_they_are_closed(
    run, cluster, state, tmp_path
):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "dask-worker-7.err").write_text("alive\n")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "dask-worker-3.err").write_text("closed\n")
    cluster("7")
    (state / "past-logs").write_text(f"{tmp_path}/old/dask-worker-{{job}}.err\n")
    with dask.config.set({"dask-hpc.batch-system": None}):
        assert "alive" in run("logs", "7").output
        assert "closed" in run("logs", "3").output


def test_logs_by_the_users_own_directives_are_found(run, folder, cluster, state, tmp_path):
    (tmp_path / "own-7.err").write_text("from the configuration\n")
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "8.txt").write_text("from a cluster that is there\n")
    (tmp_path / "far" / "9.log").write_text("from one that is gone\n")
    cluster("8", logs=[f"{tmp_path}/far/{{job}}.txt"])
    (state / "past-logs").write_text(f"{tmp_path}/far/{{job}}.log\n")
    with dask.config.set({"jobqueue.slurm.job-extra-directives": ["-e own-%j.err"]}):
        assert "from the configuration" in run("logs", "7").output
        assert "from a cluster that is there" in run("logs", "8").output
        assert "from one that is gone" in run("logs", "9").output
        assert f"Searched {tmp_path}/far, " in run("logs", "10").output


def test_without_a_log_directory_slurms_own_file_is_found(run, folder, tmp_path):
    (tmp_path / "slurm-7.out").write_text("of dask hpc run\n")
    with dask.config.set({"jobqueue.slurm.log-directory": None}):
        assert "of dask hpc run" in run("logs", "7").output


def test_jobs_shows_the_log_that_the_users_directives_name(run, cluster, slurm, tmp_path):
    cluster("7", logs=[f"{tmp_path}/own-{{job}}.err"])
    slurm.row("7", "RUNNING|None|node1|0:05|9:55")
    (tmp_path / "own-7.err").write_text("hello\n")
    assert f"    {tmp_path}/own-7.err" in run("jobs").output.splitlines()

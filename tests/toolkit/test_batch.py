"""The descriptions of batch systems: their grammar, their words, their commands."""

import math
import time
import tomllib
from pathlib import Path

import pytest

import dask_hpc
from dask_hpc import batch
from dask_hpc.batch import JobState, JobStatus, description, parsing

SLURM = batch.get("slurm")


# As the manuals have it: sbatch(1), --time; pbs_server_attributes(7B), Duration; sge_types(5),
# time_specifier; oarsub(1), --resource; bsub's reference, -W.
WALLTIMES = {
    "slurm": {
        "01:00:00": 3600,
        "1:02:03": 3723,
        "100:00:00": 360000,
        "30:00": 1800,  # two fields: minutes and seconds
        "90": 5400,  # a number alone: minutes
        "1-00": 86400,
        "1-12": 129600,
        "1-12:30": 131400,
        "2-00:00:01": 172801,
        " 00:00:30 ": 30,
        "UNLIMITED": math.inf,
    },
    "pbs": {
        "01:00:00": 3600,
        "1:02:03": 3723,
        "100:00:00": 360000,
        "30:00": 1800,  # minutes and seconds
        "90": 90,  # seconds
        " 00:00:30 ": 30,
    },
    "sge": {
        "01:00:00": 3600,
        "100:00:00": 360000,
        "1:0:1": 3601,
        "1::1": 3601,  # a zero may be left out
        "::30": 30,
        "90": 90,  # seconds
    },
    "oar": {
        "01:00:00": 3600,
        "1:02:03": 3723,
        "30:00": 108000,  # hours and minutes
        "90": 324000,  # hours
    },
    "lsf": {
        "01:00": 3600,
        "3:30": 12600,
        "210": 12600,  # minutes, which may be more than 59
        "0:90": 5400,
        "100:00": 360000,
        "3:30/hostA": 12600,  # as measured on that host or model
    },
}
NO_WALLTIMES = ["", "1h", "one", "01:00:00:00", "1:", "-5", "1.5", "0", "00:00", "1 day", "1e3"]
NO_WALLTIMES_OF = {
    "slurm": ["1-", "1-00:00:00:00", "00:00:00", ":30"],
    "pbs": ["1-00:00:00", "00:00:00", "UNLIMITED", ":30", "1::1"],
    "sge": ["1-00:00:00", "00:00:00", "30:00", "::", ":30", "0600", "0x10"],
    "oar": ["1-00:00:00", "00:00:00", "UNLIMITED", ":30", "1::1"],
    "lsf": ["1-00:00", "01:00:00", "UNLIMITED", ":30", "3:30/", "0:00"],
}


@pytest.mark.parametrize(
    ("name", "text", "seconds"),
    [(name, text, seconds) for name, table in WALLTIMES.items() for text, seconds in table.items()],
)
def test_walltime_is_read_as_the_batch_system_reads_it(name, text, seconds):
    assert batch.get(name).parse_walltime(text) == seconds


@pytest.mark.parametrize(
    ("name", "text"),
    [(name, text) for name, own in NO_WALLTIMES_OF.items() for text in NO_WALLTIMES + own],
)
def test_walltime_that_is_not_read_is_refused_in_one_line_with_the_forms(name, text):
    batch_system = batch.get(name)
    with pytest.raises(ValueError, match=r"^walltime .*HH:MM") as error:
        batch_system.parse_walltime(text)
    assert repr(text) in str(error.value)
    assert batch_system.walltime_forms in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("batch_system", batch.BATCH_SYSTEMS.values(), ids=lambda s: s.name)
def test_the_example_of_a_walltime_is_one_hour(batch_system):
    if batch_system.walltime_key is None:
        assert batch_system.walltime_example == batch_system.walltime_forms == ""
        with pytest.raises(ValueError, match="have no walltime"):
            batch_system.parse_walltime("01:00:00")
    else:
        assert batch_system.parse_walltime(batch_system.walltime_example) == 3600


def test_slurm_list_is_read_with_states_reasons_and_nodes():
    printed = (
        "Welcome to the cluster of 2024!\n"
        "17|PENDING|Resources||0:00|30:00\n"
        "18|PENDING|ReqNodeNotAvail, UnavailableNodes:node[1-3]||0:00|UNLIMITED\n"
        "19|RUNNING|None|node1|1-02:03:04|0:07\n"
        "20|CANCELLED by 1000|None|node2|12:00|NOT_SET\n"
        "21|OUT_OF_MEMORY|OutOfMemory|node2|1:00:00|INVALID\n"
        "22|A_STATE_OF_2030|None||INVALID|INVALID\n"
    )
    jobs = SLURM.parse_list(printed)
    assert jobs == [
        JobStatus("17", JobState.PENDING, "Resources"),
        JobStatus("18", JobState.PENDING, "ReqNodeNotAvail, UnavailableNodes:node[1-3]"),
        JobStatus("19", JobState.RUNNING, "", "node1"),
        JobStatus("20", JobState.CANCELLED, "", "node2"),
        JobStatus("21", JobState.OUT_OF_MEMORY, "OutOfMemory", "node2"),
        JobStatus("22", JobState.UNKNOWN),
    ]
    assert [job.elapsed for job in jobs] == [0, 0, 93784, 720, 3600, None]
    assert [job.left for job in jobs] == [1800, None, 7, None, None, None]


def test_every_slurm_state_has_one_of_ours_and_ended_ones_are_told_apart():
    ended = {word for word, state in SLURM.states.items() if state.ended}
    assert {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED"} <= ended
    assert not {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED"} & ended


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Resources", "waiting for a suitable free node (Resources)"),
        ("Priority", "higher-priority jobs are ahead"),
        ("PartitionNodeLimit", "exceeds the nodes or CPUs"),
        ("AssocGrpCpuLimit", "account's limit for all jobs together"),
        ("AssocGrpCPUMinutesLimit", "time granted to your account is used up"),
        ("AssocMaxJobsLimit", "your account's limit of running jobs"),
        ("AssocMaxCpuPerJobLimit", "exceeds a limit of your account"),
        ("QOSMaxJobsPerUserLimit", "your limit of running jobs is reached"),
        ("QOSMaxCpuPerUserLimit", "until another of your jobs ends"),
        ("QOSMaxWallDurationPerJobLimit", "limit of the quality of service (QOS)"),
        ("QOSGrpNodeLimit", "(QOS) limit for all jobs together"),
        ("ReqNodeNotAvail, UnavailableNodes:n1", "(ReqNodeNotAvail, UnavailableNodes:n1)"),
    ],
)
def test_slurm_reason_is_put_into_plain_words_with_its_own_after_them(reason, words):
    explained = SLURM.explain(reason)
    assert words in explained
    assert explained.endswith(f"({reason})")


def test_reason_that_is_not_known_is_shown_as_it_is():
    assert SLURM.explain("MoonIsFull") == "MoonIsFull"
    assert SLURM.explain("") == ""


def test_every_job_is_in_one_list_call_and_in_one_cancel_call():
    [ids] = [word for word in SLURM.list_command(["1", "2", "3"]) if word.startswith("--jobs")]
    assert ids == "--jobs=1,2,3"
    assert SLURM.cancel_command(["1", "2", "3"])[-3:] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("unrecognized option '--exclusiv'; Try \"sbatch --help\"", "job-extra-directives"),
        ("invalid option -- 'Y'", "job-extra-directives"),
        ("This does not look like a batch script.  The first line must start", "shebang"),
    ],
)
def test_a_refused_script_names_the_key_to_change(words, key):
    assert f"heck {key}" in SLURM.advice(words)


def test_a_value_with_a_blank_is_told_as_the_reason_of_an_invalid_directive():
    said = SLURM.advice("sbatch: error: Invalid directive found in batch script: such")
    assert "account or queue, contains a space" in said


@pytest.mark.parametrize(
    ("words", "skip"),
    [
        ("fatal: --mem, --mem-per-cpu, and --mem-per-gpu are mutually exclusive.", "--mem"),
        (
            "fatal: --cpus-per-task, --tres-per-task=cpu:#, and --cpus-per-gpu are mutually "
            "exclusive",
            "--cpus-per-task",
        ),
        (
            "fatal: You can not have --tres-per-task=cpu= and --cpus-per-task please use one or "
            "the other",
            "--cpus-per-task",
        ),
    ],
)
def test_directives_that_exclude_each_other_are_told_with_the_way_out(words, skip):
    assert f'job-directives-skip: ["{skip}"]' in SLURM.advice(words)


@pytest.mark.parametrize(
    ("name", "words", "names"),
    [
        ("slurm", ["--qos=x", "-J arena"], ["arena"]),
        ("slurm", ["--job-name='arena'", "-Jbeta"], ["beta", "arena"]),
        ("slurm", [], []),
        ("pbs", ["-N arena", "-V"], ["arena"]),
        ("lsf", ["-J", "arena[1-3]"], ["arena[1-3]"]),
    ],
)
def test_a_jobs_name_in_its_users_own_words_is_known(name, words, names):
    assert batch.get(name).own_names(words, {}) == names


def test_a_jobs_name_may_come_from_the_environment():
    assert SLURM.own_names([], {"SBATCH_JOB_NAME": "arena"}) == ["arena"]


def test_capacity_is_that_of_the_partition_asked_for_or_of_the_default_one():
    assert "--partition=long" in SLURM.capacity_command("long")
    assert SLURM.parse_capacity("long|0/128/0/128\n") == 128
    assert SLURM.parse_capacity("short*|3/61/0/64\nlong|0/128/0/128\n") == 64


@pytest.mark.parametrize("printed", ["", "no such thing\n", "long|n/a\n"])
def test_capacity_of_a_partition_that_is_not_listed_is_an_error(printed):
    with pytest.raises(ValueError, match="no such partition"):
        SLURM.parse_capacity(printed)


def test_the_table_of_batch_systems_has_only_keys_that_a_description_has():
    file = Path(description.__file__).with_name("systems.toml")
    table = tomllib.loads(file.read_text())
    assert list(table) == list(batch.BATCH_SYSTEMS)
    for about in table.values():
        assert set(about) <= set(description.Description.__annotations__)


def test_unknown_batch_system_is_refused_with_the_known_names():
    with pytest.raises(KeyError, match="slurm, pbs, sge, oar, lsf, htcondor, none"):
        batch.get("slrum")


def test_none_describes_that_there_is_nothing_to_ask():
    none = batch.get("none")
    assert none.cluster_class is None
    assert none.list_command(["1"]) == none.cancel_command(["1"]) == []


@pytest.mark.parametrize("batch_system", batch.BATCH_SYSTEMS.values(), ids=lambda s: s.name)
def test_description_names_a_class_and_a_section_that_exist(batch_system):
    from dask_hpc.config import files as config_files

    if batch_system.cluster_class is None:
        return
    assert getattr(dask_hpc, batch_system.cluster_class).batch is batch_system
    keys = config_files.jobqueue_defaults()[batch_system.section]
    own = {batch_system.account_key, batch_system.queue_key, batch_system.walltime_key} - {None}
    assert own | {*batch_system.required, *batch_system.not_requested} <= keys.keys()
    assert isinstance(keys["job-extra-directives"], batch_system.directives_type)
    # A key that the description says is not there is not there.
    assert {"account", "project", "queue", "walltime"} & keys.keys() == own


def test_slurms_settings_that_decide_about_latency_are_picked_from_scontrols_long_list():
    printed = (
        "Configuration data as of 2026-11-24T03:00:00\n"
        "AccountingStorageHost   = slurmdbd\n"
        "SchedulerParameters     = batch_sched_delay=0,bf_interval=2\n"
        "SLURM_VERSION           = 24.11.5\n"
        "\nSlurmctld(primary) at slurmctld is UP\n"
    )
    assert SLURM.parse_settings(printed) == {
        "SLURM_VERSION": "24.11.5",
        "SchedulerParameters": "batch_sched_delay=0,bf_interval=2",
    }


def test_the_longest_walltime_fits_into_32_bits():
    assert SLURM.parse_walltime("596523:14:07") == 2**31 - 1
    with pytest.raises(ValueError, match="68 years"):
        SLURM.parse_walltime("596523:14:08")


@pytest.mark.parametrize(
    ("now", "seconds"), [(0, 0.0), (0.5, 0.5), (100_000, 100_000.0), (-1, None)]
)
def test_seconds_since_a_time(monkeypatch, now, seconds):
    form, at = "%Y-%m-%d %H:%M:%S", "2026-11-28 12:00:00"
    begin = time.mktime(time.strptime(at, form))
    monkeypatch.setattr(parsing.time, "time", lambda: begin + now)
    assert parsing.seconds_since(at, form) == seconds

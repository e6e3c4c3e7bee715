"""What batch systems' commands print, in their own shapes, and what is read out of it."""

import re
import time

import pytest

from dask_hpc import batch
from dask_hpc.batch import JobState, JobStatus
from dask_hpc.batch.parsing import parse_duration, seconds_since
from dask_hpc.batch.state import merged

# OpenPBS 23.06, as it answered `qstat -f`, shortened; a value goes on after 78 characters. The last
# jobs are Torque's, which keeps ended ones listed for a while; its exit codes are of its
# src/include/pbs_job.h.
PBS = """\
Welcome to the cluster of 2026!
Job Id: 17.pbs.site.org
    Job_Name = dask-worker
    Job_Owner = alice@login1.site.org
    job_state = Q
    queue = workq
    Resource_List.select = 1:ncpus=2:mem=1024mb
    Variable_List = PBS_O_HOME=/home/alice,PBS_O_LANG=en_US.UTF-8,
\tPBS_O_LOGNAME=alice,PBS_O_PATH=/usr/bin:/bin,X=job_state = R
    comment = Not Running: Insufficient amount of resource: ncpus (R: 2 A: 0 T: 12
\t8)
    etime = Wed Nov 25 10:00:00 2026

Job Id: 18.pbs.site.org
    job_state = R
    resources_used.walltime = 00:20:05
    Resource_List.walltime = 01:00:00
    exec_host = node1/0*2+node2/0*2
    comment = Job run at Wed Nov 25 at 10:00 on (node1:ncpus=2:mem=1048576kb)

Job Id: 19.pbs.site.org
    job_state = H
    Hold_Types = u

Job Id: 20.torque
    job_state = C
    exec_host = node3/0-1
    exit_status = -11

Job Id: 21.torque
    job_state = C
    exit_status = 1

Job Id: 22.torque
    job_state = C
    exit_status = 0

Job Id: 23.pbs
    job_state = ?
"""

# Son of Grid Engine 8.1.9, as it answered `qstat -xml -u alice`, shortened.
SGE = """\
Welcome to the cluster of 2026!
<?xml version='1.0'?>
<job_info  xmlns:xsd="http://arc.liv.ac.uk/repos/darcs/sge/source/dist/util/resources/schemas">
  <queue_info>
    <job_list state="running">
      <JB_job_number>1</JB_job_number>
      <JAT_prio>0.75000</JAT_prio>
      <JB_name>dask-worker</JB_name>
      <JB_owner>alice</JB_owner>
      <state>r</state>
      <JAT_start_time>2026-11-25T22:34:34</JAT_start_time>
      <queue_name>all.q@node1.site.org</queue_name>
      <slots>2</slots>
    </job_list>
    <job_list state="running">
      <JB_job_number>2</JB_job_number>
      <state>dr</state>
      <queue_name>all.q@node1.site.org</queue_name>
    </job_list>
  </queue_info>
  <job_info>
    <job_list state="pending">
      <JB_job_number>8</JB_job_number>
      <state>qw</state>
      <JB_submission_time>2026-11-25T22:34:30</JB_submission_time>
      <queue_name></queue_name>
    </job_list>
    <job_list state="pending">
      <JB_job_number>12</JB_job_number>
      <state>Eqw</state>
      <queue_name></queue_name>
    </job_list>
    <job_list state="pending">
      <JB_job_number>3</JB_job_number>
      <state>hqw</state>
      <queue_name></queue_name>
    </job_list>
    <job_list state="pending">
      <JB_job_number>4</JB_job_number>
      <state>?</state>
      <queue_name></queue_name>
    </job_list>
  </job_info>
</job_info>
"""

# OAR 2.5.9, as it answered `oarstat --full`, shortened. A job's command is the script itself, which
# may hold anything.
OAR = """\
Welcome to the cluster of 2026!
Job_Id: 7
    job_array_id = 7
    name = dask-worker
    state = Running
    startTime = 2026-11-25 22:52:02
    wanted_resources = -l "{type = 'default'}/network_address=1/core=2,walltime=0:5:0"
    assigned_hostnames = node1.site.org+node2.site.org
    command = sleep 30
echo "    state = Fake"
Job_Id: 99 of old
    message = R=2,W=0:5:0,J=B,N=dask-worker (Karma=0.000,quota_ok)
    scheduledStart = 2026-11-25 22:52:02
    events =

Job_Id: 8
    state = Terminated
    assigned_hostnames = node1
    exit_code = 768 (3,0,0)
    message = R=2,W=0:5:0,J=B,P=lab (Karma=0.000,quota_ok)
    scheduledStart = no prediction
    events =
2026-11-25 22:51:51> SWITCH_INTO_TERMINATE_STATE:[bipbip 8] Ask to change the job state

Job_Id: 9
    state = Waiting
    assigned_hostnames =
    message = R=4,W=1:30:0,J=B (Karma=0.000,quota_ok)
    scheduledStart = 2026-11-25 22:57:52
    events =

Job_Id: 10
    state = Hold
    message = R=1,W=1:0:0,J=B
    scheduledStart = no prediction
    events =

Job_Id: 3
    state = Waiting
    message = No enough matching resources (no_matching_slot)
    scheduledStart = no prediction
    events =

Job_Id: 11
    state = Error
    assigned_hostnames = node1
    message = R=2,W=0:0:20,J=B (Karma=0.000,quota_ok)
    events =
2026-11-25 22:52:25> WALLTIME:[sarko] Job [11] from 1795647122 with 20; (Elapsed)
2026-11-25 22:52:26> SEND_KILL_JOB:[Leon] Send the kill signal to oarexec on node1 for job 11
2026-11-25 22:52:27> SWITCH_INTO_ERROR_STATE:[bipbip 11] Ask to change the job state

Job_Id: 1
    state = Error
    assigned_hostnames = node1
    message = One or several nodes are not responding correctly
    events =
2026-11-25 22:50:46> PING_CHECKER_NODE_SUSPECTED:[bipbip] OAR suspects nodes for the job 1 : node1
2026-11-25 22:50:47> RESUBMIT_JOB_AUTOMATICALLY:[NodeChangeState] Resubmiting job 1 => 5)

2026-11-25 22:51:01> FRAG_JOB_REQUEST:User alice requested to frag the job 1

Job_Id: 12
    state = Terminated
    exit_code = 0 (0,0,0)
    events =

"""

# LSF 10.1: rows as in AiiDA's tests of its LSF plug-in (fields jobid, stat, exit_reason,
# exec_host, there among others), states of IBM's reference.
LSF = """\
Welcome | to | the | cluster
764213236|EXIT|b681e480bd|TERM_RUNLIMIT: job killed after reaching LSF run time limit
764220165|PEND|-|-
764254593|RUN|lxbsu2710|-
764254594|RUN|8*hostA:8*hostB|-
764254595|PSUSP|-|-
764254596|EXIT|hostA|-
764254597|EXIT|hostA|TERM_OWNER: job killed by owner
764254598|DONE|hostA|-
764254599|UNKWN|hostA|-
764254600|NEW2030|-|-
"""

# HTCondor 23.9, as it answered `condor_q -af`: a space between values, "undefined" for none.
HTCONDOR = """\
Welcome to the cluster of 2026!
452 1 undefined undefined
453 2 slot1_1@node1.site.org undefined
454 5 undefined Error from slot1_1@node1: Job has gone over cgroup memory limit of 1 megabytes.
455 5 undefined via condor_hold (by user alice)
456 4 undefined undefined
457 9 undefined undefined
"""

READ = {
    "pbs": (
        PBS,
        [
            JobStatus(
                "17",
                JobState.PENDING,
                "Not Running: Insufficient amount of resource: ncpus (R: 2 A: 0 T: 128)",
            ),
            JobStatus("18", JobState.RUNNING, "", "node1"),
            JobStatus("19", JobState.PENDING, "H"),
            JobStatus("20", JobState.TIMEOUT, "", "node3"),
            JobStatus("21", JobState.FAILED),
            JobStatus("22", JobState.DONE),
            JobStatus("23", JobState.UNKNOWN),
        ],
    ),
    "sge": (
        SGE,
        [
            JobStatus("1", JobState.RUNNING, "", "node1.site.org"),
            JobStatus("2", JobState.ENDING, "", "node1.site.org"),
            JobStatus("8", JobState.PENDING),
            JobStatus("12", JobState.PENDING, "Eqw"),
            JobStatus("3", JobState.PENDING, "hqw"),
            JobStatus("4", JobState.UNKNOWN),
        ],
    ),
    "oar": (
        OAR,
        [
            JobStatus("7", JobState.RUNNING, "", "node1.site.org"),
            JobStatus("8", JobState.FAILED, "", "node1"),
            JobStatus("9", JobState.PENDING, "scheduledStart 2026-11-25 22:57:52"),
            JobStatus("10", JobState.PENDING, "Hold"),
            JobStatus("3", JobState.PENDING, "No enough matching resources (no_matching_slot)"),
            JobStatus("11", JobState.TIMEOUT, "WALLTIME", "node1"),
            JobStatus("1", JobState.NODE_FAIL, "PING_CHECKER_NODE_SUSPECTED", "node1"),
            JobStatus("12", JobState.DONE),
        ],
    ),
    "lsf": (
        LSF,
        [
            JobStatus("764213236", JobState.TIMEOUT, "TERM_RUNLIMIT", "b681e480bd"),
            JobStatus("764220165", JobState.PENDING),
            JobStatus("764254593", JobState.RUNNING, "", "lxbsu2710"),
            JobStatus("764254594", JobState.RUNNING, "", "hostA"),
            JobStatus("764254595", JobState.PENDING, "PSUSP"),
            JobStatus("764254596", JobState.FAILED, "", "hostA"),
            JobStatus("764254597", JobState.CANCELLED, "TERM_OWNER", "hostA"),
            JobStatus("764254598", JobState.DONE, "", "hostA"),
            JobStatus("764254599", JobState.RUNNING, "", "hostA"),
            JobStatus("764254600", JobState.UNKNOWN),
        ],
    ),
    "htcondor": (
        HTCONDOR,
        [
            JobStatus("452", JobState.PENDING),
            JobStatus("453", JobState.RUNNING, "", "node1.site.org"),
            JobStatus(
                "454",
                JobState.PENDING,
                "Error from slot1_1@node1: Job has gone over cgroup memory limit of 1 megabytes.",
            ),
            JobStatus("455", JobState.PENDING, "via condor_hold (by user alice)"),
            JobStatus("456", JobState.DONE),
            JobStatus("457", JobState.UNKNOWN),
        ],
    ),
}


@pytest.mark.parametrize("name", READ)
def test_a_list_is_read_with_states_reasons_and_nodes(name):
    printed, expected = READ[name]
    assert batch.get(name).parse_list(printed) == expected


def test_how_long_a_job_has_run_is_told_where_the_list_says_it(monkeypatch):
    now = time.mktime((2026, 11, 25, 23, 0, 0, 0, 0, -1))
    monkeypatch.setattr("dask_hpc.batch.parsing.time.time", lambda: now)
    times = {
        name: {job.job: (job.elapsed, job.left) for job in batch.get(name).parse_list(printed)}
        for name, (printed, _) in READ.items()
    }
    assert times["pbs"]["18"] == (1205, 2395)
    assert times["sge"]["1"] == (1526, None)
    assert times["oar"]["7"] == (478, None)
    told = [(name, job) for name, jobs in times.items() for job in jobs if any(jobs[job])]
    assert told == [("pbs", "18"), ("sge", "1"), ("oar", "7")]


@pytest.mark.parametrize("text", ["INVALID", "", "soon", "9:99:99:99"])
def test_what_is_no_time_is_none(text):
    assert parse_duration(text) is None
    assert seconds_since(text, "%Y-%m-%d") is None


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("printed", ["", "\n", "Welcome!\n", "<?xml version='1.0'?>\n<broken"])
def test_a_list_without_jobs_is_empty(name, printed):
    assert batch.get(name).parse_list(printed) == []


@pytest.mark.parametrize("name", READ)
def test_all_jobs_are_in_one_list_call_and_in_one_cancel_call(name):
    batch_system = batch.get(name)
    assert batch_system.cancel_command(["1", "2", "3"])[1:] == ["1", "2", "3"]
    words = batch_system.list_command(["1", "2", "3"])
    # Grid Engine lists the user's jobs, all of them.
    assert [word for word in words if word.isdigit()] == ([] if name == "sge" else ["1", "2", "3"])


@pytest.mark.parametrize("name", READ)
def test_every_state_of_a_list_is_one_of_ours_and_most_are_not_over(name):
    states = batch.get(name).states.values()
    assert all(isinstance(state, JobState) for state in states)
    assert {JobState.PENDING, JobState.RUNNING} <= set(states)
    assert JobState.DONE in states


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("pbs", "H", "held"),
        (
            "pbs",
            "Not Running: Insufficient amount of resource: ncpus (R: 2 A: 0 T: 8)",
            "waiting for a suitable free node",
        ),
        (
            "pbs",
            "Can Never Run: Insufficient amount of resource: ncpus (R: 99 A: 8 T: 8)",
            "no node is large enough",
        ),
        ("pbs", "Not Running: User has reached queue workq running job limit.", "your limit"),
        ("pbs", "Not Running: would exceed user alice's limit on resource ncpus", "your limit"),
        (
            "pbs",
            "Not Running: Queue not started.",
            "the queue accepts jobs but currently starts none",
        ),
        (
            "pbs",
            "Not Running: Job would break strict sorted order",
            "higher-priority jobs are ahead",
        ),
        ("sge", "Eqw", "failed to start"),
        ("sge", "Ehqw", "failed to start"),
        ("sge", "hqw", "held"),
        ("sge", "hRwq", "held"),
        ("sge", "Rq", "requeued after a node failure"),
        ("oar", "Hold", "held"),
        ("oar", "scheduledStart 2026-11-25 22:57:52", "start scheduled by OAR"),
        (
            "oar",
            "No enough matching resources (no_matching_slot)",
            "waiting for a suitable free node",
        ),
        ("lsf", "PSUSP", "held"),
        ("lsf", "TERM_MEMLIMIT", "exceeded the requested memory"),
        ("htcondor", "via condor_hold (by user alice)", "held: release with `condor_release`"),
        (
            "htcondor",
            "Error from slot1_1@node1: Job has gone over cgroup memory limit of 1024 megabytes.",
            "memory use exceeded the request",
        ),
    ],
)
def test_a_reason_is_put_into_plain_words_with_its_own_after_them(name, reason, words):
    explained = batch.get(name).explain(reason)
    assert words in explained
    assert explained.endswith(f"({reason})")


BANNER = "Maintenance on 24 Dec. 2026, tickets to 4711\n17\t18\n"


@pytest.mark.parametrize(
    ("name", "printed", "job"),
    [
        ("slurm", "Submitted batch job 123", "123"),
        ("pbs", "123.pbs.site.org", "123"),
        ("pbs", "123.pbs", "123"),
        ("pbs", "123", "123"),
        ("pbs", "123[].pbs.site.org", "123[]"),
        ("sge", 'Your job 123 ("dask-worker") has been submitted', "123"),
        ("sge", "123", "123"),  # qsub -terse
        ("sge", 'Your job-array 123.1-3:1 ("dask-worker") has been submitted', "123"),
        ("sge", "123.1-3:1", "123"),
        (
            "oar",
            "[ADMISSION RULE] Set default walltime to 7200.\nGenerate a job key...\nOAR_JOB_ID=123",
            "123",
        ),
        ("lsf", "Job <123> is submitted to default queue <normal>.", "123"),
        ("lsf", "Job <123> is submitted to queue <short-1>.", "123"),
        ("htcondor", "Submitting job(s).\n1 job(s) submitted to cluster 123.", "123"),
        ("htcondor", "123.0 - 123.0", "123"),  # condor_submit -terse
    ],
)
def test_a_jobs_id_is_found_behind_a_sites_banner(name, printed, job):
    pattern = batch.get(name).job_id_pattern
    for text in (printed, f"{printed}\n", f"{BANNER}{printed}\n", f"{printed}\r\n{BANNER}"):
        assert re.search(pattern, text)["job_id"] == job


@pytest.mark.parametrize("name", ["slurm", *READ])
@pytest.mark.parametrize("printed", [BANNER, "", "OAR_JOB_ID=-5\n", "error 7\n"])
def test_no_jobs_id_is_found_where_there_is_none(name, printed):
    assert re.search(batch.get(name).job_id_pattern, printed) is None


@pytest.mark.parametrize(
    ("name", "lines", "over"),
    [
        ("pbs", ["Unknown Job Id 1.pbs", "Job has finished 2.pbs"], True),
        ("pbs", ["Unknown Job Id 1.pbs", "Unauthorized Request 2.pbs"], False),
        ("sge", ["alice has deleted job 8", 'denied: job "999" does not exist'], True),
        ("sge", ["error: commlib error: got select error"], False),
        ("oar", ["Cannot frag 1 ; This job was already killed."], True),
        ("oar", ["Cannot frag 99 ; You are not the right user."], False),
        ("lsf", ["Job <1>: Job has already finished", "Job <2>: No matching job found"], True),
        ("lsf", ["LSF is down. Please wait ..."], False),
        ("htcondor", ["Couldn't find/remove all jobs in cluster 7"], True),
        (
            "htcondor",
            ["Failed to connect to schedd", "Couldn't find/remove all jobs in cluster 7"],
            False,
        ),
        ("slurm", [], False),
    ],
)
def test_a_command_that_failed_only_since_jobs_are_over_is_told_from_others(name, lines, over):
    assert batch.get(name).means_already_gone(lines) is over


@pytest.mark.parametrize(
    ("name", "printed", "version"),
    [
        ("pbs", "pbs_version = 23.06.06\n", "23.06.06"),
        ("sge", "SGE 8.1.9\nusage: qstat [options]\n", "SGE 8.1.9"),
        ("oar", "OAR version : 2.5.9 (Canicule)\n", "2.5.9 (Canicule)"),
        (
            "lsf",
            "IBM Spectrum LSF Standard 10.1.0.0, Jul 08 2016\nCopyright International Business\n",
            "10.1.0.0",
        ),
        (
            "htcondor",
            "$CondorVersion: 23.0.0 2023-09-29 BuildID: 678 $\n$CondorPlatform: x86_64 $\n",
            "23.0.0",
        ),
    ],
)
def test_a_batch_systems_version_is_told(name, printed, version):
    batch_system = batch.get(name)
    assert batch_system.parse_settings(printed) == {"version": version}
    assert batch_system.parse_settings("") == {}
    assert batch_system.settings_command


def test_the_capacity_of_a_grid_engine_queue_is_all_of_its_slots():
    sge = batch.get("sge")
    printed = (
        "CLUSTER QUEUE                   CQLOAD   USED    RES  AVAIL  TOTAL aoACDS  cdsuE  \n"
        "--------------------------------------------------------------------------------\n"
        "all.q                             0.61      2      0      6      8      0      0 \n"
    )
    assert sge.capacity_command("all.q")[-1] == "all.q"
    assert sge.capacity_command(None) == []  # whichever the job may use
    assert sge.parse_capacity(printed) == 8
    with pytest.raises(ValueError, match="no such queue"):
        sge.parse_capacity("\n".join(printed.splitlines()[:2]))


def test_the_capacity_of_an_htcondor_pool_is_that_of_its_slots():
    htcondor = batch.get("htcondor")
    assert htcondor.parse_capacity("64\n64\n128\n") == 256
    with pytest.raises(ValueError, match="no slots"):
        htcondor.parse_capacity("")


# What the accounting prints: sacct as on the testbed, `qstat -xf` by OpenPBS's source, qacct by its
# manual, condor_history by its. What is none of it is a site's banner, or Torque's XML.
ACCOUNTS = {
    "slurm": (
        "5|CANCELLED by 1000|0:0|None assigned|00:00:00|dask-worker\n"
        "6|OUT_OF_MEMORY|0:125|node1|00:00:09|dask-worker\n"
        "8|RESIZING|0:0|node[1-2]|00:00:05|dask-worker\n"
        "8|NODE_FAIL|0:0|node2|00:00:09|dask-worker\n"
        "7_0|COMPLETED|0:0|node1|00:00:09|a|b\n"
        "7_[1-2]|PENDING|0:0|None assigned|00:00:00|a|b\n",
        [
            JobStatus("5", JobState.CANCELLED),
            JobStatus("6", JobState.OUT_OF_MEMORY, "OutOfMemory", "node1"),
            JobStatus("8", JobState.NODE_FAIL, node="node2"),
            JobStatus("7", JobState.PENDING),
        ],
    ),
    "pbs": (
        "Job Id: 5.pbs\n    job_state = F\n    substate = 91\n    Exit_status = 271\n"
        "Job Id: 6.pbs\n    job_state = F\n    substate = 92\n    Exit_status = 0\n"
        "Job Id: 7.pbs\n    job_state = F\n    substate = 93\n    Exit_status = -29\n"
        "    exec_host = node1/0\n"
        "<Data><Job><Job_Id>8.pbs</Job_Id><job_state>C</job_state></Job></Data>\n",
        [
            JobStatus("5", JobState.CANCELLED),
            JobStatus("6", JobState.DONE),
            JobStatus("7", JobState.TIMEOUT, node="node1"),
        ],
    ),
    "sge": (
        "=" * 62 + "\nqname        all.q\nhostname     node1\njobname      dask-worker\n"
        "jobnumber    5\ntaskid       undefined\nfailed       0\nexit_status  0\n"
        + "="
        * 62
        + "\nhostname     node1\njobnumber    6\n"
        "failed       37  : qmaster enforced h_rt, h_cpu, or h_vmem limit\nexit_status  137\n"
        + "="
        * 62
        + "\nhostname     node2\njobnumber    7\nfailed       100 : assumedly after job\n"
        "exit_status  137\ndeleted_by   alice@login1\n",
        [
            JobStatus("5", JobState.DONE, node="node1"),
            JobStatus("6", JobState.TIMEOUT, node="node1"),
            JobStatus("7", JobState.CANCELLED, node="node2"),
        ],
    ),
    "htcondor": (
        "5 4 0 slot1_1@node1\n6 4 1 slot1_1@node1\n7 3 undefined undefined\n",
        [
            JobStatus("5", JobState.DONE, node="node1"),
            JobStatus("6", JobState.FAILED, node="node1"),
            JobStatus("7", JobState.CANCELLED),
        ],
    ),
}


@pytest.mark.parametrize("name", ACCOUNTS)
def test_how_a_job_ended_is_read_out_of_the_accounting(name):
    printed, statuses = ACCOUNTS[name]
    read = batch.get(name).parse_accounting(f"{BANNER}{printed}")
    assert read == statuses


@pytest.mark.parametrize("name", ["slurm", *READ])
def test_the_accounting_is_asked_about_all_jobs(name):
    commands = batch.get(name).accounting_commands(["1", "2"])
    assert bool(commands) == (name in ACCOUNTS)
    words = re.split(r"\W", " ".join(word for command in commands for word in command))
    assert not commands or {"1", "2"} <= set(words)


@pytest.mark.parametrize(
    ("name", "printed", "status"),
    [
        (
            "pbs",
            "Job Id: 7[].pbs\n    job_state = B\n",
            JobStatus("7[]", JobState.RUNNING),
        ),
        (
            "pbs",
            "Job Id: 7[1].pbs\n    job_state = X\nJob Id: 7[2].pbs\n    job_state = R\n"
            "    exec_host = node1/0\n",
            JobStatus("7[]", JobState.RUNNING, node="node1"),
        ),
        (
            "sge",
            "<?xml version='1.0'?><job_info><job_list><JB_job_number>7</JB_job_number>"
            "<state>r</state><queue_name>all.q@node1</queue_name><tasks>1</tasks></job_list>"
            "<job_list><JB_job_number>7</JB_job_number><state>qw</state><queue_name></queue_name>"
            "<tasks>2-3:1</tasks></job_list></job_info>",
            JobStatus("7", JobState.RUNNING, node="node1"),
        ),
        (
            "lsf",
            "7|DONE|node1|-\n7|RUN|node2|-\n7[3]|PEND|-|-\n",
            JobStatus("7", JobState.RUNNING, node="node2"),
        ),
    ],
)
def test_an_array_is_one_job(name, printed, status):
    assert batch.get(name).parse_list(printed) == [status]


def test_an_array_ends_with_its_last_task_and_in_the_way_of_the_worst():
    states = [JobState.DONE, JobState.TIMEOUT, JobState.DONE]
    assert merged(JobStatus("7", state) for state in states)[0].state is JobState.TIMEOUT


def test_the_time_left_is_that_of_the_task_that_ends_first():
    parts = [JobStatus("7", JobState.RUNNING, elapsed=10.0 * n, left=90.0 - n) for n in (1, 3, 2)]
    [status] = merged(parts)
    assert (status.elapsed, status.left) == (30.0, 87.0)


@pytest.mark.parametrize(
    ("name", "changes", "stays"),
    [
        ("slurm", "SQUEUE_STATES SCANCEL_USER SLURM_TIME_FORMAT", "SLURM_CONF SLURM_CLUSTERS"),
        ("pbs", "PBS_QSTAT_EXECONLY PBS_QSTAT_NO_COMPLETE PBSDEBUG", "PBS_DEFAULT PBS_SERVER"),
        ("sge", "SGE_LONG_QNAMES SGE_SINGLE_LINE SGE_DEBUG_LEVEL", "SGE_ROOT SGE_CELL"),
        ("oar", "LC_MESSAGES", "OARCONFFILE"),
        ("lsf", "LSB_BJOBS_FORMAT LSB_DISPLAY_YEAR LSB_SHORT_HOSTLIST", "LSF_ENVDIR"),
        ("htcondor", "_condor_CONDOR_Q_ONLY_MY_JOBS _CONDOR_TOOL_DEBUG", "_CONDOR_SCHEDD_HOST"),
    ],
)
def test_variables_that_change_what_is_read_are_left_out_and_those_that_say_where_are_not(
    name, changes, stays
):
    environ = dict.fromkeys([*changes.split(), *stays.split(), "LC_ALL", "PATH"], "own")
    left = batch.get(name).reading(environ)
    assert left == {**dict.fromkeys([*stays.split(), "PATH"], "own"), "LC_ALL": "C"}

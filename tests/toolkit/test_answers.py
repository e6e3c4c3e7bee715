"""The answers of answers.yaml, as settings: what a cluster and `dask hpc setup` make of them."""

import re
from pathlib import Path

import dask
import pytest
import yaml

import dask_hpc
from dask_hpc import ConfigError
from dask_hpc import batch as batch_systems
from dask_hpc.cluster.job_script import WAITING
from dask_hpc.config import files, resolve
from dask_hpc.config.lint import lint

# What is warned of is not tested here, but what is refused.
pytestmark = pytest.mark.filterwarnings("ignore::dask_hpc.ConfigWarning")

FILE = Path("config/jobqueue.yaml")
BATCH = [batch for batch in batch_systems.BATCH_SYSTEMS.values() if batch.cluster_class]
TABLE = yaml.safe_load(Path(__file__).with_name("answers.yaml").read_text())
ROWS = [
    (batch, question, answer, verdict, words)
    for question, name, answer, verdict, words in TABLE
    for batch in BATCH
    if name in ("every", batch.name) and not (question == "walltime" and batch.walltime_key is None)
]


def key(batch, question):
    """Return the key of `batch`'s section that a question's answer goes to, or None."""
    if question in ("account", "queue"):
        return {"account": batch.account_key, "queue": batch.queue_key}[question]
    return {"worker_interface": "interface"}.get(question, question)


def settings(batch, question, answer):
    """Return the section of a good jobqueue.yaml with this answer, as somebody would write it."""
    section = {"cores": 12, "memory": "24 GiB", "processes": 4}
    section |= {"disk": "1 GiB"} if "disk" in batch.required else {}
    section |= {batch.walltime_key: batch.walltime_example} if batch.walltime_key else {}
    # What such a job needs besides; it is not what is tested here.
    section |= {
        name: ["-pe smp 12"] if "directives" in name else "m" for name in batch.not_requested
    }
    if question in ("cores", "processes"):
        # 0128 is what the template writes as 128; YAML would take it for another number.
        section[question] = (
            int(answer) if re.fullmatch("[0-9]+", answer) else yaml.safe_load(answer)
        )
    elif question == "scheduler_interface":
        section["scheduler-options"] = {"interface": answer}
    else:
        section[key(batch, question) or question] = answer
    return section


def refusal(batch, section):
    """Return the error with which a cluster is refused; empty if it is not refused."""
    with dask.config.set({f"jobqueue.{batch.section}": section}):
        try:
            resolve.resolve(batch, {})
        except ConfigError as error:
            return str(error)
    return ""


def job_script(batch, section):
    """Return the job script of a cluster without arguments."""
    whole = {**files.jobqueue_defaults()[batch.section], **section}
    with dask.config.set({f"jobqueue.{batch.section}": whole}):
        # What the scheduler is told is not in the script, and has to exist on this computer.
        own = {"interface": "lo", "dashboard_address": ":0"}
        with getattr(dask_hpc, batch.cluster_class)(scheduler_options=own) as cluster:
            # Without what comes after the worker's command, and what makes its folder.
            script = cluster.job_script().replace(WAITING, "").rstrip()
            scratch = r"dask_scratch=''\ndask_scratch=\$\(.*?\) \|\| exit 1\n"
            return re.sub(scratch, "", script, flags=re.DOTALL)


def warnings(batch, section):
    """Return what `dask hpc setup` says of a file with this section."""
    return lint([(FILE, {"jobqueue": {batch.section: section}})])


@pytest.mark.parametrize(
    ("batch", "question", "answer", "verdict", "words"),
    ROWS,
    ids=lambda value: value.name if isinstance(value, batch_systems.BatchSystem) else None,
)
def test_an_answer_gets_what_the_table_says(
    batch, question, answer, verdict, words, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    section = settings(batch, question, answer)
    error, warned = refusal(batch, section), warnings(batch, section)
    for line in (error, *warned):
        assert len(line.splitlines()) <= 1
    if verdict == "taken":
        assert (error, warned) == ("", [])
        lines = job_script(batch, section).splitlines()
        assert any(words in line for line in lines)
        # The shell sets variables, runs the worker's command, the last line, and nothing else.
        ours = (batch.directive, "export ")
        assert not [line for line in lines[1:-1] if line and not line.startswith(ours)]
    else:
        assert any(words in line for line in (error, *warned)), (error, warned)

"""Bad answers are refused in one line each, odd ones arrive unchanged."""

import importlib.util

import pytest
import yaml
from cookiecutter.exceptions import FailedHookException

from dask_hpc import schedulers

from .conftest import ANSWERS, REPOSITORY
from .test_render import SCHEDULERS


def load_hook(name):
    """Import a hook as it stands in the repository; it does nothing until it is run."""
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "hooks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pre_gen = load_hook("pre_gen_project")

REFUSED = [
    ("project_slug", "My Lab", "my-lab"),
    ("project_slug", "my_lab", "my-lab"),
    ("project_slug", "-lab", "lab"),
    ("project_slug", "lab-", "lab"),
    ("project_slug", "3d-lab", "d-lab"),
    ("project_slug", "labör", "letters"),
    ("project_slug", "lab\n", "lab"),
    ("project_slug", "x'); import os; ('", "letters"),
    ("project_slug", "test", "test-lab"),
    ("project_slug", "class", "class-lab"),
    ("project_slug", "statistics", "statistics-lab"),
    ("project_slug", "dask-hpc", "dask-hpc-lab"),
    ("project_slug", "dask", "dask-lab"),
    ("scheduler", "slurmm", "slurm, none"),
    ("cores", "0", "1 or more"),
    ("cores", "-8", "1 or more"),
    ("cores", "eight", "1 or more"),
    ("cores", "8.5", "1 or more"),
    ("cores", "", "1 or more"),
    ("cores", "²", "1 or more"),
    ("processes", "0", "1 or more"),
    ("processes", "many", "1 or more"),
    ("processes", "5", "divides the 12 cores"),
    ("processes", "24", "divides the 12 cores"),
    ("memory", "16", "16 GiB"),
    ("memory", "16 GB", "16 GiB"),
    ("memory", "16G", "16 GiB"),
    ("memory", "500 mb", "500 MiB"),
    ("memory", "0 GiB", "more than nothing"),
    ("memory", "-4 GiB", "16 GiB"),
    ("memory", "lots", "16 GiB"),
    ("memory", "", "16 GiB"),
    ("walltime", "1h", "HH:MM:SS"),
    ("walltime", "01.00.00", "HH:MM:SS"),
    ("walltime", "1 day", "HH:MM:SS"),
    ("walltime", "-01:00:00", "HH:MM:SS"),
    ("walltime", "00:00:00", "more than nothing"),
    ("walltime", "", "HH:MM:SS"),
    ("worker_interface", "ib 0", "ip address"),
    ("worker_interface", " ", "ip address"),
    ("worker_interface", "ib0\n", "ip address"),
    ("scheduler_interface", "eth0, ib0", "ip address"),
    ("scheduler_interface", "an-interface-longer-than-linux-has", "ip address"),
]

TAKEN = [
    ("project_slug", "a"),
    ("project_slug", "lab2-b"),
    ("cores", "128"),
    ("processes", "12"),
    ("processes", "1"),
    ("memory", "512 MiB"),
    ("memory", "1.5TiB"),
    ("memory", "16gib"),
    ("walltime", "1:00:00"),
    ("walltime", "2-00:00:00"),
    ("worker_interface", ""),
    ("worker_interface", "enp1s0f0np0"),
    ("scheduler_interface", "eth0.100"),
]

# Answers that YAML, Python, a shell or Jinja might take for something else than text.
ODD = [
    "00123",
    "yes",
    "null",
    "1e3",
    "# none",
    "a: b",
    "- a",
    "it's",
    'the "best" lab',
    '"""',
    "'''; raise SystemExit('it ran')",
    "back\\slash\\",
    "$(rm -rf ~)",
    "%s %d",
    "two\nlines",
    "<b>&amp;",
    "Müller",
    "实验室",
    "🐳 lab",
    "a\x85\u2028b",
]


@pytest.mark.parametrize(("question", "answer", "remedy"), REFUSED)
def test_a_bad_answer_is_named_in_one_line_with_the_remedy(question, answer, remedy):
    lines = pre_gen.problems({**ANSWERS, question: answer})
    assert len(lines) == 1
    assert lines[0].startswith(question)
    assert remedy in lines[0]
    assert "\n" not in lines[0]


WALLTIMES = ["30", "30:00", "1:00:00", "01:00:00", "100:00:00", "1-0", "1-12:30", "7-00:00:00"]
WALLTIMES += ["UNLIMITED", "infinite", "0", "00:00", "0-00:00:00", "", "1h", "1:2:3:4", "1-", "-1"]
WALLTIMES += ["1.5", "01:00:00\n1", "1 day", "1-2-3", ":30", "30:", "1e3", "forever"]


@pytest.mark.parametrize("text", WALLTIMES)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_template_and_toolkit_agree_on_walltimes(scheduler, text):
    description = schedulers.get(scheduler)
    if description.cluster_class is None:
        assert pre_gen.check_walltime(scheduler, text) is None
        return
    try:
        description.parse_walltime(text)
    except ValueError:
        assert pre_gen.check_walltime(scheduler, text)
    else:
        assert pre_gen.check_walltime(scheduler, text) is None


@pytest.mark.parametrize(("question", "answer"), TAKEN)
def test_a_good_answer_is_taken(question, answer):
    assert pre_gen.problems({**ANSWERS, question: answer}) == []


def test_the_hook_knows_the_choices_of_the_question():
    assert list(pre_gen.WALLTIMES) == SCHEDULERS


def test_every_bad_answer_gets_its_own_line():
    lines = pre_gen.problems({**ANSWERS, "cores": "0", "memory": "1", "walltime": "?"})
    assert [line.split()[0] for line in lines] == ["cores", "memory", "walltime"]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("project_slug", "My Lab"),
        ("cores", "0"),
        ("memory", "16 GB"),
        ("processes", "3"),
        ("walltime", "soon"),
        ("worker_interface", "ib 0"),
        ("scheduler_interface", "eth0 "),
    ],
)
def test_cookiecutter_stops_with_our_line_and_writes_nothing(
    render, tmp_path, capfd, question, answer
):
    with pytest.raises(FailedHookException):
        render(**{"cores": "8", "processes": "8", question: answer})
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith("ERROR:")]
    assert len(errors) == 1
    assert errors[0].startswith(f"ERROR: {question} ")
    assert list((tmp_path / "rendered").iterdir()) == []


def test_a_bad_answer_leaves_an_existing_project_alone(render_to, tmp_path):
    project = render_to(tmp_path)
    (project / "src/my_lab/ours.py").write_text("answer = 42\n")
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    with pytest.raises(FailedHookException):
        render_to(tmp_path, overwrite=True, memory="16 GB", account="other")
    after = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    assert after == before


def test_a_choice_that_does_not_exist_is_refused(render, tmp_path):
    with pytest.raises(ValueError, match="slurmm"):
        render(scheduler="slurmm")
    assert not (tmp_path / "rendered").exists()


@pytest.mark.parametrize("answer", ODD)
def test_odd_texts_arrive_unchanged(render, answer):
    config = yaml.safe_load(
        (render(account=answer, queue=answer) / "config/jobqueue.yaml").read_text()
    )
    slurm = config["jobqueue"]["slurm"]
    assert (slurm["account"], slurm["queue"]) == (answer, answer)


@pytest.mark.parametrize("blank", ["", "  "])
def test_blank_answers_leave_the_line_out_and_say_what_to_ask(render, blank):
    text = (render(account=blank, queue=blank) / "config/jobqueue.yaml").read_text()
    slurm = yaml.safe_load(text)["jobqueue"]["slurm"]
    assert not {"account", "queue", "interface"} & set(slurm)
    assert "interface" not in slurm["scheduler-options"]
    assert text.count("Left blank:") == 4
    assert text.count("Ask ") >= 3

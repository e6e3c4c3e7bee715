"""Answers are data: bad ones are refused in one line each, odd ones arrive unchanged.

What the pre_gen hook and the toolkit have to say of each answer is in tests/toolkit/answers.yaml.
"""

import itertools
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cookiecutter.cli
import pytest
import yaml

from dask_hpc import batch as batch_systems
from dask_hpc.config.lint import lint

from .answering import (
    BATCH,
    every_file_can_be_read,
    everything,
    good,
    landed,
    pre_gen,
    section,
)
from .conftest import ANSWERS, REPOSITORY, environment, run
from .rendering import BATCH_SYSTEMS, QUESTIONS, files

# A name is a folder and a package, of which the toolkit knows nothing.
BAD_NAMES = [
    ("My Lab", "my-lab"),
    ("my_lab", "my-lab"),
    ("-lab", "lab"),
    ("lab-", "lab"),
    ("3d-lab", "d-lab"),
    ("labör", "letters"),
    ("lab\n", "lab"),
    ("x'); import os; ('", "letters"),
    ("a/b", "a-b"),
    ("a/../../b", "a-b"),
    ("..", "my-lab"),
    (".", "my-lab"),
    ("", "my-lab"),
    (".hidden", "hidden"),
    ("~", "my-lab"),
    ("x" * 51, "50 characters"),
    ("x" * 300, "50 characters"),
    ("test", "test-lab"),
    ("class", "class-lab"),
    ("statistics", "statistics-lab"),
    ("dask-hpc", "dask-hpc-lab"),
    ("dask", "dask-lab"),
]

TABLE = yaml.safe_load((REPOSITORY / "tests/toolkit/answers.yaml").read_text())
ROWS = [
    (batch_system, question, answer, verdict, words)
    for question, name, answer, verdict, words in TABLE
    for batch_system in BATCH
    if name in ("every", batch_system)
    and not (question == "walltime" and pre_gen.WALLTIMES[batch_system] is None)
]


@pytest.fixture
def terminal(tmp_path, cookiecutter_settings):
    """Return a function that runs `python -m cookiecutter` as a user does, in an empty folder.

    It returns the exit code and the lines that a terminal would show.
    """
    home, folder = tmp_path / "home", tmp_path / "outer" / "folder"
    home.mkdir()
    folder.mkdir(parents=True)

    def terminal(*words, typed=None):
        no_input = () if typed is not None else ("--no-input",)
        done = subprocess.run(
            [
                *terminal.start,
                *no_input,
                "--config-file",
                cookiecutter_settings,
                REPOSITORY,
                *words,
            ],
            cwd=folder,
            env=environment(home),
            input=typed,
            stdin=subprocess.DEVNULL if typed is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout.splitlines()

    terminal.start = [sys.executable, "-m", "cookiecutter"]
    terminal.folder = folder
    return terminal


@pytest.fixture
def command(tmp_path, cookiecutter_settings, monkeypatch, capfd):
    """Return a function that does the same in this process: what it does to files and says."""
    folder = tmp_path / "outer" / "folder"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    # It would write to this test's terminal from then on.
    monkeypatch.setattr(cookiecutter.cli, "configure_logger", lambda **_: None)

    def command(*words, config=cookiecutter_settings):
        no_input = () if "--replay-file" in words else ("--no-input",)
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            cookiecutter.cli.main(
                [str(w) for w in (*no_input, "--config-file", config, REPOSITORY, *words)]
            )
        shown = capfd.readouterr()
        return end.value.code, (shown.err + shown.out).splitlines()

    command.folder = folder
    return command


def assert_refused(shown, *questions):
    """Check that the first lines are ours, one for each question, and that nothing was written."""
    code, lines = shown
    assert code == 1
    for line, question in zip(lines, questions, strict=False):
        assert line.startswith(f"ERROR: {question} ")
    assert lines[len(questions)].startswith("Nothing was written")


# --- The hook's verdicts --------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "remedy"), BAD_NAMES)
def test_a_bad_name_is_refused_in_one_line_with_a_better_one(name, remedy):
    [line] = pre_gen.problems({**ANSWERS, "project_slug": name})
    assert line.startswith("project_slug ")
    assert remedy in line
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("name", ["a", "lab2-b", "x" * 50])
def test_a_good_name_is_taken(name):
    assert pre_gen.problems({**ANSWERS, "project_slug": name}) == []


def test_the_name_proposed_is_a_good_one():
    for name, _ in BAD_NAMES:
        [line] = pre_gen.problems({**ANSWERS, "project_slug": name})
        proposed = line.rpartition("such as ")[2]
        assert pre_gen.check_slug(proposed) is None


@pytest.mark.parametrize(("batch_system", "question", "answer", "verdict", "words"), ROWS)
def test_the_hook_says_of_an_answer_what_the_table_says(
    batch_system, question, answer, verdict, words
):
    lines = pre_gen.problems({**good(batch_system), question: answer})
    if verdict == "refused":
        [line] = lines
        assert line.startswith(f"{question} ")
        assert words in line
        assert len(line.splitlines()) == 1
    else:
        assert lines == []


def test_the_table_has_every_question_and_every_batch_system():
    assert len(TABLE) >= 60
    asked = {name for name in QUESTIONS if not name.startswith("_")}
    assert {row[0] for row in TABLE} >= (asked & set(pre_gen.QUESTIONS)) - {
        "project_slug",
        "batch_system",
    }
    assert {row[1] for row in TABLE} == {"every", *BATCH}
    assert {row[3] for row in TABLE} == {"taken", "refused"}


def test_the_hook_knows_the_choices_of_the_question():
    assert list(pre_gen.WALLTIMES) == BATCH_SYSTEMS
    assert set(BATCH_SYSTEMS) == set(batch_systems.BATCH_SYSTEMS)
    assert str(BATCH_SYSTEMS) in QUESTIONS["__batch_system"]
    [line] = pre_gen.problems({**ANSWERS, "batch_system": "slurmm"})
    assert "choose one of slurm, pbs" in line


def test_the_hook_reads_the_questions_of_the_template():
    asked = [name for name in QUESTIONS if not name.startswith("_")]
    assert set(pre_gen.QUESTIONS) <= set(asked)


def example_answers():
    """Yield a page or file and its answers, for each example of answers that users may copy."""
    for path in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("[dht]*/**/*.md")]:
        text = path.read_text()
        for block in re.findall(r"```yaml\n(default_context:.*?)```", text, re.DOTALL):
            yield path.name, yaml.safe_load(block)["default_context"]
        for line in re.findall(r"^ *cookiecutter .*", text, re.MULTILINE):
            if words := re.findall(r" ([\w-]+)=", line.partition("#")[0]):
                yield path.name, words
    path = REPOSITORY / "hpc-slurm-testbed" / "answers.yaml"
    yield path.name, yaml.safe_load(path.read_text())["default_context"]


def test_every_example_answers_questions_that_there_are():
    """Cookiecutter drops other keys without a word."""
    examples = list(example_answers())
    assert {"README.md", "lab-admin.md", "answers.yaml"} <= {page for page, _ in examples}
    asked = {name for name in QUESTIONS if not name.startswith("_")}
    assert [(page, set(keys) - asked) for page, keys in examples if set(keys) - asked] == []


def test_every_bad_answer_gets_its_own_line():
    lines = pre_gen.problems({**ANSWERS, "cores": "0", "memory": "1", "walltime": "?"})
    assert [line.split()[0] for line in lines] == ["cores", "memory", "walltime"]


@pytest.mark.parametrize("answer", [None, True, ["a"], {"a": "b"}, "not \udcff UTF-8"])
def test_an_answer_that_is_no_text_is_refused(answer):
    [line] = pre_gen.problems({**ANSWERS, "account": answer})
    assert line.startswith(f"account {answer!r}: use text")


# --- Versions that are too old --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("python", "cookiecutter_version", "words"),
    [
        ((3, 9, 18), "2.6.0", "Python 3.9, "),
        ((3, 8), "1.7.3", "Python 3.8, "),
        ((3, 11), "1.7.3", "cookiecutter 1.7.3 "),
        ((3, 12), "2.1.1", "cookiecutter 2.1.1 "),
        ((3, 10, 1), "2.2.0", None),
        ((3, 14), "2.10.0.dev1", None),
        ((4, 0), "3", None),
    ],
)
def test_what_is_too_old_is_told_with_the_version_that_is_needed(
    python, cookiecutter_version, words
):
    line = pre_gen.too_old(python, cookiecutter_version)
    assert line.startswith(words) or words in line if words else line is None
    assert line is None or ("or newer" in line and len(line.splitlines()) == 1)


def old_pythons():
    """Return Pythons that are too old and, as pyenv puts them, at hand."""
    home = pwd.getpwuid(os.getuid()).pw_dir  # HOME is another one for the toolkit's tests
    found = Path(home).glob(".pyenv/versions/3.[6789].*/bin/python")
    return [str(path) for path in found] + [
        path for minor in range(6, 10) if (path := shutil.which(f"python3.{minor}"))
    ]


def test_an_old_python_can_read_the_hook_and_is_refused():
    if not old_pythons():
        pytest.skip("no Python 3.6 to 3.9 is installed here")
    for python in old_pythons():
        hook = [python, REPOSITORY / "hooks/pre_gen_project.py"]
        done = subprocess.run(hook, capture_output=True, text=True)
        if "command not found" in done.stderr:  # a shim of pyenv without its Python
            continue
        assert done.returncode == 1
        first, second = done.stderr.splitlines()
        assert first.startswith("ERROR: Python 3.")
        assert second.startswith("Nothing was written")


@pytest.fixture(scope="module")
def other_cookiecutter(tmp_path_factory):
    """Return a function that installs a version of cookiecutter and returns its Python."""

    def other_cookiecutter(version):
        prefix = tmp_path_factory.mktemp("cookiecutter") / version
        run([sys.executable, "-m", "venv", prefix])
        python = prefix / "bin/python"
        run([python, "-m", "pip", "install", "--quiet", f"cookiecutter=={version}"])
        return python

    return other_cookiecutter


@pytest.mark.full
@pytest.mark.parametrize("version", ["1.7.3", "2.1.1"])
def test_an_old_cookiecutter_is_refused_and_leaves_nothing(other_cookiecutter, terminal, version):
    terminal.start = [other_cookiecutter(version), "-m", "cookiecutter"]
    code, lines = terminal("project_slug=a-lab")
    assert code == 1
    assert lines[0].startswith(f"ERROR: cookiecutter {version} is too old")
    assert lines[1].startswith("Nothing was written")
    assert not any("Traceback" in line for line in lines)
    assert everything(terminal.folder.parent) == {terminal.folder: None}


@pytest.mark.full
@pytest.mark.parametrize("version", ["2.2.3", "2.6.0"])
def test_the_oldest_cookiecutter_that_is_allowed_makes_the_same_project(
    other_cookiecutter, terminal, render_to, tmp_path, version
):
    terminal.start = [other_cookiecutter(version), "-m", "cookiecutter"]
    answers = {"project_slug": "a-lab", "batch_system": "lsf", "account": "x", "cores": "12"}
    code, lines = terminal(*(f"{name}={value}" for name, value in answers.items()))
    assert code == 0, lines
    expected = render_to(tmp_path / "direct", **answers)
    made = terminal.folder / "a-lab"
    assert files(made) == files(expected)
    for name in files(expected):
        assert (made / name).read_bytes() == (expected / name).read_bytes(), name
    assert_refused(terminal("batch_system=nqs", "memory=much"), "batch_system", "memory")
    code, lines = terminal(typed=lines_typed(project_slug="b-lab", batch_system="2"))
    assert any(line.startswith("b-lab is ready (batch system: pbs)") for line in lines)


# --- As a user: the command line ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        *(("project_slug", name) for name in ["My Lab", "a/b", "..", "", ".x", "a/../../b", "~"]),
        ("cores", "0"),
        ("cores", "100000"),
        ("memory", "16"),
        ("processes", "3"),
        ("walltime", "soon"),
        ("worker_interface", "ib 0"),
        ("scheduler_interface", "eth0\n"),
    ],
)
def test_our_line_comes_first_and_nothing_is_written(command, question, answer):
    assert_refused(command(f"{question}={answer}"), question)
    assert everything(command.folder.parent) == {command.folder: None}


def test_an_absolute_path_as_the_name_writes_nothing(terminal, tmp_path):
    assert_refused(terminal(f"project_slug={tmp_path}/elsewhere/lab"), "project_slug")
    assert not (tmp_path / "elsewhere").exists()


@pytest.fixture
def lived_in(command):
    """Return the folder of a project with work in it, beside which the command is run."""
    code, _ = command("project_slug=blue-lab")
    assert code == 0
    project = command.folder / "blue-lab"
    (project / "src/blue_lab/ours.py").write_text("answer = 42\n")
    (project / "config/jobqueue.yaml").write_text("dask-hpc: {batch-system: none}\n")
    (project / "toolkit/README.md").unlink()
    return project


@pytest.mark.parametrize("options", [["-f"], ["-f", "-s"], ["-s"], []])
def test_a_bad_answer_leaves_an_existing_project_alone(command, lived_in, options):
    before = everything(command.folder)
    code, lines = command(*options, "project_slug=blue-lab", "memory=16", "account=other")
    assert code == 1
    if "-f" in options:
        assert_refused((code, lines), "memory")
    else:  # cookiecutter looks whether the folder is there before it asks us
        assert lines == ['Error: "blue-lab" directory already exists']
    assert everything(command.folder) == before


@pytest.mark.parametrize("options", [["-f"], ["-f", "-s"]])
def test_a_name_that_leads_out_leaves_the_folders_around_alone(command, lived_in, options):
    before = everything(command.folder.parent)
    assert_refused(command(*options, "project_slug=.."), "project_slug")
    assert_refused(command(*options, "project_slug=blue-lab/config"), "project_slug")
    assert everything(command.folder.parent) == before


def test_a_bad_answer_in_a_replay_is_refused_too(command, lived_in, tmp_path):
    replay = json.loads(next((tmp_path.parent).rglob("replay/*.json")).read_text())
    replay["cookiecutter"] |= {"project_slug": "blue-lab", "memory": "16"}
    path = tmp_path / "replay.json"
    path.write_text(json.dumps(replay))
    before = everything(command.folder)
    assert_refused(command("-f", "--replay-file", path), "memory")
    assert everything(command.folder) == before


def test_a_replay_of_a_refused_name_is_refused_with_the_name_that_was_given():
    replayed = {**ANSWERS, "project_slug": pre_gen.REPLACED, "__name_given": "a/b"}
    [line] = pre_gen.problems(replayed)
    assert line.startswith("project_slug 'a/b':")


@pytest.mark.parametrize("answer", ["slurmm", "Slurm!", "0", "8", "1.0", "", "nqs"])
def test_a_batch_system_that_does_not_exist_is_refused(command, answer):
    assert_refused(command(f"batch_system={answer}"), "batch_system")
    assert everything(command.folder.parent) == {command.folder: None}


@pytest.mark.parametrize("answer", ["PBS", "Pbs", " pbs ", "2"])
def test_a_batch_system_is_taken_in_any_letter_case_and_by_its_number(render, answer):
    project = render(batch_system=answer, account="physics")
    config = yaml.safe_load((project / "config/jobqueue.yaml").read_text())
    assert config["jobqueue"]["pbs"]["account"] == "physics"


def test_defaults_of_a_batch_system_follow_its_name_in_any_letter_case(render):
    assert section(render(batch_system="LSF"))["walltime"] == "01:00"


def file_of_answers(tmp_path, cookiecutter_settings, text):
    path = tmp_path / "answers.yaml"
    path.write_text(cookiecutter_settings.read_text() + "default_context:\n" + text)
    return path


def test_a_wrong_batch_system_in_a_file_of_answers_is_refused(
    command, tmp_path, cookiecutter_settings
):
    for text in ("slurmm", "", "{pbs: yes}", "no"):
        path = file_of_answers(tmp_path, cookiecutter_settings, f"  batch_system: {text}\n")
        assert_refused(command(config=path), "batch_system")
        assert everything(command.folder.parent) == {command.folder: None}


def test_a_file_of_answers_may_write_the_batch_system_in_capitals(
    command, tmp_path, cookiecutter_settings
):
    text = "  batch_system: PBS\n  account: physics\n  cores: '12'\n"
    path = file_of_answers(tmp_path, cookiecutter_settings, text)
    code, lines = command(config=path)
    assert code == 0
    assert any(line.startswith("my-lab is ready (batch system: pbs)") for line in lines)
    pbs = section(command.folder / "my-lab")
    assert (pbs["account"], pbs["cores"]) == ("physics", 12)


def test_blank_and_bare_words_in_a_file_of_answers_are_refused(
    command, tmp_path, cookiecutter_settings
):
    text = "  account:\n  queue: yes\n  cores: 12\n"
    path = file_of_answers(tmp_path, cookiecutter_settings, text)
    assert_refused(command(config=path), "account", "queue")
    assert everything(command.folder.parent) == {command.folder: None}


# --- As a user: the prompts -----------------------------------------------------------------------


def lines_typed(**answers):
    """Return what is typed at the prompts: these answers, and Return for the other questions."""
    asked = [name for name in QUESTIONS if not name.startswith("_")]
    return "".join(answers.get(name, "") + "\n" for name in asked)


def test_a_bad_answer_at_the_prompt_is_refused(terminal):
    code, lines = terminal(typed=lines_typed(memory="16", walltime="soon"))
    # The line break after the last prompt is the one that is typed, and not shown here.
    text = "\n".join(lines)
    assert_refused((code, text[text.index("ERROR:") :].splitlines()), "memory", "walltime")
    assert everything(terminal.folder.parent) == {terminal.folder: None}


@pytest.mark.parametrize("answer", ["5", "lsf"])
def test_the_menu_takes_a_number_or_a_name(terminal, answer):
    code, lines = terminal(typed=lines_typed(project_slug="a-lab", batch_system=answer))
    assert code == 0
    assert "    5 - lsf: LSF (bsub, bjobs)" in lines
    assert any(line.startswith("a-lab is ready (batch system: lsf)") for line in lines)
    assert section(terminal.folder / "a-lab")["walltime"] == "01:00"


def test_a_number_that_the_menu_has_not_is_refused(terminal):
    code, lines = terminal(typed=lines_typed(batch_system="9"))
    text = "\n".join(lines)
    assert_refused((code, text[text.index("ERROR:") :].splitlines()), "batch_system")
    assert "choose one of slurm, pbs" in text
    assert everything(terminal.folder.parent) == {terminal.folder: None}


def test_what_is_typed_at_the_prompt_arrives_unchanged(terminal):
    account, queue = "{{ 7 * 7 }} {% raw %}", "{{ cookiecutter.queue $(rm -rf ~)"
    code, _ = terminal(typed=lines_typed(account=account, queue=queue))
    assert code == 0
    slurm = section(terminal.folder / "my-lab")
    assert (slurm["account"], slurm["queue"]) == (account, queue)


def test_what_is_on_the_command_line_is_jinja_to_cookiecutter(command):
    """Record 17 in docs/ says so; whoever means braces writes them as Jinja's own text."""
    code, _ = command("account={{ 7 * 7 }}", "queue={{ '{{ x }}' }}")
    assert code == 0
    slurm = section(command.folder / "my-lab")
    assert (slurm["account"], slurm["queue"]) == ("49", "{{ x }}")


def test_answers_that_are_not_used_are_named(render, capfd):
    render(**{**good("none"), "scheduler_interface": ""})
    printed = capfd.readouterr().out
    assert "Not used without a batch system: account, queue, worker_interface." in printed
    render(project_slug="other-lab", batch_system="none")
    assert "Not used" not in capfd.readouterr().out


# --- What arrives ---------------------------------------------------------------------------------


def taken_together():
    """Return sets of answers that are taken, each with one answer of each question at most."""
    sets = []
    for batch_system in BATCH_SYSTEMS:
        answers = {}
        for name, question, answer, verdict, _ in ROWS:
            if (name, verdict) == (batch_system, "taken"):
                answers.setdefault(question, []).append(answer)
        # Of these, one's answer says which the other may have.
        for question in ("cores", "processes"):
            sets += [(batch_system, {question: answer}) for answer in answers.pop(question, [])]
        for row in itertools.zip_longest(*answers.values()):
            chosen = dict(zip(answers, row, strict=True))
            sets.append((batch_system, {k: v for k, v in chosen.items() if v is not None}))
    return sets


@pytest.mark.parametrize(("batch_system", "answers"), taken_together())
def test_answers_arrive_unchanged_and_setup_says_nothing(typed, batch_system, answers):
    project = typed(**{**good(batch_system), "processes": "4", **answers})
    for question, answer in answers.items():
        found = landed(project, batch_system, question)
        assert found == (int(answer) if question in ("cores", "processes") else answer)
    path = project / "config/jobqueue.yaml"
    assert lint([(path, yaml.safe_load(path.read_text()))]) == []
    every_file_can_be_read(project)


@pytest.mark.parametrize("blank", ["", "  "])
def test_blank_answers_leave_the_line_out_and_say_what_to_ask(render, blank):
    text = (render(account=blank, queue=blank) / "config/jobqueue.yaml").read_text()
    slurm = yaml.safe_load(text)["jobqueue"]["slurm"]
    assert not {"account", "queue", "interface"} & set(slurm)
    assert "interface" not in slurm["scheduler-options"]
    assert text.count("Left blank:") == 4
    assert text.count("Ask ") >= 3

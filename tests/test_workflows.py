"""The workflows of GitHub can't run here; what they call has to exist, what they say to agree.

Their rights, and that actions are pinned, are zizmor's business (`make lint`).
"""

import itertools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (REPOSITORY / "Makefile").read_text()
VERBS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
VARIABLES = set(re.findall(r"\$\(([A-Z_]+)\)", MAKEFILE))
PYTHONS = {"3.11", "3.12", "3.13"}
WITH_GH = {("release", "release"), ("asv", "keep"), ("asv-comment", "comment")}
ASV_BRANCH = [["benchmarks/asv_branch.py", verb] for verb in ("get", "keep")]
SYSTEMS = {"ubuntu-latest", "macos-latest", "windows-latest"}


def workflow(path):
    return yaml.safe_load(path.read_text())


def matrices(job):
    """Return every combination of a job's matrix, as {name: value}."""
    matrix = dict(job.get("strategy", {}).get("matrix", {}))
    included = matrix.pop("include", [])
    names, choices = list(matrix), list(matrix.values())
    product = [dict(zip(names, values, strict=True)) for values in itertools.product(*choices)]
    return included if included and not matrix else product + included


def expanded(content, values):
    """Return a step, or a part of it, with the matrix's values in its texts."""
    if isinstance(content, dict):
        return {key: expanded(value, values) for key, value in content.items()}
    if not isinstance(content, str):
        return content
    # A KeyError is a name that the matrix does not have.
    return re.sub(r"\$\{\{ matrix\.(\w+) \}\}", lambda match: str(values[match[1]]), content)


def steps(path):
    """Return (job's name, step) of a workflow, once for each combination of its matrix."""
    found = []
    for name, job in workflow(path)["jobs"].items():
        for values in matrices(job):
            for step in job["steps"]:
                found.append((name, expanded(step, values)))
    return found


def known_options(config):
    """Return the long options of pytest, with those of its plugins."""
    parser = config._parser
    groups = [parser._anonymous, *parser._groups]
    return {name for group in groups for option in group.options for name in option.names()}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
class TestEveryWorkflow:
    def test_it_has_jobs_that_end(self, path):
        content = workflow(path)
        assert True in content  # YAML 1.1 reads the key `on` so
        for name, job in content["jobs"].items():
            for values in matrices(job):
                assert expanded(job["runs-on"], values) in SYSTEMS
            assert set(job.get("needs", [])) <= set(content["jobs"])
            # GitHub itself ends a job after six hours. Only the slow tests take so long.
            most = 360 if name == "full" else 91
            assert name == "pass" or 0 < job["timeout-minutes"] < most, name

    def test_each_step_runs_one_thing_that_exists(self, path):
        for name, step in steps(path):
            assert ("run" in step) != ("uses" in step), (name, step)
            if step.get("uses", "").startswith("./"):
                action = workflow(REPOSITORY / step["uses"] / "action.yml")
                assert set(step.get("with", {})) <= set(action["inputs"])
                continue
            if "uses" in step:
                continue
            words = shlex.split(step["run"])
            if name == "pass":
                assert step["run"].startswith("${{ ")
            elif words[0] == "make":
                verb, *settings = words[1:]
                assert verb in VERBS
                assert {setting.partition("=")[0] for setting in settings} <= VARIABLES
            elif words[0] in ("python", "python3"):
                assert (REPOSITORY / words[1]).is_file()
                # benchmarks/test_asv_branch.py runs these
                assert len(words) == 2 or words[1:] in ASV_BRANCH
            elif words[0] == "hpc-testbed":
                assert name == "action"  # tests/downstream runs these
            else:
                # GitHub's own command, or, in the one that comments, bash (tried below).
                assert (path.stem, name) in WITH_GH, step
                assert re.search(r"^(gh |{$)", step["run"], re.MULTILINE)

    def test_pythons_are_supported_ones(self, path):
        asked = {
            step["with"]["python-version"]
            for _, step in steps(path)
            if step.get("uses", "").startswith("actions/setup-python@")
        }
        assert asked <= PYTHONS

    def test_what_pytest_is_told_it_knows(self, path, request):
        markers = {line.partition(":")[0] for line in request.config.getini("markers")}
        for _, step in steps(path):
            for word in shlex.split(step.get("run", "")):
                if not word.startswith("PYTEST_ARGS="):
                    continue
                arguments = shlex.split(word.partition("=")[2])
                known = request.config._parser.parse_known_args(arguments)
                names = set(re.findall(r"\w+", known.markexpr or "")) - {"and", "or", "not"}
                assert names <= markers
                options = {text.partition("=")[0] for text in arguments if text.startswith("--")}
                assert options <= known_options(request.config)


def test_one_job_stands_for_all_of_ci():
    jobs = workflow(REPOSITORY / ".github/workflows/ci.yml")["jobs"]
    assert set(jobs["pass"]["needs"]) == set(jobs) - {"pass"}


def test_every_python_that_is_promised_is_tried():
    jobs = workflow(REPOSITORY / ".github/workflows/ci.yml")["jobs"]
    assert {values["python"] for values in matrices(jobs["tests"])} == PYTHONS


def test_the_table_of_asv_is_quoted_in_the_comment(tmp_path):
    """What a pull request's workflow wrote can leave the quotation by no means."""
    steps_ = workflow(REPOSITORY / ".github/workflows/asv-comment.yml")["jobs"]["comment"]["steps"]
    (write,) = (step["run"] for step in steps_ if "comment.md" in step["run"][-12:])
    (tmp_path / "comparison.txt").write_text("| a | b |\n```\n@everyone\n" + 100_000 * "x")
    environment = {**os.environ, "SHA": "abc"}
    subprocess.run(["bash", "-ec", write], cwd=tmp_path, env=environment, check=True)
    text = (tmp_path / "comment.md").read_text()
    assert text.splitlines()[:4] == [
        "asv, before and after this pull request, measured at abc:",
        "```text",
        "| a | b |",
        "",
    ]
    assert text.count("```") == 2
    assert text.endswith("x\n```\n")
    assert len(text) < 65_536


def test_only_jobs_that_run_nothing_of_a_pull_request_may_write():
    jobs = workflow(REPOSITORY / ".github/workflows/asv.yml")["jobs"]
    writes = {name for name, job in jobs.items() if "write" in str(job.get("permissions"))}
    assert writes == {"keep"}
    assert jobs["keep"]["needs"] == ["measure"]
    assert jobs["measure"]["if"] == "github.event_name != 'pull_request'"
    (comment,) = workflow(REPOSITORY / ".github/workflows/asv-comment.yml")["jobs"].values()
    assert not any("uses" in step for step in comment["steps"])


def test_the_verbs_read_the_makefile():
    assert {"test", "test-full", "test-oldest", "test-newest", "test-main", "demo"} <= VERBS
    assert "test-nothing" not in VERBS


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_the_laptop_workflows_program_runs_here(tmp_path):
    """It downloads what a project needs."""
    environment = {**os.environ, "HOME": str(tmp_path)}
    program = [sys.executable, REPOSITORY / "tests/laptop.py"]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The laptop's half of a project works here." in done.stdout

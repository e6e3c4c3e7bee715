"""What the template writes."""

import json
import re
import tomllib

import pytest
import yaml

from dask_hpc.config.resolve import default_processes

from .conftest import TEMPLATE
from .rendering import BATCH_SYSTEMS, QUESTIONS, files, own_texts

# All of a new project but the toolkit, which is copied as it is.
FILES = {
    ".gitattributes",
    ".github/workflows/tests.yml",
    ".gitignore",
    ".template-answers.yaml",
    "README.md",
    "config/distributed.yaml",
    "config/jobqueue.yaml",
    "config/labextension.yaml",
    "environment.yml",
    "notebooks/00-laptop.ipynb",
    "notebooks/01-cluster.ipynb",
    "pyproject.toml",
    "src/demo_lab/__init__.py",
    "src/demo_lab/example.py",
    "tests/test_smoke.py",
}


@pytest.mark.parametrize("batch_system", BATCH_SYSTEMS)
class TestEveryScheduler:
    def test_these_files_and_no_others(self, rendered, batch_system):
        found = files(rendered(batch_system))
        assert {name for name in found if not name.startswith("toolkit/")} == FILES

    def test_no_jinja_is_left(self, rendered, batch_system):
        for path, text in own_texts(rendered(batch_system)):
            assert not re.search(r"\{\{|\}\}|\{%|%\}|\{#|#\}|cookiecutter\.", text), path

    def test_no_blank_space_is_left(self, blank, batch_system):
        """With blank answers, where lines are left out."""
        for path, text in own_texts(blank(batch_system)):
            assert text.endswith("\n"), path
            assert not text.endswith("\n\n"), path
            assert not re.search(r"[ \t]$", text, re.MULTILINE), path
            assert not text.startswith("\n"), path
            if path.suffix != ".py":
                assert "\n\n\n" not in text, path

    def test_every_format_can_be_read(self, rendered, batch_system):
        project = rendered(batch_system)
        for path in [*project.glob("config/*.yaml"), project / "environment.yml"]:
            assert isinstance(yaml.safe_load(path.read_text()), dict), path
        tomllib.loads((project / "pyproject.toml").read_text())
        for path in project.glob("notebooks/*.ipynb"):
            json.loads(path.read_text())


def test_names_follow_the_slug(render):
    project = render(project_slug="blue-whale-2")
    assert project.name == "blue-whale-2"
    assert (project / "src/blue_whale_2/example.py").is_file()
    metadata = tomllib.loads((project / "pyproject.toml").read_text())
    assert metadata["project"]["name"] == "blue-whale-2"
    packages = metadata["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert packages == ["src/blue_whale_2", "toolkit/src/dask_hpc"]
    assert "from blue_whale_2.example import" in (project / "README.md").read_text()


def test_toml_is_valid_before_rendering_too():
    # Tools that look for pyproject.toml upward from the toolkit meet the unrendered one.
    tomllib.loads((TEMPLATE / "pyproject.toml").read_text())


def test_ten_questions_each_explained():
    asked = [name for name in QUESTIONS if not name.startswith("_")]
    assert len(asked) == 10
    assert sorted(QUESTIONS["__prompts__"]) == sorted(asked)


@pytest.mark.parametrize(
    ("cores", "processes"),
    [("1", "1"), ("6", "6"), ("8", "8"), ("12", "6"), ("30", "6"), ("32", "8"), ("128", "8")],
)
def test_processes_are_the_cores_up_to_eight_unless_said_otherwise(render, cores, processes):
    config = yaml.safe_load((render(cores=cores) / "config/jobqueue.yaml").read_text())
    slurm = config["jobqueue"]["slurm"]
    assert slurm["processes"] == int(processes)
    assert slurm["processes"] == default_processes(slurm["cores"])  # the toolkit's own rule


def test_the_toolkit_is_copied_byte_by_byte(blank):
    project = blank("slurm")
    copied = files(project / "toolkit")
    assert "pyproject.toml" in copied
    for name in copied:
        assert (project / "toolkit" / name).read_bytes() == (
            TEMPLATE / "toolkit" / name
        ).read_bytes()


def test_caches_in_the_template_do_not_reach_a_project(render_to, tmp_path, template_copy):
    left = [
        "toolkit/src/dask_hpc/__pycache__/x.cpython-311.pyc",
        "toolkit/src/dask_hpc.egg-info/PKG-INFO",
        "toolkit/.pytest_cache/CACHEDIR.TAG",
        "toolkit/.ruff_cache/CACHEDIR.TAG",
        "toolkit/.hypothesis/unicode_data",
        "toolkit/dist/dask_hpc-0.1.0.tar.gz",
        "toolkit/.coverage.host.1",
        "notebooks/.ipynb_checkpoints/00-laptop-checkpoint.ipynb",
        "src/{{cookiecutter.__package}}/__pycache__/example.cpython-311.pyc",
        "tests/__pycache__/test_smoke.pyc",
    ]
    clean = files(render_to(tmp_path / "clean", source=template_copy))
    for name in left:
        path = template_copy / TEMPLATE.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xff\x00")
    assert files(render_to(tmp_path / "dirty", source=template_copy)) == clean


def test_a_second_rendering_leaves_the_labs_own_environment_alone(render_to, tmp_path):
    project = render_to(tmp_path)
    kept = project / ".venv/lib/python3.11/site-packages/x/__pycache__/x.pyc"
    kept.parent.mkdir(parents=True)
    kept.touch()
    render_to(tmp_path, overwrite=True)
    assert kept.exists()


def test_next_steps_are_printed(render, capfd):
    render(project_slug="demo-lab", queue="short")
    printed = capfd.readouterr().out
    assert "cd demo-lab && git init" in printed
    assert "dask hpc setup" in printed
    assert "Left blank: account, worker_interface, scheduler_interface." in printed
    assert len(printed.strip().splitlines()) <= 7


def test_notebooks_carry_no_output_and_a_kernel_that_exists_everywhere():
    for path in TEMPLATE.glob("notebooks/*.ipynb"):
        notebook = json.loads(path.read_text())
        assert notebook["metadata"]["kernelspec"]["name"] == "python3"
        for cell in notebook["cells"]:
            assert not cell.get("outputs"), path
            assert cell.get("execution_count") is None, path

"""Every line of the READMEs and of docs/ that is for a terminal is typed by a test as it stands.

`TYPED` has the blocks of lines that the tests below type. `ELSEWHERE` says of each other line which
test types it, or why none can without the network or a site. A line that is in neither fails, so
that none is forgotten.
"""

import json
import re
import subprocess
import sysconfig

import pytest

from .conftest import REPOSITORY, TEMPLATE, environment, run
from .pages import ADDRESS, block, blocks
from .rendering import BATCH_SYSTEMS

# What the tests below type: the first words of blocks of lines, by page.
TYPED = {
    "README.md": ["pip install", "cookiecutter --no-input"],
    "docs/how-to/lab-admin.md": ["pip install", "dask hpc setup"],
    "docs/how-to/updates.md": ["pip install"],
    "project": [
        *["python3 -m venv", "pytest", "mkdir", "python first.py", "git init"],
        *["git branch template", "git worktree", "git merge"],
        "dask hpc bench",
    ],
}
SWEEP = "tests/toolkit/test_cli_sweep.py: "
LOCK = "tests/template/test_lock.py: "
PACKED = "tests/testbed/test_packed_environment.py: "

DRIVER = "tests/testbed/test_typed.py: typed"
JUPYTER = "tests/template/jupyter.py: jupyterlab"
UPDATE = "tests/template/test_update.py: test_"
GIT = "tests/template/test_update_by_git.py: block(PAGE"
CONDA = "no conda-forge here (test_environment.py reads environment.yml)"
OUTPUT = "what the line before it prints"
SITE = "an address of somebody else's"
# Begin of a line: "file: what is to be found there", or why no test types it.
ELSEWHERE = {
    "README.md": {
        "make demo": "benchmarks/test_demo.py: benchmarks/demo.py",
        "make test": "it would run itself",
        "make testbed-": DRIVER,
        ".venv/bin/hpc-testbed ssh": DRIVER,
    },
    "hpc-slurm-testbed/README.md": {
        'pip install "git+https': "tests/downstream/test_downstream.py: with_driver",
        "hpc-testbed soak": "tests/testbed/test_soak.py: soak(testbed",
        "hpc-testbed ": DRIVER,
    },
    "project": {
        "conda ": CONDA,
        "dask hpc setup": "as after pip; " + CONDA,
        "pip install --require-hashes": LOCK + "pip install --require-hashes",
        "pip install --no-deps": LOCK + "for line in lines",
        "jupyter lab": JUPYTER,
        "ssh -N -L": SITE,
        "dask hpc run": "tests/testbed/test_readme.py: Where the login node must stay free",
        "dask hpc sweep status": SWEEP + '"status"',
        "dask hpc sweep": SWEEP + "--inputs",
    },
    "docs/explanation/benchmarks.md": {
        "dask hpc bench list": "tests/toolkit/test_bench_cli.py: list",
        "dask hpc bench compare": "tests/toolkit/test_bench_compare.py: invoke",
        "dask hpc bench": "benchmarks/demo.py: bench",
        "make bench-asv": "benchmarks/test_run_asv.py: HEAD~4..HEAD",
    },
    "docs/how-to/sweep.md": {
        "dask hpc sweep status": SWEEP + '"status"',
        "dask hpc sweep": SWEEP + "--inputs",
        "dask hpc run --nodes 4 sweep": "tests/toolkit/test_allocation_submit.py: test_a_sweep",
    },
    "docs/how-to/one-job.md": {"dask hpc run": "tests/testbed/test_one_job.py: hpc run"},
    "docs/how-to/bench.md": {
        "dask hpc bench list": "tests/toolkit/test_bench_cli.py: list",
        "dask hpc bench compare": "tests/toolkit/test_bench_compare.py: invoke",
        "dask hpc bench export": "tests/toolkit/test_bench_export.py: invoke",
        "dask hpc bench": "tests/template/test_readmes.py: docs/how-to/bench.md",
    },
    "docs/how-to/dashboard.md": {"ssh -N -L": SITE},
    "docs/how-to/read-logs.md": {"dask hpc logs": "tests/toolkit/test_cli_jobs.py: logs"},
    "docs/how-to/setup.md": {"dask hpc setup": "tests/toolkit/test_cli.py: setup"},
    "docs/explanation/who-can-do-what.md": {
        "ss -ltnp": "tests/testbed/test_intruder.py: ss -ltneH",
        "find ": "tests/testbed/intruder/rows.py: readable",
        "python -c": "tests/toolkit/test_security.py: tcp://127.0.0.1:4000",
    },
    "docs/how-to/find-jobs.md": {
        "$ dask hpc jobs": "tests/toolkit/test_cli_jobs.py: jobs",
        "$ dask hpc logs": "tests/toolkit/test_cli_jobs.py: logs",
        "": OUTPUT,
    },
    "docs/tutorial/first-steps.md": {
        "": "tests/template/test_readmes.py: test_the_first_steps_are_those_of_the_readmes"
    },
    "docs/tutorial/break-a-node.md": {
        "make testbed-": DRIVER,
        "s": "tests/testbed/test_faults.py: sbatch",  # sbatch, squeue
    },
    "docs/reference/testbed.md": {
        "hpc-testbed ssh": "tests/testbed/test_ssh.py: ssh",
        "": "by hand",
    },
    "docs/how-to/install-once.md": {
        "dask hpc setup --user": "tests/template/test_install_once.py: --user",
        "chmod": "tests/template/test_install_once.py: go=rX",
        "": "as in the project's README",
    },
    "docs/how-to/slow-file-systems.md": {
        "tar -caf new-env.tar.gz": PACKED + "tar -caf new-env.tar.gz",
        "mv new-env.tar.gz": PACKED + "mv new-env.tar.gz",
        "srun -n1 bash -c": PACKED + "srun -n1 bash -c",
        "conda ": CONDA,
    },
    "docs/how-to/lock.md": {
        "dask hpc lock --check": LOCK + "dask hpc lock --check",
        "dask hpc lock": LOCK + "dask hpc lock",
        "git ": "git's own",
        "pytest": LOCK + "pytest",
        "pip install --upgrade": "pip's own",
        "pip install --require-hashes": LOCK + "pip install --require-hashes",
        "pip install --no-deps": LOCK + "for line in lines",
        "conda ": CONDA,
    },
    "docs/how-to/updates.md": {
        "cruft ": UPDATE,
        "git add .cruft.json": UPDATE,
        "dask hpc --version": "tests/toolkit/test_cli.py: --version",
        "git diff --name-status template": "tests/template/test_update_by_git.py: git diff",
        "git diff": "tests/template/test_update.py: git diff --name-status",
        **dict.fromkeys(["git ", "cd ../template", "cookiecutter -f", "pytest"], GIT),
    },
    "docs/development/mutants.md": {"c": "once, by a maintainer"},  # cosmic-ray, cr-report
    "docs/development/releasing.md": {"git tag": "for maintainers"},
}
PAGES = ["README.md", "CONTRIBUTING.md", "hpc-slurm-testbed/README.md"]
PAGES += sorted(str(p.relative_to(REPOSITORY)) for p in (REPOSITORY / "docs").rglob("*.md"))


def assert_every_line_is_typed(page, text):
    for lines in blocks(text):
        if any(lines[0].startswith(begin) for begin in TYPED.get(page, [])):
            continue
        for line in filter(None, (line.partition("  #")[0].strip() for line in lines)):
            if line.startswith("#"):
                continue
            known = [
                how for begin, how in ELSEWHERE.get(page, {}).items() if line.startswith(begin)
            ]
            assert known, f"{page}: no test types {line!r}"
            file, found, words = known[0].partition(": ")
            if found:
                path = REPOSITORY / file.format(toolkit=f"{TEMPLATE.name}/toolkit")
                assert words in path.read_text(), f"{line!r}: no {words!r} in {file}"


@pytest.mark.parametrize("page", PAGES)
def test_every_line_of_a_page_is_typed(page):
    assert_every_line_is_typed(page, (REPOSITORY / page).read_text())


@pytest.mark.parametrize("batch_system", BATCH_SYSTEMS)
def test_every_line_of_a_projects_readme_is_typed(rendered, batch_system):
    assert_every_line_is_typed("project", (rendered(batch_system) / "README.md").read_text())


def test_a_line_that_no_test_types_is_told():
    with pytest.raises(AssertionError, match="no test types 'rm"):
        assert_every_line_is_typed("project", "```bash\nrm -rf build\n```\n")


# The packages of the environment that runs the tests, and its commands, behind those of a new one.
BEHIND = """
import pathlib, sys
folder = pathlib.Path(".venv/bin")
library = next(pathlib.Path(".venv/lib").glob("python*/site-packages"))
(library / "behind.pth").write_text({purelib!r} + "\\n")
for path in pathlib.Path({scripts!r}).iterdir():
    text = path.read_bytes()
    if text.startswith(b"#!") and b"python" in text[:100] and not (folder / path.name).exists():
        first, rest = text.split(b"\\n", 1)
        python = str(folder.resolve() / "python").encode()
        (folder / path.name).write_bytes(b"#!" + python + b"\\n" + rest)
        (folder / path.name).chmod(0o755)
"""


@pytest.fixture
def typed(git_home, template_git):
    """Return a function that types lines into one shell; each must end well, or as it is said.

    The user has pip's packages at hand, and addresses of GitHub lead to this template.
    """
    local = str(template_git.path.parent)
    run(
        ["git", "config", "--global", f"url.{local}/.insteadOf", ADDRESS], env=environment(git_home)
    )
    scripts = sysconfig.get_path("scripts")
    behind = BEHIND.format(purelib=sysconfig.get_path("purelib"), scripts=scripts)
    (git_home / "behind.py").write_text(behind)
    settings = {
        **{"PATH": f"{scripts}:/usr/bin:/bin", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"},
        **{"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    }
    kept = {k: v for k, v in environment(git_home).items() if not k.startswith("PIP_")}

    def typed(lines, folder, answers="", codes=None):
        script = ""
        for line in lines:
            end = (codes or {}).get(line.partition("  #")[0].strip(), 0)
            script += f'{line}\n[ $? = {end} ] || {{ echo "failed: line $LINENO" >&2; exit 99; }}\n'
            if line.startswith("python3 -m venv"):
                script += f"python3 {git_home}/behind.py\n"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env={**kept, **settings},
            input=answers,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return typed


def started(typed, tmp_path):
    """Do what the project's README begins with; return the project, the page, and what is printed.

    And look at the job script, as the page for a lab's admin says.
    """
    typed([f"cookiecutter --no-input {ADDRESS}dask-hpc-starter"], tmp_path)
    project = tmp_path / "my-lab"
    text = (project / "README.md").read_text()
    script = re.search(r"```python\n(from dask.*?)```", text, re.DOTALL)[1]
    (project / "first.py").write_text(script)
    install = block(text, "python3")
    look = block((REPOSITORY / "docs/how-to/lab-admin.md").read_text(), "dask hpc setup")
    first = [*install, *block(text, "pytest"), *look, *block(text, "mkdir")]
    printed = typed([*first, *block(text, "python first"), *block(text, "git init")], project)
    return project, text, printed


def test_the_projects_readme(typed, tmp_path):
    """Install it, see that all is well, compute, put it into git."""
    _, _, printed = started(typed, tmp_path)
    assert "2 passed" in printed
    assert "#SBATCH -J my-lab" in printed
    assert "\n20540\n" in printed


@pytest.mark.full
def test_the_rest_of_the_projects_readme(typed, template_git, tmp_path):
    """Follow the template, and measure."""
    project, text, _ = started(typed, tmp_path)
    # A release of the template that changes what a lab sees.
    template_git.edit(f"{TEMPLATE.name}/tests/test_smoke.py", "Put your own", "Put the lab's own")
    template_git.commit()
    labs = ["git init --quiet --bare ../labs.git", "git remote add origin ../labs.git"]
    typed([*labs, *block(text, "git branch template")], project)
    typed(block(text, "git worktree"), project)
    printed = typed(["source .venv/bin/activate", *block(text, "git merge")], project)
    assert "2 passed" in printed
    assert "Put the lab's own" in (project / "tests/test_smoke.py").read_text()

    typed(["source .venv/bin/activate", *block(text, "dask hpc bench")], project)
    page = (REPOSITORY / "docs/how-to/bench.md").read_text()
    assert set(block(text, "dask hpc bench")) < set(block(page, "dask hpc bench"))
    assert (project / "bench-results/report.html").is_file()


def test_making_a_project(typed, template_git, tmp_path):
    """The template's README and its page for a lab's admin, with cookiecutter's `gh:`."""
    pages = {name: (REPOSITORY / name).read_text() for name in PAGES}
    abbreviation = json.dumps(str(template_git.path.parents[0]) + "/{0}")
    settings = f"abbreviations: {{gh: {abbreviation}}}\n"
    (template_git.home / ".cookiecutterrc").write_text(settings)
    (template_git.path.parent / "org").symlink_to(template_git.path.parent)
    for number, (page, begin) in enumerate(
        [
            ("README.md", "pip"),
            ("README.md", "cookiecutter --no"),
            ("docs/how-to/lab-admin.md", "pip"),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        typed(block(pages[page], begin), folder, answers="\n" * 12)
        assert (folder / "my-lab/config/jobqueue.yaml").is_file()
    folder = tmp_path / "cruft"
    folder.mkdir()
    lines = block(pages["docs/how-to/updates.md"], "pip")
    # From 0.29 on typer ends the question of cruft in an AssertionError.
    assert lines[0] == 'pip install cruft "typer<0.29"'
    typed(lines, folder, answers="\n" * 12)
    assert (folder / "my-lab/.cruft.json").is_file()


def test_the_first_steps_are_those_of_the_readmes(rendered):
    """What the tutorial types is typed by the tests of the two READMEs."""
    readme = (rendered("slurm") / "README.md").read_text()
    tutorial = (REPOSITORY / "docs/tutorial/first-steps.md").read_text()

    def typed_in(text):
        return {line.partition("  #")[0].strip() for lines in blocks(text) for line in lines}

    known = typed_in((REPOSITORY / "README.md").read_text()) | typed_in(readme)
    assert typed_in(tutorial) <= known
    program = re.search(r"```python\n(.*?)```", tutorial, re.DOTALL)[1]
    assert program.replace("my_lab.", f"{rendered('slurm').name.replace('-', '_')}.") in readme
    numbers = [int(number) for number in re.findall(r"[Ii]t prints (\d+)", tutorial)]
    assert numbers == [sum(n**2 for n in range(many)) for many in (40, 500)]

"""The project's README, followed word for word on the testbed as alice: it reaches a result."""

import re

import pytest


def section(readme, title):
    """Return the part of a Markdown text below a heading, up to the next of any level."""
    return re.split(r"^#+ ", readme.split(f"# {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def blocks(text, language):
    """Return the code blocks of a language in a Markdown text."""
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def typed(lab, folder, before=""):
    """Type what the README says about the cluster in a project's folder; check what it prints."""
    readme = lab.testbed.run(f"cat {folder}/README.md").stdout
    cluster = section(readme, "Then on the cluster")
    (script,) = blocks(cluster, "python")
    (command,) = blocks(cluster, "bash")
    save = f"cat > first.py << 'END'\n{script}END\n"
    session = f"set -e\ncd {folder}\n{before}{save}{command}"
    printed = lab.testbed.run(session, timeout=800).stdout
    assert printed.splitlines()[-1] == "20540"
    assert "prints 20540" in cluster
    # The same program in one job, where what it prints is in a file.
    (command,) = blocks(section(readme, "Where the login node must stay free"), "bash")
    over = 'while [ -n "$(squeue --me --noheader)" ]; do sleep 0.3; done'
    session = f"set -e\ncd {folder}\n. .venv/bin/activate\n{command}{over}\ncat dask-logs/*"
    printed = lab.testbed.run(session, timeout=300).stdout
    assert "20540" in printed.splitlines()


def test_its_commands_on_the_cluster_lead_to_the_number_that_it_names(lab):
    lab.shell("rm -rf dask-logs")
    typed(lab, lab.home, ". .venv/bin/activate\n")
    lab.shell("rm first.py")


@pytest.mark.full
@pytest.mark.timeout(900)
def test_its_commands_in_a_venv_lead_to_the_number_that_it_names(lab):
    fresh = "/home/alice/word-for-word"
    lab.testbed.run(f"rm -rf {fresh} && cp -r {lab.home} {fresh} && rm -rf {fresh}/.venv")
    readme = lab.testbed.run(f"cat {fresh}/README.md").stdout
    (install,) = blocks(section(readme, "With plain Python (3.11 or newer)"), "bash")[:1]
    typed(lab, fresh, f"{install}pytest -q\n")
    lab.testbed.run(f"rm -rf {fresh}")

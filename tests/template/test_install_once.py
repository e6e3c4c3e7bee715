"""One member installs for the lab, and others use it: alice, bob, and mallory are real users here.

Only root can become somebody else.
"""

import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import pytest

from .conftest import ANSWERS, JOB_SCRIPT, environment, run

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("setpriv"),
        reason="only root may become another user, with setpriv",
    ),
]

USERS = {"alice": 12001, "bob": 12002, "mallory": 12003}
SCRIPT = JOB_SCRIPT.format(module="dask_hpc", cluster="SLURMCluster")


class Site:
    """A computer with an environment and a project that alice installed for all."""

    def __init__(self, folder, render_to):
        self.folder = folder
        for name, uid in USERS.items():
            home = folder / name
            home.mkdir(mode=0o700)
            os.chown(home, uid, uid)
        self.project = render_to(folder, **ANSWERS)
        self.prefix = folder / "env"
        run([shutil.which("python3"), "-m", "venv", "--without-pip", self.prefix])
        lib = next(self.prefix.glob("lib/python*/site-packages"))
        (lib / "behind.pth").write_text(sysconfig.get_path("purelib") + "\n")
        for name in ("src", "toolkit/src"):
            with (lib / "project.pth").open("a") as file:
                file.write(f"{self.project / name}\n")
        self.give(self.project, "alice")
        self.give(self.prefix, "alice")

    @staticmethod
    def give(path, user):
        run(["chown", "-R", f"{USERS[user]}:{USERS[user]}", path])
        run(["chmod", "-R", "go=rX", path])

    def run(self, user, *words, fails=False, cwd=None):
        """Run the environment's Python as this user; return what it printed."""
        uid = USERS[user]
        command = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        command += [self.prefix / "bin/python", *words]
        home = self.folder / user
        done = subprocess.run(
            [str(word) for word in command],
            cwd=cwd or home,
            env=environment(home, PYTHONDONTWRITEBYTECODE="1", USER=user, LOGNAME=user),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stderr if fails else done.stdout

    def account(self, user):
        """Return the account that a bare cluster of this user charges."""
        return re.search(r"^#SBATCH -A (.*)$", self.run(user, "-c", SCRIPT), re.MULTILINE)[1]


@pytest.fixture
def site(render_to):
    """Yield a site in a folder that all users can get to."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        site = Site(folder, render_to)
        become = ["setpriv", "--reuid=12001", "--regid=12001", "--clear-groups"]
        can = subprocess.run(
            [*become, site.prefix / "bin/python", "-c", "import dask_jobqueue"],
            cwd="/",
            env=environment(folder / "alice"),
            capture_output=True,
            check=False,
        )
        if can.returncode:
            pytest.skip("other users cannot use the Python that runs the tests")
        yield site


def test_alice_installs_and_bob_uses(site):
    site.run("alice", "-m", "dask", "hpc", "setup", cwd=site.project)
    assert site.account("bob") == "physics"
    # Nothing of it can be changed by bob, who is told what to do instead.
    line = site.run("bob", "-m", "dask", "hpc", "setup", cwd=site.project, fails=True)
    assert line.count("\n") == 1
    assert "Permission denied" in line
    assert "`dask hpc setup --user`" in line
    # What bob writes is bob's own.
    mine = [path for path in (site.folder / "bob").rglob("*") if path.is_file()]
    assert {path.stat().st_uid for path in mine} <= {USERS["bob"]}
    # An edit of alice's counts for bob the next time Python starts.
    path = site.project / "config/jobqueue.yaml"
    path.write_text(path.read_text().replace('account: "physics"', 'account: "biology"'))
    assert site.account("bob") == "biology"


def test_bob_activates_a_configuration_for_himself(site):
    """As where the environment is a module of the site's: nobody has run `setup` there."""
    printed = site.run("bob", "-m", "dask", "hpc", "setup", "--user", site.project)
    folder = site.folder / "bob/.config/dask"
    assert f"{folder}/jobqueue.yaml links to {site.project}/config/jobqueue.yaml" in printed
    assert "account                      physics                  config/jobqueue.yaml" in printed
    assert site.account("bob") == "physics"
    # bob's own value goes before the lab's, from a file whose name is later in the alphabet.
    (folder / "own.yaml").write_text("jobqueue: {slurm: {account: mine}}\n")
    assert site.account("bob") == "mine"


def test_a_project_of_mallorys_is_not_activated(site):
    theirs = site.folder / "theirs"
    shutil.copytree(site.project, theirs)
    site.give(theirs, "mallory")
    line = site.run("bob", "-m", "dask", "hpc", "setup", "--user", theirs, fails=True)
    assert f"{theirs} belongs to user id 12003, who could replace what is there" in line
    assert not (site.folder / "bob/.config/dask/jobqueue.yaml").is_symlink()


def test_alice_is_told_if_bob_could_write_the_configuration(site):
    (site.project / "config/jobqueue.yaml").chmod(0o666)
    line = site.run("alice", "-m", "dask", "hpc", "setup", cwd=site.project, fails=True)
    assert "all users may write to" in line

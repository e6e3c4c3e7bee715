"""Keep the history of asv, which is a folder of JSON files, on a branch of its own.

    python benchmarks/asv_branch.py get     # the branch's files into build/asv/results
    python benchmarks/asv_branch.py keep    # commit what is there, and push it

The workflow asv.yml does both. The branch shares no commit with main.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = Path("build", "asv", "results")
BRANCH = "asv-results"
AUTHOR = ("github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com")
TRIES = 3  # another run may push at the same time


def get(repository: Path) -> None:
    """Add the branch's files to the results; those that are there are replaced."""
    if not fetch(repository, "origin"):
        print(f"There is no branch {BRANCH} yet: this is the first run.")
        return
    archive = git(repository, "archive", "FETCH_HEAD")
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(repository / RESULTS, filter="data")
    print(f"{len(list((repository / RESULTS).glob('*/*-*.json')))} results in {RESULTS}")


def keep(repository: Path) -> None:
    """Commit the results on top of the branch, and push it.

    Raises
    ------
    subprocess.CalledProcessError
        git failed, and has printed why.
    """
    url = git(repository, "remote", "get-url", "origin").decode().strip()
    subject = git(repository, "log", "-1", "--format=Results of %h").decode().strip()
    for left in reversed(range(TRIES)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            git(folder, "init", "--quiet", f"--initial-branch={BRANCH}")
            if fetch(folder, url):
                git(folder, "reset", "--quiet", "--hard", "FETCH_HEAD")
            shutil.copytree(repository / RESULTS, folder, dirs_exist_ok=True)
            git(folder, "add", "--all")
            if not git(folder, "status", "--porcelain"):
                print("There are no new results.")
                return
            name, email = AUTHOR
            identity = ("-c", f"user.name={name}", "-c", f"user.email={email}")
            git(folder, *identity, "commit", "--quiet", f"--message={subject}")
            try:
                git(folder, "push", "--quiet", url, f"HEAD:refs/heads/{BRANCH}")
            except subprocess.CalledProcessError:
                if not left:
                    raise
            else:
                print(f"Pushed to {BRANCH}: {subject}")
                return


def fetch(repository: Path, remote: str) -> bool:
    """Fetch the branch's last commit; return whether there is a branch."""
    if not git(repository, "ls-remote", "--heads", remote, BRANCH):
        return False
    git(repository, "fetch", "--quiet", "--depth=1", remote, BRANCH)
    return True


def git(folder: Path, *words: str) -> bytes:
    """Return what git prints."""
    return subprocess.run(["git", *words], cwd=folder, check=True, stdout=subprocess.PIPE).stdout


def main(words: list[str], repository: Path = REPOSITORY) -> int:
    """Do what was asked for; return the exit code."""
    verbs = {"get": get, "keep": keep}
    if len(words) != 1 or words[0] not in verbs:
        print("Error: usage: asv_branch.py get | keep", file=sys.stderr)
        return 2
    if words == ["keep"] and not (repository / RESULTS).is_dir():
        print(f"Error: {RESULTS} does not exist: run `make bench-asv` first", file=sys.stderr)
        return 2
    try:
        verbs[words[0]](repository)
    except subprocess.CalledProcessError as error:
        print(f"Error: git {error.cmd[1]} failed, see above", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

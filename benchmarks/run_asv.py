"""`make bench-asv`: the asv suite over commits, and the page of their history.

    python benchmarks/run_asv.py [RANGE] [--fresh] [--no-testbed] [options of `asv run`]
    python benchmarks/run_asv.py continuous BASE COMMIT [options of `asv continuous`]

Each commit is built and installed in an environment that asv makes; what is not committed is not
measured. RANGE is as for `asv run`, by default HEAD, except that `A..B` has both ends: HEAD~4..HEAD
are five commits. A run that was stopped goes on with the next commit; --fresh measures again. With
Docker, a Slurm testbed serves all commits. Without it, the benchmarks on the testbed are left out.
`continuous` measures two commits and compares them; it exits with 1 if the second is slower.

asv exits with 0 even if it finds no benchmark, or none that it can run. To detect that, this counts
the results that it wrote.
"""

import argparse
import contextlib
import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from demo import Terminated, end_like_ctrl_c, say, shown

from hpc_testbed import Testbed, TestbedError, default_name, docker_problem

BENCHMARKS = Path(__file__).resolve().parent
CONFIG = BENCHMARKS / "asv.conf.json"
BUILD = BENCHMARKS.parent / "build" / "asv"
RESULTS = BUILD / "results"
COMPARISON = BUILD / "comparison.txt"
NODES = 4
# The benchmarks that need a testbed. asv takes regular expressions.
ON_TESTBED = ("track_makespan", "track_overhead", "track_time_to_workers")
# A benchmark has to be this many times as slow, beside passing asv's test.
FACTOR = "1.25"


def main() -> int:
    """Run the suite; return the exit code."""
    end_like_ctrl_c()
    # asv ends what it runs at Ctrl-C only, which a shell's background processes ignore.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    asked = parse(sys.argv[1:])
    try:
        commits, words = selection(asked)
        with testbed(asked) as environment:
            return run(asked, commits, words, environment)
    except (RefusedError, TestbedError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2 if isinstance(error, RefusedError) else 1
    except KeyboardInterrupt:
        print("\nInterrupted; the same command goes on with the next commit.", file=sys.stderr)
        return 130


class RefusedError(Exception):
    """What was asked for can't be measured."""


def parse(words: list[str]) -> argparse.Namespace:
    """Return what was asked for; ``rest`` are options that are passed to asv."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        usage="run_asv.py [RANGE | continuous BASE COMMIT] [options, also asv's]",
    )
    parser.add_argument("--fresh", action="store_true", help="measure again what is there")
    parser.add_argument("--no-testbed", action="store_true", help="leave out what needs one")
    parser.add_argument("--bench", "-b", action="append", default=[], help="as for asv")
    parser.add_argument("--environment", "-E", default="virtualenv", help="as for asv")
    parser.add_argument("--machine", "-m", help="as for asv")
    parser.add_argument("--factor", "-f", default=FACTOR, help=f"as for asv; default: {FACTOR}")
    # Positional arguments come first; later ones are values of asv's options.
    first = next((n for n, word in enumerate(words) if word.startswith("-")), len(words))
    asked, asked.rest = parser.parse_known_args(words[first:])
    asked.positional = words[:first]
    asked.existing = asked.environment.startswith("existing")
    return asked


def selection(asked: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return the commits, newest first, and the words that name them to asv.

    Raises
    ------
    RefusedError
        They don't exist, or git can't say.
    """
    match asked.positional:
        case ["continuous", base, commit]:
            return [resolve(commit), resolve(base)], [base, commit]
        case [] | ["HEAD"]:
            spec = "HEAD^!"
        case ["NEW" | "ALL" | "TAGS" | "EXISTING" as spec]:
            return [], [spec]
        case [spec] if not spec.startswith("HASHFILE:"):
            pass
        case [spec]:
            return [], [spec]
        case _:
            raise RefusedError(
                f"{shlex.join(asked.positional)} is neither a range of commits, such as "
                "HEAD~4..HEAD, nor `continuous BASE COMMIT`"
            )
    if asked.existing:
        if asked.positional:
            raise RefusedError("an existing environment has no commits: omit the range")
        # asv keeps results of an existing environment only for an explicit commit.
        head = resolve("HEAD")
        return [head], ["--set-commit-hash", head]
    resolve("HEAD")
    commits = git("rev-list", "--first-parent", *shlex.split(spec), "--").split()
    base, dots, tip = spec.partition("..")
    if dots and not tip.startswith("."):
        commits.append(resolve(base or "HEAD"))
    if not commits:
        raise RefusedError(f"{spec} has no commits: an example is HEAD~4..HEAD")
    return commits, []


def resolve(name: str) -> str:
    """Return the hash of a commit."""
    return git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", name=name).strip()


def git(*words: str, name: str = "") -> str:
    """Return what git prints.

    Raises
    ------
    RefusedError
        It failed; the message says what to do.
    """
    folder = BENCHMARKS.parent
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True)
    except FileNotFoundError:
        raise RefusedError(
            "asv stores results by git commit, but git is not installed: install it"
        ) from None
    if done.returncode == 0:
        return done.stdout
    if "dubious ownership" in done.stderr or "unsafe repository" in done.stderr:
        raise RefusedError(
            f"git refuses to work in {folder}, which belongs to another user: run "
            f"git config --global --add safe.directory {shlex.quote(str(folder))}"
        )
    if "not a git repository" in done.stderr or name == "HEAD":
        raise RefusedError(
            f"asv stores results by git commit, but {folder} is not a git checkout with a commit: "
            "clone it with git"
        )
    said = done.stderr.strip().splitlines()
    raise RefusedError(
        f"git knows no commit {name}; a shallow clone has few (git fetch --unshallow)"
        if name
        else f"{said[0].removeprefix('fatal: ')}; a shallow clone has few commits "
        "(git fetch --unshallow)"
    )


@contextlib.contextmanager
def testbed(asked: argparse.Namespace) -> Iterator[dict[str, str]]:
    """Yield the environment variables with which benchmarks find a testbed; none without one."""
    problem = "--no-testbed" if asked.no_testbed else docker_problem()
    if asked.existing:
        problem = "asv builds no wheel for an existing environment"
    if not any(wanted(asked.bench, f"testbed.Slurm.{name}") for name in ON_TESTBED):
        yield {}
        return
    if problem:
        say(f"Leaving out the benchmarks on the Slurm testbed: {problem}")
        yield {}
        return
    with contextlib.ExitStack() as held:
        lab = Testbed(
            os.environ.get("TESTBED_NAME") or default_name("asv"), nodes=NODES, target="lab"
        )
        is_ours = not lab.is_up()
        if is_ours:
            lab.down()  # clean up after a run that was killed
            say(f"Starting a Slurm cluster with {NODES} nodes, for all commits")
            held.enter_context(lab)
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        try:
            yield {"TESTBED_NAME": lab.name, "PATH": path}
        except KeyboardInterrupt:
            if not is_ours:  # end what runs there, with its jobs
                lab.run("kill -INT $(cat asv/pid)", check=False)
            raise


def wanted(patterns: list[str], name: str) -> bool:
    """Return whether asv would run a benchmark."""
    return not patterns or any(re.search(pattern, name) for pattern in patterns)


def run(
    asked: argparse.Namespace, commits: list[str], words: list[str], environment: dict[str, str]
) -> int:
    """Measure, compare, and publish; return the exit code."""
    machine = ["--machine", asked.machine] if asked.machine else []
    asv("machine", "--yes", *machine, quiet=True)
    options = [*machine, "--environment", asked.environment, "--show-stderr", *asked.rest]
    for pattern in asked.bench or ([] if environment else [""]):
        # A skipped benchmark would have a result, n/a, and not be measured by the next run.
        options += ["--bench", pattern if environment else rf"^(?!testbed\.).*(?:{pattern})"]
    if asked.positional[:1] == ["continuous"]:
        code = asv("continuous", "--factor", asked.factor, *options, *words, env=environment)
        if code in (0, 1):
            write_comparison(asked, words)
    else:
        if not asked.fresh and not asked.existing:
            options.append("--skip-existing-successful")
        if commits and not asked.existing:
            listed = BUILD / "commits.txt"
            listed.parent.mkdir(parents=True, exist_ok=True)
            listed.write_text("\n".join(commits) + "\n")
            words = [f"HASHFILE:{listed}"]
        code = asv("run", "--record-samples", *options, *words, env=environment)
    found = sum((count(commit, asked.environment) for commit in commits), Counter())
    if commits:
        words = [f"{found[kind]} {kind}" for kind in ("measured", "failed", "n/a") if found[kind]]
        say(f"asv: results of {len(commits)} commits: {', '.join(words) or 'none'}")
    publish()
    if commits and (found["measured"] == 0 or found["failed"]):
        print("Error: some benchmarks of the asv suite have no results", file=sys.stderr)
        return code or 1
    return code


def asv(*arguments: str, quiet: bool = False, env: dict[str, str] | None = None) -> int:
    """Run asv, and wait until it has ended what it runs, also if interrupted."""
    command = [sys.executable, "-m", "asv", *arguments, "--config", str(CONFIG)]
    output = subprocess.DEVNULL if quiet else None
    with subprocess.Popen(command, stdout=output, env={**os.environ, **(env or {})}) as child:
        try:
            return child.wait()
        except KeyboardInterrupt as interrupt:
            # A terminal sends Ctrl-C to both; pass on a SIGTERM that only this one has received.
            if isinstance(interrupt, Terminated):
                child.send_signal(signal.SIGINT)
            child.wait()
            raise


def write_comparison(asked: argparse.Namespace, names: list[str]) -> None:
    """Write what asv says of two commits, also where nothing has changed."""
    command = [sys.executable, "-m", "asv", "compare", "--factor", asked.factor, *names]
    done = subprocess.run([*command, "--config", CONFIG], capture_output=True, text=True)
    COMPARISON.write_text(done.stdout)
    say(f"{done.stdout}\nThe comparison: {shown(COMPARISON)}")


def publish() -> None:
    """Make the page with the history, and say how to look at it: it needs a server."""
    done = subprocess.run(
        [sys.executable, "-m", "asv", "publish", "--no-pull", "--config", CONFIG],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()
        print(f"Error: asv cannot make its page: {said[-1]}", file=sys.stderr)
        return
    page = shown(BUILD / "html")
    say(f"The history: python3 -m http.server --bind 127.0.0.1 --directory {page}")


def count(commit: str, environment: str) -> Counter:
    """Return how many results of a commit exist in environments of a kind, and of which kind."""
    found: Counter[str] = Counter()
    for path in RESULTS.glob(f"*/{commit[:8]}-{environment.partition(':')[0]}*.json"):
        data = json.loads(path.read_text())
        column = data["result_columns"].index("result")
        for row in data["results"].values():
            for value in row[column] or [None]:
                # The file has null for a benchmark that failed, and NaN for one that was skipped.
                if value is None:
                    found["failed"] += 1
                else:
                    found["n/a" if math.isnan(value) else "measured"] += 1
    return found


if __name__ == "__main__":
    sys.exit(main())

"""pytest plugin: one running testbed per session, for all tests with the fixture `testbed`.

Tests that use it are marked ``testbed`` and run after all others. If Docker cannot be used, they
are skipped, with the reason shown; ``--require-testbed`` makes them fail instead.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pytest

from hpc_testbed.compose import SUITES, TARGETS, default_name
from hpc_testbed.errors import DockerUnavailableError, TestbedError
from hpc_testbed.faults.repair import is_idle
from hpc_testbed.lock import locked
from hpc_testbed.processes import kill, leftover_processes
from hpc_testbed.testbed import Testbed

_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "suite": (f"Debian release of its image: {', '.join(SUITES)}", {"choices": list(SUITES)}),
    "target": (f"its image: {', '.join(TARGETS)}", {"choices": TARGETS}),
    "dockerfile": ("a Dockerfile that adds packages to its image", {}),
    "nodes": ("compute nodes (4)", {}),
}

# The processes of a job that has just ended may take seconds to exit (KillWait in slurm.conf).
JOB_END_TIMEOUT_S = 10.0

_PROBLEM = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hpc-testbed")
    group.addoption(
        "--require-testbed", action="store_true", help="fail if the testbed cannot be used"
    )
    group.addoption(
        "--testbed-name",
        help="use this testbed (or TESTBED_NAME); if it is already running, it is left running",
    )
    for name, (text, settings) in _OPTIONS.items():
        group.addoption(f"--testbed-{name}", help=text, **settings)
        parser.addini(f"testbed_{name}", f"default of --testbed-{name}: {text}")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "testbed: needs the Slurm testbed, and so Docker")


def _uses_testbed(item: pytest.Item) -> bool:
    return "testbed_session" in getattr(item, "fixturenames", ())


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    for item in items:  # before pytest selects by marker (-m)
        if _uses_testbed(item):
            item.add_marker("testbed")
    yield
    items.sort(key=_uses_testbed)  # quick ones first; the sort is stable


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    problem = terminalreporter.config.stash.get(_PROBLEM, None)
    if problem:  # shown even without -rs
        terminalreporter.write_line(f"hpc-testbed was not used: {problem}")


@pytest.fixture(scope="session")
def testbed_session(request: pytest.FixtureRequest) -> Iterator[Testbed]:
    """Start the session's testbed on first use, and take it down at the end.

    If a testbed is given by name and already running, use it as it is and leave it running.
    """
    with contextlib.ExitStack() as held:
        try:
            testbed = _session_testbed(request.config)
            joined = testbed.is_up() and _given_name(request.config) == testbed.name
            if not joined:
                # Otherwise, a second session of the same project would take ours down.
                busy = (
                    f"another pytest session is using testbed {testbed.name}: use another name "
                    "for this one (--testbed-name)"
                )
                held.enter_context(locked(testbed.name, busy=busy, wait=False))
                testbed.down()  # clean up after a session that was killed
                held.enter_context(testbed)
        except DockerUnavailableError as error:
            request.config.stash[_PROBLEM] = str(error)
            if not request.config.getoption("require_testbed"):
                pytest.skip(str(error))
            pytest.fail(f"the testbed is required: {error}", pytrace=False)
        except TestbedError as error:
            pytest.fail(f"the testbed did not start: {error}", pytrace=False)
        yield testbed


@pytest.fixture
def testbed(testbed_session: Testbed) -> Iterator[Testbed]:
    """Yield the session's testbed, and fail a test that does not leave it as it was.

    All nodes must be in service, without jobs and without user processes, and each `fault` that the
    test created must have been injected.
    """
    yield testbed_session
    unused, testbed_session.unused_faults = testbed_session.unused_faults, []
    wrong = [] if is_idle(testbed_session) else _clean_up(testbed_session)
    said = [f"the test did not clean up the testbed: {'; '.join(wrong)}"] if wrong else []
    said += [f"{call} was never injected: use it in a `with` statement" for call in unused]
    if said:
        pytest.fail("; ".join(said), pytrace=False)


def _clean_up(testbed: Testbed) -> list[str]:
    """Clean up after a test, and repair the testbed; return what was wrong."""
    wrong = testbed.status_problems()
    if wrong:
        testbed.repair()
    jobs = testbed.jobs()
    if jobs:
        testbed.run(f"scancel {' '.join(jobs)}", user="root")
        wrong.append(
            f"job {jobs[0]} is left" if len(jobs) == 1 else f"jobs {', '.join(jobs)} are left"
        )
    processes = leftover_processes(testbed, JOB_END_TIMEOUT_S)
    if processes:
        kill(testbed, processes)
        wrong += [f"a process is left, {process}" for process in processes]
    # The next test must not find jobs that are still completing.
    gone = "while [[ $(squeue --noheader) ]]; do sleep 0.1; done"
    if testbed.run(gone, user="root", timeout=60, check=False).returncode != 0:
        wrong.append(f"still completing: {', '.join(testbed.jobs(completing=True))}")
    return wrong


def _given_name(config: pytest.Config) -> str | None:
    return config.getoption("testbed_name") or os.environ.get("TESTBED_NAME")


def _session_testbed(config: pytest.Config) -> Testbed:
    # Each worker of pytest-xdist is a separate session, with a separate testbed.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    name = _given_name(config) or default_name("test", config.rootpath)
    return Testbed(
        "-".join(part for part in (name, worker) if part),
        suite=_setting(config, "suite"),
        target=_setting(config, "target"),
        dockerfile=_setting(config, "dockerfile"),
        nodes=_number(_setting(config, "nodes") or "4"),
    )


def _setting(config: pytest.Config, name: str) -> str | None:
    """Return a setting from the option, the environment, or the configuration file."""
    written = config.getini(f"testbed_{name}")
    if written and name == "dockerfile":
        written = str(config.rootpath / written)
    variable = os.environ.get(f"TESTBED_{name.upper()}")
    return config.getoption(f"testbed_{name}") or variable or written or None


def _number(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise TestbedError(f"testbed_nodes = {value}: not a number") from None

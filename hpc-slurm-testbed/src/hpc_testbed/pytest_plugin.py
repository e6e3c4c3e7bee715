"""pytest: one running testbed a session, handed to every test that asks for `testbed`.

Tests that use it are marked ``testbed``, run after all others, and are skipped, with the reason
shown, where Docker cannot be used; ``--require-testbed`` makes that a failure.
"""

import pytest

from hpc_testbed.engine import engine_problem
from hpc_testbed.testbed import Testbed, checkout_name


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hpc-slurm-testbed")
    group.addoption(
        "--require-testbed", action="store_true", help="fail where the testbed cannot be used"
    )
    group.addoption("--testbed-nodes", type=int, default=4, help="compute nodes (default 4)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "testbed: needs the Slurm testbed, that is Docker")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def uses_testbed(item: pytest.Item) -> bool:
        return "testbed_session" in getattr(item, "fixturenames", ())

    for item in items:
        if uses_testbed(item):
            item.add_marker("testbed")
    items.sort(key=uses_testbed)  # quick ones first; the sort is stable


@pytest.fixture(scope="session")
def testbed_session(request: pytest.FixtureRequest):
    """Start the session's testbed at its first use, and take it down at the end."""
    problem = engine_problem()
    if problem:
        if request.config.getoption("require_testbed"):
            pytest.fail(f"the testbed is required: {problem}", pytrace=False)
        pytest.skip(problem)
    testbed = Testbed(checkout_name("test"), nodes=request.config.getoption("testbed_nodes"))
    testbed.down()  # what a killed session may have left
    with testbed:
        yield testbed


@pytest.fixture
def testbed(testbed_session: Testbed):
    """The session's testbed. A test must leave it as it was: no job, every node in service."""
    yield testbed_session
    left = testbed_session.jobs()
    if left:
        testbed_session.run(f"scancel {' '.join(left)}", user="root")
        pytest.fail(f"the test left jobs behind: {', '.join(left)}", pytrace=False)

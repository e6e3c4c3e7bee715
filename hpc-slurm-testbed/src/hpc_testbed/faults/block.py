"""A fault for the length of a ``with`` block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from hpc_testbed.errors import TestbedError, not_up
from hpc_testbed.faults.catalog import FAULTS, Fault

if TYPE_CHECKING:
    from hpc_testbed.testbed import Testbed


def find_fault(testbed: Testbed, name: str, node: str) -> Fault:
    """Return the fault of that name, or raise where it can't happen to that node."""
    if name not in FAULTS:
        raise TestbedError(f"no fault is called {name!r}; there are: {', '.join(FAULTS)}")
    fault = FAULTS[name]
    if fault.targets_node:
        if not (nodes := testbed.node_names()):
            raise not_up(testbed.name)
        if node not in nodes:
            raise TestbedError(f"no node is called {node!r}; there are: {', '.join(nodes)}")
        testbed.container(node)  # it runs, or an error says what to do
    return fault


def fault_block(testbed: Testbed, name: str, node: str) -> AbstractContextManager[Fault]:
    """Return a block that injects a fault when it begins, and repairs the testbed when it ends.

    Where ``with`` was forgotten, nothing happens, and a test would pass without its fault. Such a
    call stays in the testbed's `unused_faults`, for which the fixture fails the test.
    """
    where = f", node={node!r}" if find_fault(testbed, name, node).targets_node else ""
    call = f"fault({name!r}{where})"
    testbed.unused_faults.append(call)

    @contextmanager
    def block() -> Iterator[Fault]:
        testbed.unused_faults.remove(call)
        try:
            yield testbed.inject(name, node)
        finally:
            testbed.repair()

    return block()

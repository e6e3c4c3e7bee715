"""A fault for the duration of a ``with`` block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from hpc_testbed.errors import TestbedError, not_up
from hpc_testbed.faults.catalog import FAULTS, Fault

if TYPE_CHECKING:
    from hpc_testbed.testbed import Testbed


def find_fault(testbed: Testbed, name: str, node: str) -> Fault:
    """Return the fault with this name; raise an error if the node does not exist or run."""
    if name not in FAULTS:
        raise TestbedError(f"unknown fault {name!r}; choose from {', '.join(FAULTS)}")
    fault = FAULTS[name]
    if fault.targets_node:
        if not (nodes := testbed.node_names()):
            raise not_up(testbed.name)
        if node not in nodes:
            raise TestbedError(f"unknown node {node!r}; choose from {', '.join(nodes)}")
        testbed.container(node)  # raises an error if it is not running
    return fault


def fault_block(testbed: Testbed, name: str, node: str) -> AbstractContextManager[Fault]:
    """Return a context manager that injects a fault on entry and repairs the testbed on exit.

    Without ``with``, nothing happens, and a test would pass without its fault. Such a call stays in
    the testbed's `unused_faults`, and the fixture then fails the test.
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

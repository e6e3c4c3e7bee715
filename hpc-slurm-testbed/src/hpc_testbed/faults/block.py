"""A fault for the length of a ``with`` block."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
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


class FaultBlock(AbstractContextManager[Fault]):
    """Inject a fault when the block begins, and repair the testbed when it ends.

    Where ``with`` was forgotten, nothing happens, and a test would pass without its fault. Such a
    call stays in the testbed's `unused_faults`, for which the fixture fails the test, and Python
    warns as of a coroutine that was never awaited.
    """

    _unused = ""

    def __init__(self, testbed: Testbed, name: str, node: str):
        fault = find_fault(testbed, name, node)
        self._testbed, self._name, self._node = testbed, name, node
        where = f", node={node!r}" if fault.targets_node else ""
        self._unused = f"fault({name!r}{where})"
        testbed.unused_faults.append(self._unused)

    def __enter__(self) -> Fault:
        if self._unused:
            self._testbed.unused_faults.remove(self._unused)
            self._unused = ""
        try:
            return self._testbed.inject(self._name, self._node)
        except BaseException:
            self._testbed.repair()
            raise

    def __exit__(self, *exc_info: object) -> None:
        self._testbed.repair()

    def __del__(self) -> None:
        if self._unused:
            message = f"{self._unused} was never injected: write `with testbed.{self._unused}:`"
            warnings.warn(message, RuntimeWarning, stacklevel=2)

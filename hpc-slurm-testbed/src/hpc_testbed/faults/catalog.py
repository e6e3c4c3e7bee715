"""The faults: what each does, and what Slurm shows of it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpc_testbed.faults.injection import INJECTIONS

if TYPE_CHECKING:
    from hpc_testbed.testbed import Testbed


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes
    ----------
    inject : callable
        Injects it, given the testbed and the name of a node.
    description : str
        What is done, for people.
    symptom : str
        What Slurm then shows, and after how long.
    targets_node : bool
        Whether it happens to a node, or to the whole site.
    """

    inject: Callable[[Testbed, str], None]
    description: str
    symptom: str
    targets_node: bool = True


_TABLE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
FAULTS = {name: Fault(INJECTIONS[name], **row) for name, row in _TABLE.items()}

"""The faults: what each does, and how Slurm reacts."""

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
    """A fault that can be injected.

    Attributes
    ----------
    inject : callable
        Injects it, given the testbed and the name of a node.
    description : str
        What it does, for users.
    symptom : str
        What Slurm then shows, and after how long.
    targets_node : bool
        Whether it affects a node, or the whole site.
    """

    inject: Callable[[Testbed, str], None]
    description: str
    symptom: str
    targets_node: bool = True


_TABLE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
FAULTS = {name: Fault(INJECTIONS[name], **row) for name, row in _TABLE.items()}

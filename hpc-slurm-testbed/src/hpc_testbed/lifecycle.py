"""Start a testbed and take it down, whatever parts of it are running."""

from __future__ import annotations

import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING

from hpc_testbed.docker_engine import docker_errors, require_docker
from hpc_testbed.errors import TestbedError, command_hint
from hpc_testbed.lock import exclusive
from hpc_testbed.scaling import DEFAULT_NODES, remove_nodes_beyond, wait_for_nodes

if TYPE_CHECKING:
    from hpc_testbed.compose import ComposeProject
    from hpc_testbed.testbed import Testbed


def up(testbed: Testbed) -> None:
    """Start the missing parts of a testbed; record the seconds of each stage."""
    require_docker()
    project = testbed.project
    with exclusive(testbed.name):
        times = [time.monotonic()]
        if testbed.nodes is None:
            testbed.nodes = max(project.nodes(ended=True), default=DEFAULT_NODES)
        image = _node_image(project)
        if image is None:
            project.build()
            image = project.image
        times.append(time.monotonic())
        remove_nodes_beyond(testbed, testbed.nodes)
        seconds = {"TESTBED_IMAGE_SECONDS": f"{times[1] - times[0]:.1f}"}
        project.start(testbed.nodes, image, seconds)
        times.append(time.monotonic())
        wait_for_nodes(testbed)
        times.append(time.monotonic())
        laps = (end - begin for begin, end in pairwise(times))
        testbed.stages = dict(zip(("image", "containers", "slurm"), laps, strict=True))


def down(project: ComposeProject) -> None:
    """Remove a testbed completely, and check that Docker did so."""
    require_docker()
    with exclusive(project.name):
        project.remove()
        leftover = project.leftover_resources()
    if leftover:
        raise TestbedError(
            f"testbed {project.name} is down, but Docker did not remove {', '.join(leftover)}"
        )


@docker_errors()
def _node_image(project: ComposeProject) -> str | None:
    """Return the image of the testbed's nodes, if any; print a note if it is not the current one.

    New nodes of a testbed are created from the same image.
    """
    node = next(iter(project.nodes(ended=True).values()), None)
    if node is None:
        return None
    node.reload()
    name, identity = node.attrs["Config"]["Image"], node.attrs["Image"]
    other = f"{name}, not {project.image}"
    if name == project.image:
        project.build()
        other = "an image other than the current one"
    if (found := project.find_image(project.image)) is None or found.id != identity:
        hint = f"to change it, run {command_hint('down')} and up"
        print(f"Testbed {project.name} runs {other}; {hint}.", file=sys.stderr)
    return project.node_image()

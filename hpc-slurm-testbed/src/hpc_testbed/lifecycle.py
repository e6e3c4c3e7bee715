"""Start a testbed and take it down, whatever runs of it already."""

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
    """Start what is missing of a testbed; note the seconds of each stage."""
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
    """Remove all of a testbed, and look whether Docker did."""
    require_docker()
    with exclusive(project.name):
        project.remove()
        leftover = project.leftover_resources()
    if leftover:
        raise TestbedError(
            f"testbed {project.name} is down, but Docker keeps {', '.join(leftover)}"
        )


@docker_errors()
def _node_image(project: ComposeProject) -> str | None:
    """Return the image that the testbed's nodes have, if there are any; say if we want another.

    What is added to a testbed is made from the same image.
    """
    node = next(iter(project.nodes(ended=True).values()), None)
    if node is None:
        return None
    node.reload()
    name, identity = node.attrs["Config"]["Image"], node.attrs["Image"]
    other = f"{name}, not {project.image}"
    if name == project.image:
        project.build()
        other = "another image than the present one"
    if (found := project.find_image(project.image)) is None or found.id != identity:
        hint = f"to change it: {command_hint('down')}, then up again"
        print(f"Testbed {project.name} runs {other}; {hint}.", file=sys.stderr)
    return project.node_image()

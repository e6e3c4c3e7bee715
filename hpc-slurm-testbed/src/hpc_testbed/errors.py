"""Errors of the driver, and how their messages are worded."""

import os


class TestbedError(Exception):
    """Something about the testbed went wrong; the message is meant for the user."""

    __test__ = False  # not a test class, whatever pytest thinks of its name


class DockerUnavailableError(TestbedError):
    """No container engine can be used here; the message says why."""


def shortened(line: str) -> str:
    """Return a command line as a person would name it."""
    return line if len(line) <= 100 else line[:97] + "..."


def command_hint(name: str) -> str:
    """Return how a verb is called here: by this repository's Makefile, or by the command."""
    return f"make testbed-{name}" if "TESTBED_MAKE" in os.environ else f"hpc-testbed {name}"


def not_up(name: str) -> TestbedError:
    """Return the error for what needs a testbed that is up."""
    return TestbedError(f"testbed {name} is not up: start it first ({command_hint('up')})")


def last_lines(text: str, lines: int = 3) -> str:
    """Return the last non-empty lines of `text` as one."""
    kept = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(kept[-lines:]) or "it said nothing"

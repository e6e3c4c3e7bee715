"""Errors of the driver, and helpers for their messages."""

import os


class TestbedError(Exception):
    """An operation on the testbed failed; the message is for the user."""

    __test__ = False  # not a test class, despite its name


class DockerUnavailableError(TestbedError):
    """Docker cannot be used here; the message says why."""


def shortened(line: str) -> str:
    """Return a command line, truncated to 100 characters."""
    return line if len(line) <= 100 else line[:97] + "..."


def command_hint(name: str) -> str:
    """Return the command line for a verb: with this repository's Makefile, or hpc-testbed."""
    return f"make testbed-{name}" if "TESTBED_MAKE" in os.environ else f"hpc-testbed {name}"


def not_up(name: str) -> TestbedError:
    """Return the error for an operation that needs a running testbed."""
    return TestbedError(f"testbed {name} is not up: start it with {command_hint('up')}")


def last_lines(text: str, lines: int = 3) -> str:
    """Return the last nonempty lines of `text`, joined into one."""
    kept = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(kept[-lines:]) or "no output"

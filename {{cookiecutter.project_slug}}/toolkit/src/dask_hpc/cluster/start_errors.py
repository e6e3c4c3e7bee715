"""Explain in one line why a cluster cannot start, and clean up after it.

distributed wraps the reason in one or two exceptions that say only that something failed to start,
and leaves its event loop's thread running.
"""

import contextlib
import errno
import logging
import os
import re
import socket
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import dask.config
import psutil
from distributed import SpecCluster
from distributed.core import Status
from distributed.node import clean_dashboard_address

from ..errors import DaskHPCError, StartError

PRELOAD = "distributed.scheduler.preload"
FIRST_USER_PORT = 1024  # lower ports are reserved for the system
MAX_PORT = 65535
_NO_INTERFACE = re.compile(r"['\"](?P<name>[^'\"]+)['\"] is not a valid network interface")
_OF_CONTAINERS = ("veth", "docker", "br-", "virbr", "cni", "flannel", "cali")
REDUNDANT_LOG_LINES = {"Cluster closed without starting up", "Worker failed to connect"}


class StartErrorsMixin(SpecCluster):
    """Mixin for `SpecCluster` classes that explains failed starts and cleans up after them.

    It must precede all base classes that start something.
    """

    # Names under which users set scheduler options, where different, and where the scheduler runs.
    _option_names: ClassVar[Mapping[str, str]] = {}
    _place = "here"

    @property
    def _options_are_in(self) -> str:
        return "an argument of LocalCluster"

    def __init__(self, *args, **kwargs):
        try:
            super().__init__(*args, **kwargs)
        except Exception as error:
            self._clean_up()
            if isinstance(error, DaskHPCError):
                # Drop the frames of distributed and Tornado, which do not help the user.
                raise error.with_traceback(None) from None
            raise

    def _clean_up(self) -> None:
        runner = getattr(self, "_loop_runner", None)
        if runner is None:
            return  # nothing was started
        if self.status is Status.running and not self.asynchronous:
            self.close()
        else:
            # distributed stops it only if workers fail to start, not if the scheduler does.
            runner.stop()

    async def _start(self):
        options = self.scheduler_spec.get("options", {}) if self.scheduler_spec else {}
        try:
            _check_port(options.get("port"))
            with quiet("distributed.deploy.spec"):
                await super()._start()
        except DaskHPCError:
            raise
        except Exception as error:
            await self._close()  # does nothing if distributed has closed it
            raise StartError(self._describe(error, options)) from None

    def _describe(self, error: Exception, options: Mapping[str, Any]) -> str:
        what, remedy = explain(error, options)
        for name, shown in self._option_names.items():
            remedy = remedy.replace(f"`{name}`", f"`{shown}`")
        remedy = remedy.replace("{where}", self._options_are_in)
        line = f"Cannot start Dask's scheduler {self._place}: {what}."
        return f"{line} {remedy}." if remedy else line


@contextlib.contextmanager
def quiet(logger: str) -> Iterator[None]:
    """Suppress distributed's log messages about a failed start; its exception says the same."""
    log = logging.getLogger(logger)

    def unraised(record: logging.LogRecord) -> bool:
        return record.exc_info is None and record.getMessage() not in REDUNDANT_LOG_LINES

    log.addFilter(unraised)
    try:
        yield
    finally:
        log.removeFilter(unraised)


class _BadPortError(ValueError):
    pass


def _check_port(port: Any) -> None:
    # The operating system would take a number that is too large modulo 65536.
    number = int(port) if isinstance(port, str) and port.isdecimal() else port
    if number is None or (isinstance(number, int) and 0 <= number <= MAX_PORT):
        return
    raise _BadPortError(f"{port!r} is not a valid port")


def innermost(error: BaseException) -> BaseException:
    """Return the error at the beginning of a chain of exceptions."""
    # An error while cleaning up after a failed start has no cause, but the start as its context.
    if error.__cause__ is None and "non-running" in str(error) and error.__context__ is not None:
        error = error.__context__
    while error.__cause__ is not None:
        # A LookupError says only what was not found; the error above it says what for.
        if isinstance(error.__cause__, LookupError) and not isinstance(error, RuntimeError):
            break
        error = error.__cause__
    return error


def text(error: BaseException) -> str:
    """Return an error's text on one line, with its type if the text is empty or a single word."""
    if isinstance(error, OSError) and error.strerror:
        said = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    elif len(error.args) > 1 and isinstance(error.args[0], str):
        said = f"{error.args[0]} ({', '.join(map(str, error.args[1:]))})"
    else:
        said = str(error.args[0]) if error.args else ""
    said = " ".join(said.split()).rstrip(".")
    kind = type(error).__name__
    return f"{kind}: {said}" if said and " " not in said else said or kind


def explain(error: BaseException, options: Mapping[str, Any]) -> tuple[str, str]:
    """Explain why a scheduler with these options did not start, and what to change, if known.

    Parameters
    ----------
    error : exception
        What distributed raised.
    options : mapping
        The scheduler's options.

    Returns
    -------
    what, remedy : str
        The reason, and what to change (empty if unknown), without a final period. A remedy names
        options in backquotes, and contains ``{where}`` for the place where users set them.
    """
    error = innermost(error)
    port, host = options.get("port"), options.get("host")
    code = error.errno if isinstance(error, OSError) else None
    if isinstance(error, _BadPortError):
        range_ = f"{FIRST_USER_PORT} to {MAX_PORT}"
        return text(error), f"Set `port` to a number from {range_}, or remove it ({{where}})"
    if code == errno.EADDRINUSE and port:
        what = f"port {port} is already in use"
        return what, "Set `port` to another number, or remove it to use any free port ({where})"
    if code == errno.EACCES and port and int(port) < FIRST_USER_PORT:
        what = f"port {port} is reserved for the system"
        return what, f"Set `port` to {FIRST_USER_PORT} or more, or remove it ({{where}})"
    if code == errno.EADDRNOTAVAIL and host:
        what = f"{host} is not an address of this computer"
        return what, "Remove `host`, or set it to an address that `ip address` lists ({where})"
    if isinstance(error, socket.gaierror) and host:
        what = f"unknown host {host} ({error.strerror})"
        return what, "Remove `host`, or set it to this computer's name or address ({where})"
    if (missing := _missing_keys(options.get("security"))) and isinstance(error, OSError):
        return f"cannot read the file {missing} from the security settings", ""
    if isinstance(error, TypeError) and "ssl_context" in str(error):
        return "the protocol tls:// needs keys", "Pass security=True, or no protocol"
    if isinstance(error, ImportError):
        named = [name for name in dask.config.get(PRELOAD, None) or [] if name in str(error)]
        return text(error), f"Check {PRELOAD} in Dask's configuration" if named else ""
    if (address := options.get("dashboard_address")) is not None and not _is_readable(address):
        what = f"{address!r} is not a valid dashboard address"
        return what, 'Set `dashboard_address` to something like "localhost:8787" ({where})'
    if match := _NO_INTERFACE.match(str(error)):
        there = ", ".join(_interfaces()) or "only the loopback"
        what = f"this computer has no network interface {match['name']} (it has: {there})"
        return what, "Set `interface` to one that `ip address` lists, or remove it ({where})"
    said = text(error)
    # The error may be about the value of an option.
    values = [(name, value) for name, value in options.items() if isinstance(value, str)]
    named = [f"`{name}`" for name, value in values if len(value) > 1 and value in said]
    return said, f"See {' and '.join(named)} ({{where}})" if named else ""


def _interfaces() -> list[str]:
    """Return this computer's network interfaces except the loopback, those of containers last."""
    names = sorted(set(psutil.net_if_addrs()) - {"lo"})
    return sorted(names, key=lambda name: name.startswith(_OF_CONTAINERS))


def _missing_keys(security: Any) -> str:
    """Return the first key file that cannot be read; empty if all can."""
    for name in ("tls_ca_file", "tls_scheduler_cert", "tls_scheduler_key"):
        path = getattr(security, name, None)
        # A temporary Security contains the keys themselves, not file names.
        if isinstance(path, str) and "\n" not in path and not os.access(path, os.R_OK):
            return path
    return ""


def _is_readable(address: Any) -> bool:
    try:
        clean_dashboard_address(address)
    except (ValueError, TypeError, AttributeError):
        return False
    return True

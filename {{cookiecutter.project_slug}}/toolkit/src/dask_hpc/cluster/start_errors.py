"""Tell in one line why a cluster can't start, and leave nothing of it behind.

distributed wraps the reason in one or two errors that say only that something failed to start, and
it leaves the thread of its event loop running.
"""

import contextlib
import errno
import logging
import os
import re
import socket
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import dask.config
import psutil
from distributed.core import Status
from distributed.node import clean_dashboard_address

from ..errors import DaskHPCError, StartError

if TYPE_CHECKING:
    from distributed import SpecCluster as _Base
else:
    _Base = object

PRELOAD = "distributed.scheduler.preload"
FIRST_USER_PORT = 1024  # those below are the system's
MAX_PORT = 65535
_NO_INTERFACE = re.compile(r"['\"](?P<name>[^'\"]+)['\"] is not a valid network interface")
_OF_CONTAINERS = ("veth", "docker", "br-", "virbr", "cni", "flannel", "cali")
REDUNDANT_LOG_LINES = {"Cluster closed without starting up", "Worker failed to connect"}


class StartErrorsMixin(_Base):
    """Mixin for `SpecCluster` classes that explains failed starts and cleans up after them.

    It stands before all bases that start something.
    """

    # What users call these options of the scheduler, where it differs, and where they set them.
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
                # Without the frames of distributed and Tornado, which say nothing more.
                raise error.with_traceback(None) from None
            raise

    def _clean_up(self) -> None:
        runner = getattr(self, "_loop_runner", None)
        if runner is None:
            return  # nothing has begun
        if self.status is Status.running and not self.asynchronous:
            self.close()
        else:
            # distributed does so only where workers fail to start, not where the scheduler does.
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
            await self._close()  # unless distributed has done so
            raise StartError(self._describe(error, options)) from None

    def _describe(self, error: Exception, options: Mapping[str, Any]) -> str:
        what, remedy = explain(error, options)
        for name, shown in self._option_names.items():
            remedy = remedy.replace(f"`{name}`", f"`{shown}`")
        remedy = remedy.replace("{where}", self._options_are_in)
        line = f"Dask's scheduler can't start {self._place}: {what}."
        return f"{line} {remedy}." if remedy else line


@contextlib.contextmanager
def quiet(logger: str) -> Iterator[None]:
    """Suppress what distributed logs about a failed start in addition to its exception."""
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
    # The system takes one that is too large modulo 65536.
    number = int(port) if isinstance(port, str) and port.isdecimal() else port
    if number is None or (isinstance(number, int) and 0 <= number <= MAX_PORT):
        return
    raise _BadPortError(f"there is no port {port!r}")


def innermost(error: BaseException) -> BaseException:
    """Return the error at the beginning of a chain of causes."""
    # What fails while a failed start is cleared up has no cause, but comes after it.
    if error.__cause__ is None and "non-running" in str(error) and error.__context__ is not None:
        error = error.__context__
    while error.__cause__ is not None:
        # A lookup that fails says only what was looked up, and the error above it what for.
        if isinstance(error.__cause__, LookupError) and not isinstance(error, RuntimeError):
            break
        error = error.__cause__
    return error


def text(error: BaseException) -> str:
    """Return an error's text in one line, with its type if the text is one word or empty."""
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
        Without a final period. A remedy names options in backquotes, and ``{where}`` stands for
        the place where users set them.
    """
    error = innermost(error)
    port, host = options.get("port"), options.get("host")
    code = error.errno if isinstance(error, OSError) else None
    if isinstance(error, _BadPortError):
        range_ = f"{FIRST_USER_PORT} to {MAX_PORT}"
        return text(error), f"Set `port` to one from {range_}, or leave it out ({{where}})"
    if code == errno.EADDRINUSE and port:
        what = f"port {port} is in use already"
        return what, "Set `port` to another one, or leave it out for a free one ({where})"
    if code == errno.EACCES and port and int(port) < FIRST_USER_PORT:
        what = f"port {port} is one of the system's"
        return what, f"Set `port` to one from {FIRST_USER_PORT} on, or leave it out ({{where}})"
    if code == errno.EADDRNOTAVAIL and host:
        what = f"{host} is no address of this computer"
        return what, "Leave `host` out, or set it to one that `ip address` shows ({where})"
    if isinstance(error, socket.gaierror) and host:
        what = f"there is no computer {host} ({error.strerror})"
        return what, "Leave `host` out, or set it to this computer's name or address ({where})"
    if (missing := _missing_keys(options.get("security"))) and isinstance(error, OSError):
        return f"the file {missing}, of its security, is not there or can't be read", ""
    if isinstance(error, TypeError) and "ssl_context" in str(error):
        return "with the protocol tls:// it needs keys", "Give security=True, or no protocol"
    if isinstance(error, ImportError):
        named = [name for name in dask.config.get(PRELOAD, None) or [] if name in str(error)]
        return text(error), f"{PRELOAD} in Dask's configuration names it" if named else ""
    if (address := options.get("dashboard_address")) is not None and not _is_readable(address):
        what = f"{address!r} is no address for its web page"
        return what, 'Set `dashboard_address` to one like ":8787" or "localhost:8787" ({where})'
    if match := _NO_INTERFACE.match(str(error)):
        there = ", ".join(_interfaces()) or "none but the loopback"
        what = f"this computer has no network interface {match['name']} (it has: {there})"
        return what, "Set `interface` to one that `ip address` shows, or leave it out ({where})"
    said = text(error)
    # Whatever it complains of may be the value of an option.
    values = [(name, value) for name, value in options.items() if isinstance(value, str)]
    named = [f"`{name}`" for name, value in values if len(value) > 1 and value in said]
    return said, f"See {' and '.join(named)} ({{where}})" if named else ""


def _interfaces() -> list[str]:
    """Return this computer's network interfaces except the loopback; containers' come last."""
    names = sorted(set(psutil.net_if_addrs()) - {"lo"})
    return sorted(names, key=lambda name: name.startswith(_OF_CONTAINERS))


def _missing_keys(security: Any) -> str:
    """Return the first key file that can't be read; empty if there is no such file."""
    for name in ("tls_ca_file", "tls_scheduler_cert", "tls_scheduler_key"):
        path = getattr(security, name, None)
        # Temporary ones are no files, but hold the key itself.
        if isinstance(path, str) and "\n" not in path and not os.access(path, os.R_OK):
            return path
    return ""


def _is_readable(address: Any) -> bool:
    try:
        clean_dashboard_address(address)
    except (ValueError, TypeError, AttributeError):
        return False
    return True

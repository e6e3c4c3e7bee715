"""Detect scripts that lack ``if __name__ == "__main__":`` where it is needed.

Worker processes on this computer begin by importing the script that started them, under another
name. Each of them repeats whatever the script does outside of that guard; a cluster created while a
worker is starting cannot start processes of its own.
"""

import ast
import inspect
import multiprocessing
import sys
from pathlib import Path
from types import FrameType

import dask.config

from ..errors import StartError

# Exit code of a worker process that reaches the line that created it (EX_CONFIG of sysexits.h).
UNGUARDED_EXIT_CODE = 78
_GUARDED = (ast.If, ast.Try, ast.TryStar, ast.While, ast.Match)


def check() -> None:
    """Raise an error if local worker processes would in turn start their own.

    Raises
    ------
    StartError
        The line of the script that led here is not guarded.
    SystemExit
        This process is such a worker; the process that started it will report the error.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        if multiprocessing.current_process().name.startswith("Dask Worker process"):
            raise SystemExit(UNGUARDED_EXIT_CODE)
        raise StartError(advice())
    if dask.config.get("distributed.worker.multiprocessing-method", "spawn") == "fork":
        return
    if (script := _script()) is not None and not script.exists():  # "<stdin>", for instance
        raise StartError(
            f"Worker processes on this computer import the script, but {script.name} is no file: "
            "save the script, or use threads on this computer: get_cluster(processes=False)."
        )
    if (line := _line_of_script()) is not None and not _is_conditional(line):
        raise StartError(advice(line))


def advice(line: int | None = None) -> str:
    """Return a one-line message that says how to guard the script."""
    script = getattr(sys.modules.get("__main__"), "__file__", None) or "the script"
    where = f"{script}, line {line}" if line is not None else script
    return (
        f"{where}: worker processes on this computer import the script, so put its code, indented, "
        'below `if __name__ == "__main__":`. Or use threads, which need no such line, on this '
        "computer: get_cluster(processes=False)."
    )


def _script() -> Path | None:
    """Return the script that worker processes import; None if there is none (``python -m``)."""
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    if file is None or getattr(main, "__spec__", None) is not None:
        return None
    return Path(getattr(multiprocessing.process, "ORIGINAL_DIR", None) or "", file)


def _line_of_script() -> int | None:
    """Return the line of the script that is executing; None without an importable script."""
    main = sys.modules.get("__main__")
    if main is None or getattr(main, "__file__", None) is None:
        return None  # a notebook, or interactive
    if str(getattr(main.__spec__, "name", "")).endswith(".__main__"):
        return None  # a package, as in `python -m jupyterlab`, which is not imported again
    frame: FrameType | None = inspect.currentframe()
    while frame is not None:
        if frame.f_globals is vars(main) and frame.f_code.co_name == "<module>":
            return frame.f_lineno if frame.f_code.co_filename == main.__file__ else None
        frame = frame.f_back
    return None


def _is_conditional(line: int) -> bool:
    """Return whether the script reaches this line only on some condition, such as the guard."""
    try:
        module = ast.parse(Path(sys.modules["__main__"].__file__ or "").read_bytes())
    except (OSError, SyntaxError, ValueError):
        return True  # unknown
    body: list[ast.stmt] = module.body
    while True:
        around = [node for node in body if node.lineno <= line <= (node.end_lineno or 0)]
        if not around or isinstance(around[0], _GUARDED):
            return True
        if not isinstance(around[0], ast.With | ast.For):
            return False
        body = around[0].body

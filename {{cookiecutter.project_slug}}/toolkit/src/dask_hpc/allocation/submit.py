"""Check a program for `dask hpc run`, and submit the script of its job."""

import asyncio
import os
import re
import shlex
import tempfile
import warnings
import zipfile
from pathlib import Path

from .. import batch as batch_systems
from ..batch import commands
from ..cluster.submit_errors import submit_error
from ..errors import ConfigError


def check_program(path: str) -> None:
    """Raise an error if Python cannot run a program, before it waits in the queue.

    Raises
    ------
    ConfigError
        The file does not exist, or is not a Python program.
    """
    program = Path(path)
    if program.is_dir():
        if (program / "__main__.py").is_file():
            return
        raise ConfigError(f"{path} is a folder: pass the Python file in it.")
    if not program.exists():
        similar = program.with_name(f"{program.name}.py")
        meant = f"; did you mean {similar}?" if similar.exists() else "."
        raise ConfigError(f"No such file: {path}{meant}")
    if program.suffix == ".ipynb":
        made = program.with_suffix(".py")
        raise ConfigError(
            f"{path} is a notebook, not a program. Convert it: "
            f"{shlex.join(['jupyter', 'nbconvert', '--to', 'script', path])}; "
            f"then run {shlex.join(['dask', 'hpc', 'run', str(made)])}"
        )
    with program.open("rb") as file:
        head = file.read(100_000)
    if zipfile.is_zipfile(program):
        return
    first = head.partition(b"\n")[0].decode(errors="replace").strip()
    if first.startswith("#!") and "python" not in first:
        raise ConfigError(
            f"{path} begins with {first}, so it is not a Python program. To submit it as a script, "
            f"use `sbatch {shlex.quote(path)}`; here, pass the Python file that it runs."
        )
    try:
        # The beginning of a long program may not compile, although the whole does.
        if program.stat().st_size <= len(head):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compile(head, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        number = getattr(error, "lineno", None)
        line = f", line {number}" if number else ""
        what = getattr(error, "msg", None) or str(error)
        raise ConfigError(f"{path}{line}: not a valid Python program ({what}).") from None


def is_local_disk(folder: Path) -> bool:
    """Return whether a folder is probably on a local disk, which the nodes cannot see.

    This is assumed if ``/tmp`` or the system is on the same file system, but the home directory,
    which most sites share, is not.
    """
    own = {_device(Path(name)) for name in ("/", "/tmp", "/dev/shm")}
    return _device(folder) in own and _device(Path.home()) not in own


def _device(path: Path) -> int | None:
    try:
        return path.stat().st_dev
    except OSError:
        return None


def submit(text: str) -> str:
    """Submit a job script; return the job's id.

    Raises
    ------
    SubmitError
        Slurm rejected the job, or sbatch is not installed here.
    """
    batch = batch_systems.get("slurm")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.sh"
        path.write_text(text)
        try:
            said = asyncio.run(
                commands.run([batch.submit, str(path)], env=batch.submitting(os.environ))
            )
        except commands.CommandError as error:
            raise submit_error(batch, error) from error
    match = re.search(batch.job_id_pattern, said)
    if match is None:
        raise submit_error(batch, ValueError(f"no job id in sbatch's output, {said.strip()!r}"))
    return match["job_id"]

"""Give each job a private folder on its node, for what does not fit in its workers' memory.

Dask's own, ``dask-scratch-space`` in /tmp, belongs to whoever made it first, and workers load what
is in it. Since only the node knows its folders, and the workers' Python may be that of a container
without this package, the job's shell makes the folder. The job script removes it (see
`cluster.job_script`), unless the job is killed.
"""

import shlex
from pathlib import Path

import dask.config

from . import trust
from .fields import argument_of
from .paths import node_directory
from .resolve import JobSettings
from .shell import is_bourne, is_c_shell, joined

KEY, DASKS_OWN = "local-directory", "temporary-directory"
# The shell's variable with the folder.
VARIABLE = "dask_scratch"
_TEXT = Path(__file__).with_name("make_scratch.sh").read_text(encoding="utf-8")
_LINES = [line for line in _TEXT.splitlines() if not line.startswith("#")]


def add_scratch(settings: JobSettings) -> JobSettings:
    """Add to a cluster's settings the lines that make each job's folder."""
    shebang, text = settings.get("shebang"), settings.get(KEY)
    if KEY in settings.given:
        where = f"argument {argument_of(KEY)}"
    else:
        where = f"jobqueue.{settings.section.holder(KEY)}.{KEY}"
    if text is None:
        text = dask.config.get(DASKS_OWN, None)
        where = KEY if text is None else DASKS_OWN
    word, lines = ("''", []) if text is None else node_directory(str(text), where, shebang)
    groups = [it for group in sorted(trust.writing_groups()) for it in ("-o", "-group", str(group))]
    # Only a shell's own script can have several lines in quotes.
    code = "\n".join(_LINES) if is_bourne(shebang) else joined(_LINES)
    make = f'sh -c {shlex.quote(code)} sh "${VARIABLE}" {shlex.join([where, *groups])}'
    if is_c_shell(shebang):
        lines = [f"set {VARIABLE} = {word}", f"set {VARIABLE} = `{make}`"]
        lines += [f'if ("${VARIABLE}" == "") exit 1', f'setenv {VARIABLE} "${VARIABLE}"']
    else:
        lines = [*lines, f"{VARIABLE}={word}", f"{VARIABLE}=$({make}) || exit 1"]
    prologue = [*(settings.get("job-script-prologue") or []), *lines]
    return settings.with_arguments(local_directory=f'"${VARIABLE}"', job_script_prologue=prologue)

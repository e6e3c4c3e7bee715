"""Environment variables that change what Slurm's commands do or print."""

import tomllib
from collections.abc import Sequence

from .description import WORDS

_VARIABLES = tomllib.loads((WORDS / "slurm_variables.toml").read_text(encoding="utf-8"))
# Variables that change what the commands that list and cancel jobs print.
READING_VARIABLES: tuple[str, ...] = tuple(_VARIABLES["reading"])
# Variables of a job that srun takes for its own options, and the option of sbatch that sets each.
OPTION_VARIABLES: dict[str, str] = _VARIABLES["options"]
# All variables of a job that change jobs submitted from within it.
JOB_VARIABLES = (*OPTION_VARIABLES, *_VARIABLES["job"])
# Short forms, and options that set a variable beside their own.
_SHORT = {"-n": "--ntasks", "-c": "--cpus-per-task", "-G": "--gpus", "-m": "--distribution"}
_ALSO = {"--cpus-per-task": "--tres-per-task", "--ntasks-per-node": "--ntasks"}


def leftovers(directives: Sequence[str]) -> list[str]:
    """Return the variables that srun reads in a job and that none of its directives sets.

    Their values come from another job, from within which this one was submitted.

    Parameters
    ----------
    directives : sequence of str
        Lines of the job script that begin with ``#SBATCH``.
    """
    # More than one option may be in a line; what is none of them does no harm.
    words = [word for line in directives for word in line.split()[1:] if word.startswith("-")]
    asked = {_SHORT.get(word[:2], word.partition("=")[0]) for word in words}
    known = set(OPTION_VARIABLES.values()) - {""}
    # Options may be shortened.
    shortened = {word for word in asked - known if word.startswith("--") and len(word) > 2}
    asked |= {option for option in known for word in shortened if option.startswith(word)}
    asked |= {_ALSO[option] for option in asked & _ALSO.keys()}
    return [variable for variable, option in OPTION_VARIABLES.items() if option not in asked]

"""Environment variables that change what Slurm's commands do or print."""

import tomllib
from collections.abc import Sequence

from .description import WORDS

_VARIABLES = tomllib.loads((WORDS / "slurm_variables.toml").read_text(encoding="utf-8"))
# Variables that change the output of commands that list and cancel jobs.
READING_VARIABLES: tuple[str, ...] = tuple(_VARIABLES["reading"])
# Variables of a job that srun reads as its own options, and the option of sbatch that sets each.
OPTION_VARIABLES: dict[str, str] = _VARIABLES["options"]
# All variables of a job that affect jobs submitted from within it.
JOB_VARIABLES = (*OPTION_VARIABLES, *_VARIABLES["job"])
# Short forms of options, and options that also set another option's variable.
_SHORT = {"-n": "--ntasks", "-c": "--cpus-per-task", "-G": "--gpus", "-m": "--distribution"}
_ALSO = {"--cpus-per-task": "--tres-per-task", "--ntasks-per-node": "--ntasks"}


def leftovers(directives: Sequence[str]) -> list[str]:
    """Return the variables that srun reads in a job but none of its directives sets.

    If set, their values come from another job, from which this one was submitted.

    Parameters
    ----------
    directives : sequence of str
        Lines of the job script that begin with ``#SBATCH``.
    """
    # A line may have more than one option; words that are not options do no harm.
    words = [word for line in directives for word in line.split()[1:] if word.startswith("-")]
    asked = {_SHORT.get(word[:2], word.partition("=")[0]) for word in words}
    known = set(OPTION_VARIABLES.values()) - {""}
    # Options may be abbreviated.
    shortened = {word for word in asked - known if word.startswith("--") and len(word) > 2}
    asked |= {option for option in known for word in shortened if option.startswith(word)}
    asked |= {_ALSO[option] for option in asked & _ALSO.keys()}
    return [variable for variable, option in OPTION_VARIABLES.items() if option not in asked]

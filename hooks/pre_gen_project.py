"""Refuse answers that could not give a working project, before anything is written.

Cookiecutter fills in the one line marked below and runs this file. The answers arrive as JSON
*data*: an answer that holds quotes or Python code stays a text. One line is printed for each bad
answer. The file keeps to the standard library, because it runs in whatever Python cookiecutter has.
"""

import json
import keyword
import re
import sys

# The middle line is the only Jinja in this file. JSON escapes every quote and backslash that an
# answer holds, so that the raw string cannot end early.
ANSWERS = r"""
{{ cookiecutter | tojson }}
"""

SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
# Names of packages that every project's environment holds: one of ours would hide theirs.
TAKEN = {"bokeh", "click", "dask", "dask_hpc", "dask_jobqueue", "dask_labextension", "distributed"}
TAKEN |= {"jupyterlab", "matplotlib", "numpy", "pytest", "rich", "tornado", "yaml"}
TAKEN |= {"test", "tests", "toolkit"}  # Python's own tests, and folders of the project
MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT]i?B?)", re.IGNORECASE)
# The kernel allows 15 characters, no white space and no slash.
INTERFACE = re.compile(r"[^\s/]{1,15}")
# How each batch system reads a walltime, and how to write one. None: it has none.
WALLTIMES = {
    "slurm": (
        re.compile(r"[0-9]+(:[0-9]+){0,2}|[0-9]+-[0-9]+(:[0-9]+){0,2}|UNLIMITED|INFINITE", re.I),
        "write HH:MM:SS or D-HH:MM:SS, for instance 01:00:00 or 2-00:00:00",
    ),
    "none": None,
}


def check_slug(slug):
    """Say what is wrong with the project's name, or None."""
    if not SLUG.fullmatch(slug):
        usable = re.sub(r"[^a-z0-9]+", "-", slug.lower()).strip("-0123456789") or "my-lab"
        return (
            "use lower-case letters, digits and single hyphens, "
            f"beginning with a letter, for instance {usable}"
        )
    package = slug.replace("-", "_")
    if keyword.iskeyword(package) or package in sys.stdlib_module_names or package in TAKEN:
        return f"Python already uses this name; choose another, for instance {slug}-lab"
    return None


def check_positive(text):
    """Say what is wrong with a count, or None."""
    if re.fullmatch(r"[0-9]{1,6}", text) and int(text) > 0:
        return None
    return "give a whole number of 1 or more, for instance 8"


def check_memory(text):
    """Say what is wrong with an amount of memory, or None."""
    match = MEMORY.fullmatch(text)
    if not match:
        return "give a number and a unit, for instance 16 GiB"
    number, unit = match.groups()
    if unit.lower() not in ("mib", "gib", "tib"):
        # "16 GB" is 16 * 10^9 bytes to Dask, but 16 GiB to a batch system.
        prefix = unit[0].upper().replace("K", "M")
        return f"give the unit as MiB, GiB or TiB, for instance {number} {prefix}iB"
    if float(number) == 0:
        return "give more than nothing, for instance 16 GiB"
    return None


def check_walltime(scheduler, text):
    """Say what is wrong with a walltime of this batch system, or None."""
    grammar = WALLTIMES.get(scheduler)
    if grammar is None:
        return None
    pattern, forms = grammar
    if not pattern.fullmatch(text):
        return forms
    if not re.search(r"[1-9A-Z]", text, re.I):
        return "give more than nothing, for instance 01:00:00"
    return None


def check_interface(text):
    """Say what is wrong with the name of a network interface, or None."""
    if text == "" or INTERFACE.fullmatch(text):
        return None
    return "give a name as `ip address` shows it, such as ib0 or eth0, or leave it blank"


def problems(answers):
    """Check all answers.

    Parameters
    ----------
    answers : dict
        Names and answers of the template's questions.

    Returns
    -------
    list of str
        A line for each bad answer: the question, the answer, what to do.
    """
    text = {name: str(answer) for name, answer in answers.items()}
    found = []

    def report(name, remedy):
        if remedy:
            # repr keeps an answer with a line break on one line.
            found.append(f"{name} {text[name]!r}: {remedy}")

    report("project_slug", check_slug(text["project_slug"]))
    if text["scheduler"] not in WALLTIMES:
        report("scheduler", "choose one of " + ", ".join(WALLTIMES))
    cores, processes = check_positive(text["cores"]), check_positive(text["processes"])
    report("cores", cores)
    report("memory", check_memory(text["memory"]))
    report("processes", processes)
    if not cores and not processes and int(text["cores"]) % int(text["processes"]):
        report("processes", f"give a number that divides the {int(text['cores'])} cores evenly")
    report("walltime", check_walltime(text["scheduler"], text["walltime"]))
    report("worker_interface", check_interface(text["worker_interface"]))
    report("scheduler_interface", check_interface(text["scheduler_interface"]))
    return found


if __name__ == "__main__":
    lines = problems(json.loads(ANSWERS))
    for line in lines:
        print("ERROR:", line, file=sys.stderr)
    sys.exit(1 if lines else 0)

"""Reject invalid answers before anything is written.

Cookiecutter fills in the line marked below and runs this file. The answers arrive as JSON *data*,
so that quotes or Python code in an answer remain text. This prints one line for each bad answer. It
uses only the standard library, because it runs in cookiecutter's Python, and only the syntax of
Python 3.6, so that it can report that a Python is too old. The toolkit makes the same checks of an
edited config/jobqueue.yaml; tests/toolkit/answers.yaml is a table that both are tested against.
"""

import json
import keyword
import re
import sys
import unicodedata

# The middle line is the only Jinja in this file. JSON escapes all quotes and backslashes in an
# answer, so that the raw string cannot end early.
ANSWERS = r"""
{{ cookiecutter | tojson }}
"""

OLDEST_PYTHON = (3, 10)  # the first with sys.stdlib_module_names
OLDEST_COOKIECUTTER = (2, 2)  # the first that finds templates/ next to the project's files

QUESTIONS = ["project_slug", "batch_system", "account", "queue", "cores", "memory", "processes"]
QUESTIONS += ["walltime", "worker_interface", "scheduler_interface"]
# cookiecutter.json substitutes this for a name that would lead out of the target directory.
REPLACED = "refused-name"
SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST_SLUG = 50
# Packages in every project's environment, which a project of the same name would hide.
TAKEN = {"bokeh", "click", "dask", "dask_hpc", "dask_jobqueue", "dask_labextension", "distributed"}
TAKEN |= {"jinja2", "jupyterlab", "lazy_loader", "matplotlib", "numpy", "pytest", "rich", "tornado"}
TAKEN |= {"scipy", "yaml"}
TAKEN |= {"test", "tests", "toolkit"}  # Python's own tests, and folders of the project
# A job runs on one node, and this is the most that Linux supports (CONFIG_NR_CPUS of the kernel).
MAX_CORES = 8192
MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)[ \t]*(?:([KMGTP])(iB|B)?|B)?", re.IGNORECASE)
# Per process: an idle worker uses 75 MiB, and a worker pauses at 80 % of its limit.
MIN_MEMORY_BYTES = 100 * 2**20
MAX_MEMORY_BYTES = 2**52  # what an x86-64 processor can address
# Names that Linux allows (15 bytes, no white space or slash) and that need no quoting in a shell.
INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,14}")

CLOCK = r"(?:(?:(?P<h>[0-9]+):)?(?P<m>[0-9]+):)?(?P<s>[0-9]+)"
HOURS = r"(?P<h>[0-9]+)(?::(?P<m>[0-9]+)(?::(?P<s>[0-9]+))?)?"
# The formats of a walltime in each batch system, and what to write; None if jobs have no walltime.
# All batch systems add up the fields: 0:90:00 is an hour and a half.
WALLTIMES = {
    "slurm": (
        [
            rf"(?P<d>[0-9]+)-{HOURS}",
            r"(?P<h>[0-9]+):(?P<m>[0-9]+):(?P<s>[0-9]+)",
            r"(?P<m>[0-9]+)(?::(?P<s>[0-9]+))?",
            r"(?i:UNLIMITED|INFINITE)",
        ],
        "use HH:MM:SS or D-HH:MM:SS, such as 01:00:00 or 2-00:00:00",
    ),
    "pbs": ([CLOCK], "use HH:MM:SS, such as 01:00:00"),
    "sge": (
        [r"(?P<h>[0-9]*):(?P<m>[0-9]*):(?P<s>[0-9]*)", r"(?P<s>[1-9][0-9]*)"],
        "use HH:MM:SS, such as 01:00:00",
    ),
    "oar": ([HOURS], "use HH:MM:SS, such as 01:00:00"),
    "lsf": (
        [r"(?:(?P<h>[0-9]+):)?(?P<m>[0-9]+)(?:/[^\s/]+)?"],
        "use HH:MM, without seconds, such as 01:00",
    ),
    "htcondor": None,
    "none": None,
}
SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
LONGEST = 2**31 - 1  # seconds: batch systems use 32 bits (Slurm misbehaves beyond that)
# Questions that do not apply to a batch system, and what to do instead.
NO_PLACE = {
    ("htcondor", "account"): "HTCondor jobs have no account; leave it blank (an accounting group "
    "belongs in job-extra-directives)",
    ("htcondor", "queue"): "HTCondor has no queues; leave it blank",
}


def too_old(python, cookiecutter):
    """Return a message if Python or cookiecutter is too old, or None.

    Parameters
    ----------
    python : tuple of int
        As `sys.version_info`.
    cookiecutter : str
        As `cookiecutter.__version__`.
    """
    if tuple(python[:2]) < OLDEST_PYTHON:
        return (
            f"Python {python[0]}.{python[1]}, which runs cookiecutter, is too old: install "
            "cookiecutter in Python 3.11 or newer, for instance `python3.11 -m venv new && "
            "new/bin/pip install cookiecutter`, and run new/bin/cookiecutter"
        )
    numbers = tuple(int(number) for number in re.findall("[0-9]+", cookiecutter)[:2])
    if numbers < OLDEST_COOKIECUTTER:
        return (
            f"cookiecutter {cookiecutter} is too old: install 2.2 or newer, for instance "
            "`python3 -m venv new && new/bin/pip install 'cookiecutter>=2.2'`, "
            "and run new/bin/cookiecutter"
        )
    return None


def cookiecutters_version():
    """Return the version of the cookiecutter that runs this hook."""
    try:
        from cookiecutter import __version__
    except ImportError:  # a bundle whose Python cannot import it
        return "99"
    return __version__


def check_text(answer):
    """Return what is wrong with an answer that is not text, or None."""
    if not isinstance(answer, str):
        # In a file of answers: `queue:` with nothing after it, yes, [a, b].
        return 'use text in quotes, or "" for none'
    if re.search("[\ud800-\udfff]", answer):
        return "use text encoded as UTF-8"  # bytes of another encoding cannot be written to a file
    return None


def check_line(text):
    """Say what is wrong with an answer that becomes a part of a job script's line, or None."""
    # Control characters, and Unicode's own separators of lines and paragraphs.
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in text):
        return "it has a line break or control character; write it as one plain line"
    return None


def check_slug(slug):
    """Return what is wrong with the project's name, or None."""
    if not SLUG.fullmatch(slug) or len(slug) > LONGEST_SLUG:
        usable = re.sub(r"[^a-z0-9]+", "-", slug.lower()).strip("-0123456789")
        usable = usable[:LONGEST_SLUG].rstrip("-") or "my-lab"
        return (
            "use lower-case letters, digits, and single hyphens, "
            f"beginning with a letter, {LONGEST_SLUG} characters at most, such as {usable}"
        )
    package = slug.replace("-", "_")
    if keyword.iskeyword(package) or package in sys.stdlib_module_names or package in TAKEN:
        return f"a Python package already has this name; choose another, such as {slug}-lab"
    return None


def check_count(text):
    """Return what is wrong with a number of cores or processes, or None."""
    if not re.fullmatch("[0-9]+", text) or not text.strip("0"):
        return "use an integer, 1 or more, such as 8"
    if len(text) > 9 or int(text) > MAX_CORES:
        return f"use a number for one job on one node, {MAX_CORES} at most"
    return None


def check_memory(text, processes=1):
    """Return what is wrong with an amount of memory for this many processes, or None."""
    match = MEMORY.fullmatch(text)
    if not match:
        return "use a number and a unit, such as 16 GiB"
    number, prefix, rest = match.groups()
    # As in Dask: 16 GB and 16G are 16 * 10^9 bytes, 16 GiB is 16 * 2^30; without a unit, bytes.
    base = 1024 if rest and rest.lower() == "ib" else 1000
    size = float(number) * base ** (" KMGTP".index((prefix or " ").upper()))
    if not prefix and not rest and size < MIN_MEMORY_BYTES:
        return "use a number and a unit, such as 16 GiB"
    if size == 0:
        return "use more than 0, such as 16 GiB"
    if size < processes * MIN_MEMORY_BYTES:
        return f"use at least {processes * MIN_MEMORY_BYTES // 2**20} MiB, 100 MiB for each process"
    if size > MAX_MEMORY_BYTES:
        return "use an amount for one job on one node; no node has more than 4096 TiB"
    return None


def check_walltime(batch_system, text):
    """Return what is wrong with a walltime for this batch system, or None."""
    grammar = WALLTIMES.get(batch_system)
    if grammar is None:
        return None
    patterns, forms = grammar
    match = next(filter(None, (re.fullmatch(pattern, text) for pattern in patterns)), None)
    if match is None or not text.isascii() or len(text) > 100:
        return forms
    if not any(character.isdigit() for character in text):
        # Slurm's UNLIMITED is valid; SGE's "::" is zero.
        return forms if ":" in text else None
    fields = match.groupdict()
    seconds = sum(SECONDS[name] * int(value) for name, value in fields.items() if value)
    if seconds == 0:
        return f"must be more than 0: {forms}"
    if seconds > LONGEST:
        return f"must be less than 68 years: {forms}"
    return None


def check_interface(text):
    """Return what is wrong with the name of a network interface, or None."""
    if text == "" or INTERFACE.fullmatch(text):
        return None
    return "use a name that `ip address` lists, such as ib0 or eth0, or leave it blank"


def problems(answers):
    """Check all answers.

    Parameters
    ----------
    answers : dict
        The answers to the template's questions, by name.

    Returns
    -------
    list of str
        One line for each bad answer: the question, the answer, and what to do.
    """
    found = []

    def report(name, remedy):
        if remedy:
            shown = repr(text[name])  # on one line, whatever the answer holds
            found.append(f"{name} {shown if len(shown) < 100 else shown[:100] + '...'}: {remedy}")

    text = {name: answers[name] for name in QUESTIONS}
    if text["project_slug"] == REPLACED:
        text["project_slug"] = answers.get("__name_given", REPLACED)
    for name in QUESTIONS:
        report(name, check_text(text[name]))
    if found:
        return found
    batch_system = text["batch_system"]
    report("project_slug", check_slug(text["project_slug"]))
    if batch_system not in WALLTIMES:
        report("batch_system", "choose one of " + ", ".join(WALLTIMES))
    for name in ("account", "queue"):
        if text[name].strip():
            report(name, NO_PLACE.get((batch_system, name)) or check_line(text[name]))
    cores, processes = check_count(text["cores"]), check_count(text["processes"])
    report("cores", cores)
    report("memory", check_memory(text["memory"], 1 if processes else int(text["processes"])))
    report("processes", processes)
    if not cores and not processes and int(text["cores"]) % int(text["processes"]):
        report("processes", f"use a number that divides the {int(text['cores'])} cores evenly")
    report("walltime", check_walltime(batch_system, text["walltime"]))
    report("worker_interface", check_interface(text["worker_interface"]))
    report("scheduler_interface", check_interface(text["scheduler_interface"]))
    return found


if __name__ == "__main__":
    old = too_old(sys.version_info, cookiecutters_version())
    lines = [old] if old else problems(json.loads(ANSWERS))
    for line in lines:
        print("ERROR:", line, file=sys.stderr)
    if lines:
        print("Nothing was written. Cookiecutter's own error report follows.", file=sys.stderr)
    sys.exit(1 if lines else 0)

"""Refuse answers that could not give a working project, before anything is written.

Cookiecutter fills in the one line marked below and runs this file. The answers arrive as JSON
*data*: an answer that holds quotes or Python code stays a text. One line is printed for each bad
answer. The file keeps to the standard library, because it runs in whatever Python cookiecutter has,
and to the syntax of Python 3.6, so that an old one can be told that it is too old. The toolkit says
the same of an edited config/jobqueue.yaml; tests/toolkit/answers.yaml is a table that both are held
to.
"""

import json
import keyword
import re
import sys
import unicodedata

# The middle line is the only Jinja in this file. JSON escapes every quote and backslash that an
# answer holds, so that the raw string cannot end early.
ANSWERS = r"""
{{ cookiecutter | tojson }}
"""

OLDEST_PYTHON = (3, 10)  # sys.stdlib_module_names
OLDEST_COOKIECUTTER = (2, 2)  # finds templates/ beside the project's files

QUESTIONS = ["project_slug", "batch_system", "account", "queue", "cores", "memory", "processes"]
QUESTIONS += ["walltime", "worker_interface", "scheduler_interface"]
# What cookiecutter.json puts in place of a name that would lead out of the folder it is made in.
REPLACED = "refused-name"
SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST_SLUG = 50
# Names of packages that every project's environment holds: one of ours would hide theirs.
TAKEN = {"bokeh", "click", "dask", "dask_hpc", "dask_jobqueue", "dask_labextension", "distributed"}
TAKEN |= {"jinja2", "jupyterlab", "lazy_loader", "matplotlib", "numpy", "pytest", "rich", "tornado"}
TAKEN |= {"yaml", "test", "tests", "toolkit"}  # Python's own tests, and folders of the project
# A job is on one node, and Linux does not count further (CONFIG_NR_CPUS of the kernel).
MAX_CORES = 8192
MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)[ \t]*(?:([KMGTP])(iB|B)?|B)?", re.IGNORECASE)
# A worker takes 75 MiB before it has done anything, and pauses at 80 % of what it may use.
MIN_MEMORY_BYTES = 100 * 2**20  # bytes, a process
MAX_MEMORY_BYTES = 2**52  # bytes: what a processor can address (x86-64)
# As Linux allows (15 bytes, no white space, no slash), and a shell leaves alone.
INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,14}")

CLOCK = r"(?:(?:(?P<h>[0-9]+):)?(?P<m>[0-9]+):)?(?P<s>[0-9]+)"
HOURS = r"(?P<h>[0-9]+)(?::(?P<m>[0-9]+)(?::(?P<s>[0-9]+))?)?"
# How each batch system reads a walltime, and how to write one. None: its jobs have none.
# Each adds up what the fields say: 0:90:00 is an hour and a half everywhere.
WALLTIMES = {
    "slurm": (
        [
            rf"(?P<d>[0-9]+)-{HOURS}",
            r"(?P<h>[0-9]+):(?P<m>[0-9]+):(?P<s>[0-9]+)",
            r"(?P<m>[0-9]+)(?::(?P<s>[0-9]+))?",
            r"(?i:UNLIMITED|INFINITE)",
        ],
        "write HH:MM:SS or D-HH:MM:SS, for instance 01:00:00 or 2-00:00:00",
    ),
    "pbs": ([CLOCK], "write HH:MM:SS, for instance 01:00:00"),
    "sge": (
        [r"(?P<h>[0-9]*):(?P<m>[0-9]*):(?P<s>[0-9]*)", r"(?P<s>[1-9][0-9]*)"],
        "write HH:MM:SS, for instance 01:00:00",
    ),
    "oar": ([HOURS], "write HH:MM:SS, for instance 01:00:00"),
    "lsf": (
        [r"(?:(?P<h>[0-9]+):)?(?P<m>[0-9]+)(?:/[^\s/]+)?"],
        "write HH:MM, without seconds, for instance 01:00",
    ),
    "htcondor": None,
    "none": None,
}
SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
LONGEST = 2**31 - 1  # seconds: batch systems count in 32 bits (Slurm goes astray beyond)
# Answers that a batch system has no place for, and where such a thing goes instead.
NO_PLACE = {
    ("htcondor", "account"): "HTCondor's jobs name no account; leave it blank (an accounting group "
    "goes into job-extra-directives)",
    ("htcondor", "queue"): "HTCondor has no queues; leave it blank",
}


def too_old(python, cookiecutter):
    """Say which version is needed in place of one that is too old, or None.

    Parameters
    ----------
    python : tuple of int
        As `sys.version_info`.
    cookiecutter : str
        As `cookiecutter.__version__`.
    """
    if tuple(python[:2]) < OLDEST_PYTHON:
        return (
            f"cookiecutter runs in Python {python[0]}.{python[1]} here, which is too old: install "
            "it in Python 3.11 or newer, for instance `python3.11 -m venv new && "
            "new/bin/pip install cookiecutter`, then new/bin/cookiecutter"
        )
    numbers = tuple(int(number) for number in re.findall("[0-9]+", cookiecutter)[:2])
    if numbers < OLDEST_COOKIECUTTER:
        return (
            f"cookiecutter {cookiecutter} is too old: install 2.2 or newer, for instance "
            "`python3 -m venv new && new/bin/pip install 'cookiecutter>=2.2'`, "
            "then new/bin/cookiecutter"
        )
    return None


def cookiecutters_version():
    """Return the version of the cookiecutter that runs this hook."""
    try:
        from cookiecutter import __version__
    except ImportError:  # a bundle that its own Python can't import from
        return "99"
    return __version__


def check_text(answer):
    """Say what is wrong with an answer that is no text, or None."""
    if not isinstance(answer, str):
        # From a file of answers: `queue:` with nothing after it, yes, [a, b].
        return 'give a text in quotes, "" for none'
    if re.search("[\ud800-\udfff]", answer):
        return "give a text in UTF-8"  # bytes of another encoding, which no file could hold
    return None


def check_line(text):
    """Say what is wrong with an answer that becomes a part of a job script's line, or None."""
    # Control characters, and Unicode's own separators of lines and paragraphs.
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in text):
        return "it has a line break or control character; write it as one plain line"
    return None


def check_slug(slug):
    """Say what is wrong with the project's name, or None."""
    if not SLUG.fullmatch(slug) or len(slug) > LONGEST_SLUG:
        usable = re.sub(r"[^a-z0-9]+", "-", slug.lower()).strip("-0123456789")
        usable = usable[:LONGEST_SLUG].rstrip("-") or "my-lab"
        return (
            "use lower-case letters, digits and single hyphens, "
            f"beginning with a letter, {LONGEST_SLUG} characters at most, for instance {usable}"
        )
    package = slug.replace("-", "_")
    if keyword.iskeyword(package) or package in sys.stdlib_module_names or package in TAKEN:
        return f"Python already uses this name; choose another, for instance {slug}-lab"
    return None


def check_count(text):
    """Say what is wrong with a number of cores or processes, or None."""
    if not re.fullmatch("[0-9]+", text) or not text.strip("0"):
        return "give a whole number, 1 or more, for instance 8"
    if len(text) > 9 or int(text) > MAX_CORES:
        return f"give what one job has on one node; a node has {MAX_CORES} at most"
    return None


def check_memory(text, processes=1):
    """Say what is wrong with an amount of memory for so many processes, or None."""
    match = MEMORY.fullmatch(text)
    if not match:
        return "give a number and a unit, for instance 16 GiB"
    number, prefix, rest = match.groups()
    # As Dask reads it: 16 GB and 16G are 16 * 10^9 bytes, 16 GiB are 16 * 2^30; a number is bytes.
    base = 1024 if rest and rest.lower() == "ib" else 1000
    size = float(number) * base ** (" KMGTP".index((prefix or " ").upper()))
    if not prefix and not rest and size < MIN_MEMORY_BYTES:
        return "give a number and a unit, for instance 16 GiB"
    if size == 0:
        return "give more than nothing, for instance 16 GiB"
    if size < processes * MIN_MEMORY_BYTES:
        return (
            f"give at least {processes * MIN_MEMORY_BYTES // 2**20} MiB, 100 MiB for each process"
        )
    if size > MAX_MEMORY_BYTES:
        return "give what one job has on one node; no computer has more than 4096 TiB"
    return None


def check_walltime(batch_system, text):
    """Say what is wrong with a walltime of this batch system, or None."""
    grammar = WALLTIMES.get(batch_system)
    if grammar is None:
        return None
    patterns, forms = grammar
    match = next(filter(None, (re.fullmatch(pattern, text) for pattern in patterns)), None)
    if match is None or not text.isascii() or len(text) > 100:
        return forms
    if not any(character.isdigit() for character in text):
        # Slurm's UNLIMITED; SGE's "::" is zero.
        return forms if ":" in text else None
    fields = match.groupdict()
    seconds = sum(SECONDS[name] * int(value) for name, value in fields.items() if value)
    if seconds == 0:
        return f"give more than nothing: {forms}"
    if seconds > LONGEST:
        return f"give less than 68 years: {forms}"
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
        report("processes", f"give a number that divides the {int(text['cores'])} cores evenly")
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
        print("Nothing was written. Below is cookiecutter's own report of this.", file=sys.stderr)
    sys.exit(1 if lines else 0)

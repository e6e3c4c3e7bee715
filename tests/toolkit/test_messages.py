"""Lines for the user: on stderr where nobody has configured logging, in the log otherwise."""

import subprocess
import sys

import pytest

SPEAK = "messages.info('50 % done'); messages.warning('trouble')"


def spoken(before: str = "", after: str = SPEAK) -> list[str]:
    """Return what a program that says and warns prints on stderr: pytest configures logging."""
    code = f"import logging, sys\nfrom dask_hpc._output import messages\n{before}\n{after}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_where_nobody_configured_logging_the_bare_lines_are_on_stderr():
    assert spoken() == ["50 % done", "trouble"]


def test_importing_dask_configures_nothing_that_matters_here():
    assert spoken("import dask.distributed, dask_hpc.cluster.mixin") == ["50 % done", "trouble"]


def test_warnings_of_the_toolkits_modules_are_there_once_too():
    assert spoken(after="logging.getLogger('dask_hpc.batch.watcher').warning('no list')") == [
        "no list"
    ]


def test_the_lines_go_to_the_stderr_of_the_moment():
    code = (
        f"import contextlib, io; new = io.StringIO()\nwith contextlib.redirect_stderr(new): {SPEAK}"
    )
    assert spoken(after=f"{code}\nassert new.getvalue() == '50 % done\\ntrouble\\n'") == []


@pytest.mark.parametrize("stream", ["None", "open('/dev/full', 'w')"])
def test_a_stderr_that_takes_nothing_stops_nothing(stream):
    assert spoken(f"real = sys.stderr; sys.stderr = {stream}", f"{SPEAK}; sys.stderr = real") == []


@pytest.mark.parametrize(
    ("configure", "lines"),
    [
        (
            "logging.basicConfig(level='INFO')",
            ["INFO:dask_hpc:50 % done", "WARNING:dask_hpc:trouble"],
        ),
        ("logging.basicConfig()", ["WARNING:dask_hpc:trouble"]),
        ("logging.getLogger('dask_hpc').setLevel('WARNING')", ["trouble"]),
        ("logging.getLogger('dask_hpc').setLevel('CRITICAL')", []),
        ("logging.disable()", []),
        (
            "h = logging.StreamHandler()\n"
            "h.setFormatter(logging.Formatter('%(funcName)s %(message)s'))\n"
            "logging.getLogger('dask_hpc').addHandler(h)\n"
            "logging.getLogger('dask_hpc').setLevel('INFO')",
            ["<module> 50 % done", "<module> trouble"],
        ),
    ],
    ids=["root at info", "root", "warnings only", "silent", "disabled", "a handler of its own"],
)
def test_who_configured_logging_decides(configure, lines):
    assert spoken(configure) == lines


def test_dasks_configuration_can_silence_it():
    before = (
        "import dask; dask.config.set({'logging': {'dask_hpc': 'critical'}})\nimport distributed"
    )
    assert spoken(before) == []

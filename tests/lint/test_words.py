"""Tests of the check of words in names."""

import pytest

from .words import check, parts

TABLE = {
    "refused": {"chaos": "fault", "left_over": "orphaned"},
    "whole": {"SHARE": "of what"},
    "only_under": {"src/batch": {"scheduler": "batch_system"}},
    "exceptions": {},
}
GOOD = '''
"""Chaos, in prose."""

SHARE = 0.9  # neither in the toolkit nor in the driver


def chaotic(scheduler, left=0, over=0):
    print("chaos", scheduler.chaos)
'''
BAD = """
import time as chaos


class ChaosMonkey:
    def run(self, chaos_level, *, scheduler):
        self.leftOver = chaos_level
        self.left_over_jobs = [CHAOS for CHAOS in ()]


@main.command("chaos")
@click.option("--chaos/--no-chaos")
def let_in_chaos(): ...
"""


@pytest.fixture
def checked(tmp_path):
    """Return a function that writes files and returns what the check says of them."""

    def check_files(table=TABLE, **files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_py", ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        paths = sorted(path for path in tmp_path.rglob("*") if path.is_file())
        return check(paths, table, root=tmp_path)

    return check_files


@pytest.mark.parametrize("name", ["resubmit_job", "ResubmitJob", "resubmit-job", "RESUBMIT_JOB"])
def test_parts(name):
    assert parts(name) == ["resubmit", "job"]


def test_parts_of_abbreviations():
    assert parts("TLSError2_s") == ["tls", "error", "2", "s"]


def test_good_file(checked):
    assert checked(src__good_py=GOOD) == []


def test_bad_file(checked):
    found = [line.split(": ", 1) for line in checked(src__bad_py=BAD)]
    assert sorted(int(address.removeprefix("src/bad.py:")) for address, _ in found) == [
        *[2, 5, 6, 7, 8, 8, 11, 12, 13],
    ]
    assert dict(found)["src/bad.py:5"] == "'chaos' in 'ChaosMonkey'; say: fault"


def test_word_refused_under_a_folder(checked):
    [line] = checked(src__batch__good_py=GOOD)
    assert line == "src/batch/good.py:7: 'scheduler' in 'scheduler'; say: batch_system"


def test_names_of_files_and_folders(checked):
    assert checked(chaos__a_py="", chaos__chaos_py="") == [
        "chaos/: 'chaos' in 'chaos'; say: fault",
        "chaos/chaos.py: 'chaos' in 'chaos.py'; say: fault",
    ]


def test_verbs_of_the_makefile(checked):
    [line] = checked(Makefile="make-chaos: all\n\tchaos\n")
    assert line.startswith("Makefile:1: 'chaos' in 'make-chaos'")


def test_exception(checked):
    table = {**TABLE, "exceptions": {"chaos": "a reason"}}
    assert checked(table, a_py="chaos = 1\n") == []


def test_needless_exception(checked):
    table = {**TABLE, "exceptions": {"chaos": "a reason"}}
    [line] = checked(table, a_py="order = 1\n")
    assert "no name needs the exception for 'chaos'" in line

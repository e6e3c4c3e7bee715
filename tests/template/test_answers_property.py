"""Answers that nobody thought of, looked for by hypothesis.

The same examples each time, few of them in `make test`, more in `make test-full`.
"""

import re

import pytest
from cookiecutter.exceptions import FailedHookException
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dask_hpc import batch
from dask_hpc.config import validators

from .answering import BATCH, every_file_can_be_read, everything, good, landed, pre_gen
from .conftest import ANSWERS
from .rendering import BATCH_SYSTEMS


def examples(few, many):
    """Parametrise a test over the number of examples to try."""
    return pytest.mark.parametrize("number", [few, pytest.param(many, marks=pytest.mark.full)])


def tries(number):
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=checks,
    )


# Texts of nothing but what walltimes, amounts and counts are made of, and so close to valid ones.
PARTS = ["0", "1", "00", "07", "59", "61", "100", "4096", "99999999999", ":", "-", ".", "/", " "]
UNITS = ["MiB", "GiB", "TiB", "GB", "mb", "G", "KiB", "PiB", "B", "h", "UNLIMITED", "infinite"]


def built(parts):
    return st.lists(st.sampled_from(parts), max_size=7).map("".join)


@examples(few=150, many=3000)
@pytest.mark.parametrize("batch_system", [name for name in BATCH if pre_gen.WALLTIMES[name]])
def test_hook_and_toolkit_agree_on_any_walltime(batch_system, number):
    @tries(number)
    @given(built([*PARTS, "UNLIMITED"]) | built(["1", "30", "0", ":", "-"]))
    @example("9" * 5000)
    @example("1:" * 5000)
    def agree(text):
        try:
            batch.get(batch_system).parse_walltime(text)
            remedy = None
        except ValueError as error:
            remedy = str(error)
        if text == text.strip():  # the toolkit does not mind blanks around it: no job does
            assert bool(pre_gen.check_walltime(batch_system, text)) == bool(remedy)
        assert len((remedy or "").splitlines()) <= 1

    agree()


@examples(few=150, many=3000)
def test_hook_and_toolkit_agree_on_any_amount_of_memory(number):
    @tries(number)
    @given(
        built([*PARTS, *UNITS]) | built(["1", "16", "0", ".", " ", "MiB", "GiB", "TiB"]),
        st.integers(1, 64),
    )
    @example("9" * 5000 + " GiB", 1)
    def agree(text, processes):
        assert bool(pre_gen.check_memory(text, processes)) == bool(
            validators.check_memory(text, processes)
        )

    agree()


@examples(few=30, many=3000)
def test_hook_and_toolkit_agree_on_any_count(number):
    @tries(number)
    @given(built(PARTS) | st.integers(-10, 10_000).map(str))
    @example("9" * 5000)
    def agree(text):
        # YAML has no such long numbers that anybody would write.
        value = int(text) if re.fullmatch("[0-9]{1,9}", text) else text
        assert bool(pre_gen.check_count(text)) == bool(validators.check_count(value))

    agree()


@examples(few=30, many=3000)
def test_hook_and_toolkit_agree_on_any_interface(number):
    @tries(number)
    @given(st.text(max_size=20) | st.from_regex(r"[a-z]{2,3}[0-9.:@-]{0,15}"))
    def agree(text):
        assert text == "" or bool(pre_gen.check_interface(text)) == bool(
            validators.check_interface(text)
        )

    agree()


@examples(few=10, many=400)
def test_any_text_is_refused_in_our_words_or_arrives_as_it_is(typed, capfd, number):
    questions = [name for name in ANSWERS if name not in ("project_slug", "batch_system")]
    odd = st.text(st.characters(), max_size=30)  # all of Unicode, half of a surrogate pair as well

    @tries(number)
    @given(st.sampled_from(BATCH_SYSTEMS), st.sampled_from(questions), odd | built(PARTS))
    def holds(batch_system, question, text):
        answers = {**good(batch_system), question: text}
        expected = pre_gen.problems(answers)
        capfd.readouterr()
        if expected:
            with pytest.raises(FailedHookException):
                typed(**answers)
            lines = capfd.readouterr().err.splitlines()
            assert lines[0] == f"ERROR: {expected[0]}"
            assert [line for line in lines if line.startswith("ERROR: ")] == [
                f"ERROR: {line}" for line in expected
            ]
            return
        project = typed(**answers)
        every_file_can_be_read(project)
        blank = (question in ("account", "queue") and not text.strip()) or text == ""
        if batch_system != "none" and not blank and question != "walltime":
            number = question in ("cores", "processes")
            assert landed(project, batch_system, question) == (int(text) if number else text)

    holds()


@examples(few=10, many=100)
def test_any_text_as_the_name_is_refused_in_our_words(render_to, tmp_path, capfd, number):
    # Cookiecutter has read it as Jinja before, to which braces and line breaks are something else.
    odd = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    paths = st.lists(st.sampled_from(["a", "..", ".", "/", "-", "A", " ", "~"]), max_size=6)

    @tries(number)
    @given(odd.filter(lambda text: not set(text) & set("{\r\n")) | paths.map("".join))
    def holds(name):
        if pre_gen.check_slug(name) is None:
            return
        with pytest.raises(FailedHookException):
            render_to(tmp_path / "folder", project_slug=name)
        assert capfd.readouterr().err.startswith(f"ERROR: project_slug {name!r}"[:100])
        assert everything(tmp_path) == {tmp_path / "folder": None}

    holds()

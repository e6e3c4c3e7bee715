"""Laws of scaling: what is found in points that follow one, and what is not said of others."""

import builtins

import pytest

from dask_hpc.bench import fits

SLOTS = (10, 20, 25, 50, 60, 100, 120)
# Deviations as those of medians, a third of a percent; the same in each run.
NOISE = (0.002, -0.003, 0.001, 0.004, -0.002, -0.001, 0.003)


def points(serial=0.0, pairs=0.0, slots=SLOTS, noise=NOISE):
    """Return efficiencies by the universal law, with noise."""
    return [
        (n, (1 + noise[i % len(noise)]) / (1 + serial * (n - 1) + pairs * n * (n - 1)))
        for i, n in enumerate(slots)
    ]


def test_the_knee_of_points_that_have_one_is_in_its_interval():
    knee = fits.fit(points(0.001, 1e-4)).knee()
    assert knee.low < (0.999 / 1e-4) ** 0.5 < knee.high
    assert knee.high / knee.low < 1.2
    assert fits.words(points(0.001, 1e-4)).startswith(
        "The knee is at 100 slots (95 % interval 99 to"
    )


def test_the_serial_share_of_points_without_a_knee_is_in_its_interval():
    found = fits.fit(points(0.01))
    assert found.knee() is None
    assert found.serial.low < 0.01 < found.serial.high
    words = fits.words(points(0.01))
    assert words.startswith("No knee is visible up to 120 slots. By Amdahl's law")
    assert "no number of slots is more than 1" in words


def test_a_knee_far_beyond_what_was_measured_is_not_said_to_be_known():
    words = fits.words(points(2e-4, 4e-6))
    assert words.startswith("No knee is visible up to 120 slots: the one of the universal")
    assert "too far beyond what was measured to be known" in words
    assert "nothing is known about so many slots" in fits.words(points(2e-4))


def test_points_that_lose_nothing_have_no_law():
    assert "no serial share" in fits.words(points())


@pytest.mark.parametrize(
    ("slots", "words"),
    [
        ((20, 50, 100), "No law of scaling is fitted to 3 numbers of slots: measure 5 of them"),
        ((120,), "No law of scaling is fitted to 1 number of slots"),
        ((100, 105, 110, 115, 120), "100 to 120 slots: the largest number has to be 4 times"),
        ((10, 20, 50, 100, 120), "Whether there is a knee cannot be said from 5 numbers of slots"),
    ],
)
def test_too_few_points_are_no_law(slots, words):
    assert words in fits.words(points(0.001, slots=slots))


def test_without_scipy_a_line_says_so(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("scipy"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "needs scipy: pip install" in fits.words(points(0.001))
    assert fits.fit(points(0.001)) is None


def test_the_drawn_law_goes_through_the_points():
    found = fits.fit(points(0.001, 1e-4))
    assert found.efficiency(1) == 1
    for slots, efficiency in points(0.001, 1e-4):
        assert found.efficiency(slots) == pytest.approx(efficiency, rel=0.02)

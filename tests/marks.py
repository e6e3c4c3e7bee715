"""Which values of a parameter are for `make test-full` alone."""

import pytest


def full(*values):
    """Return parameters that `make test` leaves out, since another value shows the same.

    As in ``@pytest.mark.parametrize("way", ["scale", *full("adapt")])``. A tuple has a value for
    each of several parameters.
    """
    return [
        pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.full)
        for value in values
    ]


def quick(values, *chosen):
    """Return all values as parameters, of which `make test` tries those that are chosen."""
    return [*chosen, *full(*(value for value in values if value not in chosen))]

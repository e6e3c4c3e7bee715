"""Which values of a parameter are for `make test-full` alone."""

import pytest


def full(*values):
    """Return parameters that `make test` leaves out, since another value shows the same.

    As in ``@pytest.mark.parametrize("way", ["scale", *full("adapt")])``.
    """
    return [pytest.param(value, marks=pytest.mark.full) for value in values]

"""An example to replace by your own functions."""

import time


def slow_square(number, seconds=0.25):
    """Wait, then return the square of a number: it stands for a calculation that takes time.

    Dask runs a function like this one many times at once. It helps that everything it needs comes
    in through its arguments, and everything it finds goes out through its result.

    Parameters
    ----------
    number : float
        The number to square.
    seconds : float
        How long to wait before answering, in seconds.

    Returns
    -------
    float
        The square of the number.
    """
    time.sleep(seconds)
    return number**2

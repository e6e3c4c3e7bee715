"""Is the project installed, and can workers run its functions? Put your own tests beside this."""

import importlib
from pathlib import Path

from dask.distributed import Client

# The lab's package is the one folder of src/ that can be imported.
PACKAGE = next(Path(__file__).parents[1].glob("src/*/__init__.py")).parent.name
example = importlib.import_module(f"{PACKAGE}.example")


def test_the_example_squares_a_number():
    assert example.slow_square(3, seconds=0) == 9


def test_workers_give_the_same_results_as_a_loop():
    numbers = range(10)
    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        futures = client.map(example.slow_square, numbers, seconds=0, pure=False)
        assert client.gather(futures) == [example.slow_square(n, seconds=0) for n in numbers]

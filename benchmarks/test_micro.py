"""The micro-benchmarks run; `make bench-micro` measures them."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.full  # the nightly workflow measures them, too
@pytest.mark.xdist_group("figures")  # with others that need Matplotlib
def test_each_micro_benchmark_runs_once(capsys):
    """In this process, since importing Dask and Matplotlib would take longer than the rest."""
    once = ["--benchmark-disable", "--override-ini=python_files=bench_*.py"]
    options = [
        "--quiet",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-p",
        "no:hypothesispytest",
        *once,
    ]
    code = pytest.main([*options, str(HERE / "micro")])
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert "5 passed" in printed

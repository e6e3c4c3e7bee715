"""How far a run is, in the terminal: a moving line where there is one, plain lines in a log."""

from __future__ import annotations

import time

import click


def clock(seconds: float) -> str:
    """Return a duration in words: "40 s", "2 min 10 s"."""
    seconds = round(seconds)
    if seconds < 90:
        return f"{seconds} s"
    return f"{seconds // 60} min {seconds % 60:02d} s"


class LogProgress:
    """One line an event, for logs and pipes."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def note(self, text: str) -> None:
        click.echo(text)

    def visit(self, text: str) -> None:
        self.note(f"{text} …")

    def repeat(self, text: str) -> None:
        self._text = text

    def row(self, row: dict) -> None:
        self.note(f"{self._text}: {outcome(row)}")


class LiveProgress(LogProgress):
    """A moving line below the plain ones, with the time passed and the time expected in all.

    Parameters
    ----------
    total_s : float
        About how long the whole run takes.
    """

    def __init__(self, total_s: float):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._total = total_s
        self._began = time.monotonic()
        # Twice a second: drawing takes time of the process that hands out the tasks.
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            _time_bar(BarColumn(bar_width=24), self),
            TimeElapsedColumn(),
            TextColumn(f"of about {clock(total_s)}"),
            console=Console(highlight=False),
            refresh_per_second=2,
            transient=True,
        )
        self._task = self._progress.add_task("", total=1.0)

    def fraction(self) -> float:
        return min(0.99, (time.monotonic() - self._began) / self._total)

    def __enter__(self):
        self._progress.start()
        return self

    def __exit__(self, *_):
        self._progress.stop()

    def note(self, text: str) -> None:
        self._progress.console.print(text, markup=False)

    def visit(self, text: str) -> None:
        self._progress.update(self._task, description=text)

    def repeat(self, text: str) -> None:
        self._text = text
        self._progress.update(self._task, description=text)


def _time_bar(bar, live):
    """Return a bar of Rich's that the time fills: nothing reports from within a map."""
    from rich.progress import ProgressColumn

    class TimeBar(ProgressColumn):
        max_refresh = None

        def render(self, task):
            task.completed = live.fraction()
            return bar.render(task)

    return TimeBar()


def outcome(row: dict) -> str:
    """Return a row in a few words."""
    if row["workload"] == "gil":
        return f"{row['makespan_s']:.2f} s, {row['speedup']:.2f} times the serial loop"
    return (
        f"{row['makespan_s']:.3f} s (ideal {row['ideal_s']:g} s), "
        f"{100 * row['e_rel']:.1f} % of the ideal"
    )

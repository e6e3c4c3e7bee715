"""Format job ids, numbers of things, and durations for people."""

from __future__ import annotations


def format_job_ids(ids: list[str]) -> str:
    """Name jobs by their ids, of which at most four are shown: "jobs 12, 13"."""
    shown = ", ".join(ids[:4]) + (f" and {len(ids) - 4} more" if len(ids) > 4 else "")
    return f"{'job' if len(ids) == 1 else 'jobs'} {shown}"


def format_count(number: int, noun: str) -> str:
    """Return a number of things: "1 node", "2 nodes"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def format_duration(seconds: float) -> str:
    """Return a time in words: "40 s", "12 min", "3 h 20 min"."""
    seconds = round(seconds)
    if seconds < 120:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"

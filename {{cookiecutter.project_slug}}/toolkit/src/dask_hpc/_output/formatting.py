"""Format job ids, counts, and times for users."""


def format_job_ids(ids: list[str]) -> str:
    """Return a list of jobs, showing at most four ids: "jobs 12, 13"."""
    shown = ", ".join(ids[:4]) + (f" and {len(ids) - 4} more" if len(ids) > 4 else "")
    return f"{'job' if len(ids) == 1 else 'jobs'} {shown}"


def format_count(number: int, noun: str) -> str:
    """Return a number with a noun: "1 node", "2 nodes"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def format_duration(seconds: float) -> str:
    """Return a rounded duration: "40 s", "12 min", "3 h 20 min"."""
    seconds = round(seconds)
    if seconds < 120:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def format_exact_duration(seconds: float) -> str:
    """Return a duration to the second: "40 s", "2 min 10 s"."""
    seconds = round(seconds)
    if seconds < 90:
        return f"{seconds} s"
    return f"{seconds // 60} min {seconds % 60:02d} s"


def format_age(seconds: float) -> str:
    """Return a duration in its largest unit: "40 s", "17 min", "5 h", "3 d"."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def format_clock(seconds: float) -> str:
    """Return a duration as batch systems show it: "1:02:03", "1-01:02:03"."""
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    return f"{days}-{h:02}:{m:02}:{s:02}" if days else f"{h}:{m:02}:{s:02}"

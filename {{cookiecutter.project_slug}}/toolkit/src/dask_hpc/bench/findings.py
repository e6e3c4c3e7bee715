"""What the records of a report show, in a paragraph of sentences."""

from collections.abc import Mapping, Sequence

from .metrics import Summary


def of_page(page: Mapping) -> list[str]:
    """Return the sentences for the top of a page, from what is on it (`report.write`)."""
    found: list[str] = []
    if sleep := page["sleep"]:
        found += _of_sleep(sleep["points"])
        found.append(sleep["fit"])
        found += _of_cold_starts(sleep["cold"])
    found += [section.finding for section in page["sections"] if section.finding]
    if page["gil"]:
        points = page["gil"]["points"]
        ways = [
            f"{point['speedup'].median:.2f} times as fast with {point['cores']} {point['mode']}"
            for point in (points["threads"], points["processes"])
        ]
        found.append(f"A loop in pure Python is {', and '.join(ways)}.")
    if count := len(page["failures"]):
        found.append(f"{count} repeat{'' if count == 1 else 's'} failed: see Not measured.")
    return found


def _of_sleep(points: Sequence[dict]) -> list[str]:
    first, last = points[0], points[-1]
    found = [
        f"On {last['slots']} slots, {last['tasks']} tasks of {last['seconds']:g} s take "
        f"{_seconds(last['makespan'])}: {_share(last)} of the ideal, and "
        f"{last['speedup'].median:.1f} times as fast as one after another."
    ]
    if len(points) > 1:
        lowest = min(points, key=lambda point: point["efficiency"].median)
        found.append(
            f"From {first['slots']} to {last['slots']} slots, at least {_share(lowest)} of the "
            f"ideal is reached (at {lowest['slots']})."
        )
    return found


def _of_cold_starts(starts: Sequence[dict]) -> list[str]:
    if not starts:
        return []
    last = starts[-1]
    tasks = last.get("phases", {}).get("last_result")
    of_that = f", of which the tasks take {tasks:.1f} s" if tasks else ""
    return [
        f"From the command to its last result, a cold start on {last['slots']} slots takes "
        f"{last['cold_total_s']:.1f} s{of_that}."
    ]


def _seconds(times: Summary) -> str:
    if times.n == 1:
        return f"{times.median:.2f} s (n = 1)"
    return f"{times.median:.2f} s (median of {times.n}; {times.low:.2f} to {times.high:.2f} s)"


def _share(point: dict) -> str:
    return f"{100 * point['efficiency'].median:.1f} %"

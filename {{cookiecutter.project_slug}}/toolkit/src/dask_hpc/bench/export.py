"""Export records without anything that names a person, a computer, or a site.

``export.schema.json`` is the list of what is kept: each key, and the form of its value. None of
them is free text: no error message, path, or job script is kept, whatever names it contains.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .record import Record, RecordError

SCHEMA_FILE = Path(__file__).with_name("export.schema.json")
# Of Slurm's SchedulerParameters, those that change how soon a job starts.
SCHEDULER_PARAMETERS = {"batch_sched_delay", "default_queue_depth", "partition_job_depth"}
SCHEDULER_PARAMETERS |= {"sched_interval", "sched_min_interval", "max_rpc_cnt", "bf_interval"}
SCHEDULER_PARAMETERS |= {"bf_max_job_test", "bf_max_job_user", "bf_window", "bf_resolution"}
MAX_VALUES = 4  # of one key, in the description of the contents
MAX_NAMES = 12  # of one list
_EXCLUDED = object()


class ExportError(RecordError):
    """A record cannot be exported."""


def export(records: Sequence[Record], path: Path) -> tuple[list[dict], list[str]]:
    """Write an anonymized record of one or several runs.

    Parameters
    ----------
    records : sequence of Record
    path : Path
        The file to write, which must not exist.

    Returns
    -------
    lines : list of dict
        What was written.
    excluded : list of str
        The keys that were left out, such as ``header.command``.

    Raises
    ------
    ExportError
        Nothing can be kept of a line that must not be missing, or the file cannot be written.
    """
    lines, excluded = anonymize(records)
    text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ExportError(f"{path} exists: give another file with --out") from None
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}") from None
    return lines, excluded


def anonymize(records: Iterable[Record]) -> tuple[list[dict], list[str]]:
    """Return the lines of an anonymized record, and the names of the keys that were left out.

    Raises
    ------
    ExportError
        Nothing can be kept of a line that must not be missing.
    """
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))["definitions"]
    hosts: dict[str, str] = {}
    lines: list[dict] = []
    excluded: dict[str, None] = {}
    for run, record in enumerate(records, 1):
        for line in _lines(record):
            kind = line["kind"]
            line = {**_prepared(line, hosts), "run": run}
            kept, removed = _kept(line, schema[kind])
            missing = set(schema[kind]["required"]) - set(kept if kept is not _EXCLUDED else ())
            if missing:
                raise ExportError(
                    f"{record.path}: {kind} has no valid {' and no valid '.join(sorted(missing))}"
                )
            lines.append(kept)
            excluded |= dict.fromkeys(f"{kind}.{key}" for key in removed)
    return lines, list(excluded)


def describe(lines: Iterable[dict]) -> list[str]:
    """Return each key of an exported record with its values, a line of text each."""
    values: dict[str, list[Any]] = {}
    for line in lines:
        for key, value in _flat(line):
            values.setdefault(f"{line['kind']}.{key}", []).append(value)
    return [f"{key}: {_describe_values(found)}" for key, found in values.items()]


def _describe_values(found: Sequence[Any]) -> str:
    distinct = list(dict.fromkeys(map(str, found)))
    if len(distinct) <= MAX_VALUES:
        return ", ".join(distinct)
    numbers = [value for value in found if isinstance(value, int | float)]
    if numbers:
        return f"{min(numbers):g} to {max(numbers):g}"
    return ", ".join(distinct[:MAX_VALUES]) + f" and {len(distinct) - MAX_VALUES} more"


def _flat(value: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, each in value.items():
        if isinstance(each, dict):
            yield from _flat(each, f"{prefix}{key}.")
        elif key != "kind":
            yield prefix + key, _describe_list(each) if isinstance(each, list) else each


def _describe_list(values: list) -> str:
    if len(values) > MAX_NAMES:
        return f"{len(values)} values"
    return ", ".join(map(str, values))


def _lines(record: Record) -> Iterator[dict]:
    yield {**record.header, "kind": "header", "anonymized": True}
    yield from record.starts
    for row in record.rows:
        yield {"workload": record.workload, **row}
    yield from record.traces
    if record.environment:
        yield record.environment
    if record.complete:
        yield {"kind": "end"}


def _prepared(line: dict, hosts: dict[str, str]) -> dict:
    """Return a line with less detail: days for times, numbers for names of computers."""

    def numbered(host: Any) -> str:
        return hosts.setdefault(str(host), f"host{len(hosts) + 1}")

    line = dict(line)
    if "started" in line:
        line["started"] = str(line["started"])[:10]
    if isinstance(machine := line.get("machine"), dict):
        machine = dict(machine)
        if "host" in machine:
            machine["host"] = numbered(machine["host"])
        # A kernel's full version may contain the name of a site.
        system = re.match(r"\w+( \d+(\.\d+)?)?", str(machine.get("system", "")))
        line["machine"] = machine | ({"system": system[0]} if system else {})
    for key in ("nodes", "slot_hosts"):
        if isinstance(names := line.get(key), list):
            line[key] = [numbered(name) for name in names]
    for key in ("versions", "settings"):
        if isinstance(versions := line.get(key), dict):
            # Without the part after "+", which whoever built the package chose.
            line[key] = {name: str(text).partition("+")[0] for name, text in versions.items()}
    settings = line.get("settings")
    if isinstance(settings, dict) and "SchedulerParameters" in settings:
        pairs = settings["SchedulerParameters"].split(",")
        settings["SchedulerParameters"] = ",".join(filter(_is_known, pairs))
    return line


def _is_known(pair: str) -> bool:
    name, _, value = pair.partition("=")
    return name in SCHEDULER_PARAMETERS and value.isdecimal()


def _kept(value: Any, schema: dict) -> tuple[Any, list[str]]:
    """Return what fits a schema, and the names of the keys that do not."""
    if schema["type"] == "object":
        if not isinstance(value, dict):
            return _EXCLUDED, []
        found, excluded = {}, []
        for key, each in value.items():
            kept, below = _kept(each, rule) if (rule := _rule(key, schema)) else (_EXCLUDED, [])
            excluded += [f"{key}.{name}" for name in below]
            if kept is _EXCLUDED:
                excluded.append(key)
            else:
                found[key] = kept
        return found, excluded
    if schema["type"] == "array":
        fits = isinstance(value, list) and all(_fits(each, schema["items"]) for each in value)
    else:
        fits = _fits(value, schema)
    return (value if fits else _EXCLUDED), []


def _rule(key: str, schema: dict) -> dict | None:
    for pattern, rule in schema.get("patternProperties", {}).items():
        if re.fullmatch(pattern, key):
            return rule
    return schema.get("properties", {}).get(key)


_TYPES: dict[str, Any] = {"string": str, "boolean": bool, "integer": int, "number": (int, float)}


def _fits(value: Any, schema: dict) -> bool:
    """Return whether a value has the type and form of a schema, of which this knows four words."""
    if not isinstance(value, _TYPES[schema["type"]]):
        return False
    if isinstance(value, bool) != (schema["type"] == "boolean"):
        return False  # Python's True is an integer
    if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        return False
    return "enum" not in schema or value in schema["enum"]

"""The keys of ``jobqueue.yaml`` for others: a JSON Schema for editors, and tables for the docs.

``python -m docs.keys`` writes the schema into the toolkit's ``jobqueue.schema.json``, which the
first line of a project's ``jobqueue.yaml`` names. It can't be in the project's ``config/``, since
Dask takes each JSON file in its folders for configuration.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import dask_hpc
from dask_hpc.batch import BATCH_SYSTEMS
from dask_hpc.config.fields import FIELDS, OWN_FIELDS, SECTION, Field
from dask_hpc.config.files import jobqueue_defaults

FILE = Path(dask_hpc.__file__).with_name("config") / "jobqueue.schema.json"
_DIRECTIVES = "job-extra-directives"
_LIST = {"$ref": f"#/definitions/jobqueue/{_DIRECTIVES}"}
_MAPPING = {"type": ["object", "null"], "additionalProperties": {"type": ["string", "number"]}}


def schema() -> dict[str, Any]:
    """Return the JSON Schema of ``jobqueue.yaml``, which allows Dask's other sections."""
    tables = {"jobqueue": FIELDS, SECTION: OWN_FIELDS}
    sections = {
        batch.section: _section(
            [key for key in jobqueue_defaults()[batch.section] if key in FIELDS],
            batch.label,
            _MAPPING if batch.directives_type is dict else _LIST,
        )
        for batch in BATCH_SYSTEMS.values()
        if batch.section is not None
    }
    profile = _section(FIELDS, "A profile: jobs of another kind.", {"anyOf": [_LIST, _MAPPING]})
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            SECTION: _section(OWN_FIELDS, "What dask_hpc does."),
            "jobqueue": {
                "type": ["object", "null"],
                "description": "A section for each batch system, and the lab's own profiles.",
                "properties": sections,
                "additionalProperties": profile,
            },
        },
        "definitions": {
            name: {key: _property(field) for key, field in table.items()}
            for name, table in tables.items()
        },
    }


def _section(keys: Iterable[str], description: str, directives: Any = None) -> dict[str, Any]:
    name = "jobqueue" if directives else SECTION
    known = {key: {"$ref": f"#/definitions/{name}/{key}"} for key in keys}
    known |= {_DIRECTIVES: directives} if directives else {}
    return {
        "type": ["object", "null"],
        "description": description,
        "properties": known,
        # Dask takes - and _ for the same; editors propose the former.
        "patternProperties": {
            f"^(?=.*_){key.replace('-', '[-_]')}$": it for key, it in known.items() if "-" in key
        },
        "additionalProperties": False,
    }


def _property(field: Field) -> dict[str, Any]:
    kinds = field.kind.schema["type"]
    found = {"description": field.doc, **field.kind.schema}
    found["type"] = [*([kinds] if isinstance(kinds, str) else kinds), "null"]
    if "enum" in found:
        found["enum"] = [*found["enum"], None]
    return found


def table(section: str) -> Iterator[str]:
    """Yield the lines of the Markdown table of the keys of a section: ``jobqueue`` or ours."""
    yield "| key | what it is | default | goes to |"
    yield "|---|---|---|---|"
    for key, field in (OWN_FIELDS if section == SECTION else FIELDS).items():
        default = field.default
        if default is None and section != SECTION:
            values = [keys[key] for keys in jobqueue_defaults().values() if key in keys]
            default = values[0]
        shown = "" if default is None else json.dumps(default).strip('"')
        yield f"| `{key}` | {field.doc} | {shown} | {field.goes_to} |"


def text() -> str:
    """Return the schema as the file has it, short lists and references in one line."""
    long = json.dumps(schema(), indent=1)
    return re.sub(r"([\[{])\s+([^\[\]{}]{1,90}?)\s+([\]}])", _join_lines, long) + "\n"


def _join_lines(match: re.Match[str]) -> str:
    return match[1] + re.sub(r"\n\s*", " ", match[2]) + match[3]


if __name__ == "__main__":
    FILE.write_text(text())

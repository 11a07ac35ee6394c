"""Section 15 - schemas: what may stand in the JSON files of a corpus, whatever language they are read in?"""

from pathlib import Path
from typing import Any

from qwen25vl.errors import BadInput
from qwen25vl.json_file import json_object

SCHEMA_FILES = {
    "manifest": "manifest-1.schema.json",
    "noise": "noise-1.schema.json",
    "integers": "integers-1.schema.json",
    "corpus": "corpus-1.schema.json",
}
"""For each kind of file its JSON Schema (draft 2020-12); the number is the major version of the format."""


def schema_path(kind: str) -> Path:
    """Return where the schema of a kind of file lies.

    Raises:
        BadInput: if there is no such kind.

    Spec: spec/15-golden-values.md (X5)
    """
    if kind not in SCHEMA_FILES:
        raise BadInput(f"there is no schema of {kind!r}; take one of {', '.join(SCHEMA_FILES)}")
    return Path(__file__).parent / "schema" / SCHEMA_FILES[kind]


def schema_of(kind: str) -> dict[str, Any]:
    """Return the schema of a kind of file. It allows fields of other names: minor versions may add some."""
    return json_object(schema_path(kind))

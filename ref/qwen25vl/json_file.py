"""Section 01 - JSON files of a checkpoint: one object, or one sentence that says what is wrong with the file."""

import json
from pathlib import Path
from typing import Any

from qwen25vl.errors import BadInput
from qwen25vl.wording import shown

LARGEST_JSON_BYTES = 10_000_000
"""A larger file is refused unread. In memory, JSON takes up to 32 times the bytes of its text (measured)."""

DEEPEST_JSON = 64
"""Lists and objects inside each other. The files of a release have 5."""


def json_object(
    path: Path, *, largest_bytes: int = LARGEST_JSON_BYTES, remedy: str = "download it again"
) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Args:
        path: of the file.
        largest_bytes: a larger file is refused unread.
        remedy: what a user does about a file that is damaged.

    Raises:
        BadInput: if the file cannot be read, is larger than `largest_bytes`, is not JSON in UTF-8, holds anything
            but an object, or holds a key twice or values nested deeper than 64.

    Spec: spec/01-config-checkpoint.md (C29)
    """
    try:
        if path.stat().st_size > largest_bytes:  # (C29)
            raise BadInput(f"{path} is larger than {largest_bytes} bytes, which no file of its kind is; {remedy}")
        text = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); check the path") from None
    try:
        return parsed_object(text)
    except ValueError as error:
        raise BadInput(f"{path} {error}; {remedy}") from None


def parsed_object(text: bytes) -> dict[str, Any]:
    """Return the object that a JSON text holds.

    Raises:
        ValueError: what is wrong with it, to be put behind a name: `is not valid JSON (...)`.
    """
    try:
        document = json.loads(text, object_pairs_hook=_without_repeats)
    except RecursionError:
        raise ValueError(f"is not valid JSON (nested deeper than {DEEPEST_JSON})") from None
    except ValueError as error:  # the syntax, or bytes that are not UTF-8
        raise ValueError(f"is not valid JSON ({error})") from None
    if not isinstance(document, dict):
        raise ValueError(f"must hold a JSON object, got a {type(document).__name__}")
    if _is_deep(document):
        raise ValueError(f"is not valid JSON (nested deeper than {DEEPEST_JSON})")
    return document


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object, refused if it has a key twice. (C29)"""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {shown(twice)} stands there twice")
    return found


def _is_deep(document: dict[str, Any]) -> bool:
    """Say whether lists and objects lie deeper in each other than `DEEPEST_JSON`; (C29)."""
    level: list[Any] = [document]
    for _ in range(DEEPEST_JSON):
        inside = (node.values() if isinstance(node, dict) else node for node in level)
        level = [child for children in inside for child in children if isinstance(child, dict | list)]
        if not level:
            return False
    return True

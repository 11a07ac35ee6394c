"""Section 01 - JSON files of a checkpoint: one object, or one sentence that says what is wrong with the file."""

import json
from pathlib import Path
from typing import Any

from qwen25vl.errors import BadInput


def json_object(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises:
        BadInput: if the file cannot be read, is not JSON in UTF-8, or holds anything but an object.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); check the path") from None
    except (ValueError, RecursionError) as error:  # ValueError: the syntax, or bytes that are not UTF-8
        raise BadInput(f"{path} is not valid JSON ({error}); download it again") from None
    if not isinstance(document, dict):
        kind = type(document).__name__
        raise BadInput(f"{path} must hold a JSON object, got a {kind}; download it again")
    return document

"""Section 01 - wording: how does a value, or a name that anybody may have chosen, look in a sentence?"""

import json
from typing import Any

SHOWN_SIGNS = 60
"""A value in a message is cut to this length; a name, to twice this."""


def shown(value: Any) -> str:
    """Return a value as JSON, in one line and cut to what fits in a sentence."""
    try:
        text = json.dumps(value, default=repr)
    except Exception:  # an integer of thousands of digits, a list in itself, a repr that fails
        text = f"a {type(value).__name__}"
    return text if len(text) <= SHOWN_SIGNS else text[: SHOWN_SIGNS - 3] + "..."


def named(name: str) -> str:
    """Return a name as it is if that is fit to print, else quoted, escaped and cut."""
    if name.isprintable() and len(name) <= 2 * SHOWN_SIGNS:
        return name
    text = json.dumps(name)
    return text if len(text) <= 2 * SHOWN_SIGNS else text[: 2 * SHOWN_SIGNS - 3] + "..."

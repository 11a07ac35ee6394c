"""Section 04 - padding: how do prompts of unequal length become one array?"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from qwen25vl.config import Config
from qwen25vl.errors import BadInput
from qwen25vl.json_file import json_object
from qwen25vl.prompt.tokenizer import Tokenizer
from qwen25vl.wording import shown

SIDES = ("left", "right")
"""Where padding may stand."""


def padded_ids(
    rows: Sequence[Int64[np.ndarray, " _"]], *, pad_id: int, side: str = "left"
) -> tuple[Int64[np.ndarray, "B L"], Bool[np.ndarray, "B L"]]:
    """Fill prompts up to the length of the longest.

    Args:
        rows: the ids of each prompt.
        pad_id: what stands in the padding. Nothing reads it.
        side: `left` puts padding before a prompt, `right` behind it.

    Returns:
        The ids, and a mask that is False on padding.

    Raises:
        BadInput: if `side` is neither.

    Spec: spec/04-prompt.md (P22)
    """
    if side not in SIDES:
        raise BadInput(f"padding_side must be one of {', '.join(SIDES)}, got {side!r}")
    longest = max(map(len, rows))
    ids = np.full((len(rows), longest), pad_id, dtype=np.int64)
    mask = np.zeros(ids.shape, dtype=bool)
    for b, row in enumerate(rows):
        place = slice(longest - len(row), longest) if side == "left" else slice(len(row))  # (P22)
        ids[b, place], mask[b, place] = row, True
    return ids, mask


def read_pad_id(directory: Path, *, tokenizer: Tokenizer, config: Config) -> int:
    """Return the id of the padding token that tokenizer_config.json names, else the end token.

    Raises:
        BadInput: if the named token is no text, or the tokenizer does not have it.

    Spec: spec/04-prompt.md (P22)
    """
    path = directory / "tokenizer_config.json"
    named = json_object(path).get("pad_token") if path.is_file() else None
    if isinstance(named, dict):  # an added token, written out with its flags
        named = named.get("content")
    if named is None:
        return config.eos_token_id
    if not isinstance(named, str):
        raise BadInput(f"{path}: pad_token must be the text of a token, got {shown(named)}")
    return tokenizer.id(named)

"""Section 11 - generation settings: which ids end an answer?"""

from pathlib import Path

from qwen25vl.config import Config
from qwen25vl.errors import BadInput
from qwen25vl.json_file import json_object


def read_stop_ids(directory: Path, config: Config) -> tuple[int, ...]:
    """Return the ids that end an answer: those of generation_config.json, else the config's one.

    Raises:
        BadInput: if the file is malformed, or an id has no embedding row.

    Spec: spec/11-generation.md (G2)
    """
    path = directory / "generation_config.json"
    if not path.is_file():
        return (config.eos_token_id,)
    found = json_object(path).get("eos_token_id")
    if found is None:
        return (config.eos_token_id,)
    ids = found if isinstance(found, list) else [found]  # (G2) the releases list two
    if not ids or not all(type(i) is int and 0 <= i < config.text.vocab_size for i in ids):
        raise BadInput(f"{path}: eos_token_id must be ids below {config.text.vocab_size}, got {found!r}")
    return tuple(ids)

"""Section 01 - the header of a safetensors file: what does it say, and where does the data begin?"""

from pathlib import Path
from typing import Any

from qwen25vl.errors import BadInput
from qwen25vl.json_file import parsed_object

LENGTH_BYTES = 8
"""A file begins with the length of its header: an unsigned little-endian integer of this many bytes."""


def safetensors_header(path: Path, *, longest_bytes: int, remedy: str) -> tuple[dict[str, Any], int]:
    """The header's JSON object, and the byte of the file at which the data starts.

        file = length (8 bytes) | header (JSON, `length` bytes) | data

    Args:     path: of the file.
              longest_bytes: a longer header is refused unread.
              remedy: what a user does about a file that is damaged.
    Raises:   BadInput: the file cannot be read, or has no header of that length; it is named.
    Spec:     spec/01-config-checkpoint.md (C13)
    """
    try:
        file_bytes = path.stat().st_size
        with path.open("rb") as file:
            prefix = file.read(LENGTH_BYTES)
            length = _header_bytes(path, prefix, file_bytes=file_bytes, longest_bytes=longest_bytes, remedy=remedy)
            text = file.read(length)
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror or error}); check it and its rights") from error
    try:
        return parsed_object(text), LENGTH_BYTES + length
    except ValueError as error:
        raise BadInput(f"{path} has a malformed header (it {error}); {remedy}") from None


def _header_bytes(path: Path, prefix: bytes, *, file_bytes: int, longest_bytes: int, remedy: str) -> int:
    """The length that a file promises its header to have. (C13)"""
    if prefix == b"version ":
        raise BadInput(f"{path} is a Git LFS pointer, not the file that it stands for; download the file itself")
    if len(prefix) < LENGTH_BYTES:
        raise BadInput(f"{path} has {file_bytes} bytes, too few for a safetensors file; {remedy}")
    length = int.from_bytes(prefix, "little")
    if length > min(file_bytes - LENGTH_BYTES, longest_bytes):
        raise BadInput(
            f"{path} promises a header of {length} bytes but has {file_bytes} bytes in all; "
            f"it is cut short, or not a safetensors file; {remedy}"
        )
    return length

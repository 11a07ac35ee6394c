"""Section 15 - dumps in safetensors: which tensors of a file can be had, even if it is cut short?

A checkpoint is whole or refused. A dump is looked at in spite of a fault: what is there tells where a port went
wrong.
"""

from pathlib import Path
from typing import Any

from qwen25vl.checkpoint.safetensors import LENGTH_BYTES
from qwen25vl.errors import BadInput
from qwen25vl.golden.bin_index import BinTensor, array_fault, place_fault
from qwen25vl.json_file import parsed_object
from qwen25vl.port.dump_tensor import DumpTensor
from qwen25vl.wording import named, shown

LONGEST_DUMP_HEADER_BYTES = 100_000_000
"""Longer headers are refused unread; a dump of a million tensors has one."""


def safetensors_tensors(path: Path) -> tuple[dict[str, DumpTensor], tuple[str, ...]]:
    """Look at a safetensors file; its header alone is read.

    Returns:
        The tensors that are whole, and a sentence about each that is not.

    Raises:
        BadInput: if there is no header that could be read.
    """
    header, start = _header(path)
    found: dict[str, DumpTensor] = {}
    problems = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        tensor = _tensor(path, name, entry, start=start)
        if isinstance(tensor, str):
            problems.append(f"{path}: {tensor}")
        else:
            found[name] = tensor
    return found, tuple(problems)


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """Return the header's object, and the byte of the file where the data begins."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            if size < LENGTH_BYTES or length > min(size - LENGTH_BYTES, LONGEST_DUMP_HEADER_BYTES):
                raise BadInput(
                    f"{path} promises a header of {length} bytes but has {size} bytes in all; it is cut short, or "
                    "not a safetensors file; write it again"
                )
            text = file.read(length)
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror or error}); check it and its rights") from None
    try:
        return parsed_object(text), LENGTH_BYTES + length
    except ValueError as error:
        raise BadInput(f"{path} has a malformed header (it {error}); write it again") from None


def _tensor(path: Path, name: str, entry: Any, *, start: int) -> DumpTensor | str:
    """Return one tensor, or a sentence why it cannot be had."""
    match entry:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [begin, end]}:
            pass
        case _:
            return f"{named(name)} needs a dtype, a shape and two data_offsets, got {shown(entry)}; write it again"
    fault = array_fault(name, dtype, shape, begin)
    if fault:
        return fault
    lies = BinTensor(name, path.name, start + begin, dtype, tuple(shape))
    if end != begin + lies.nbytes:
        return (
            f"{named(name)}, {dtype} of shape {shown(shape)}, takes {lies.nbytes} bytes, but its data_offsets are "
            f"{shown([begin, end])}; write it again"
        )
    fault = place_fault(lies, path.parent)
    return fault or DumpTensor(dtype, lies.shape, lambda: lies.raw(path.parent))

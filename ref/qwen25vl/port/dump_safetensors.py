"""Section 15 - dumps in safetensors: which tensors of a file can be had, even if it is cut short?

A checkpoint is whole or refused. A dump is looked at in spite of a fault: what is there tells where a port went
wrong.
"""

from pathlib import Path
from typing import Any

from qwen25vl.checkpoint.safetensors_header import safetensors_header
from qwen25vl.golden.bin_index import BinTensor, array_fault, place_fault
from qwen25vl.golden.parts import LONGEST_HEADER_BYTES
from qwen25vl.port.dump_tensor import DumpTensor
from qwen25vl.wording import named, shown


def safetensors_tensors(path: Path) -> tuple[dict[str, DumpTensor], tuple[str, ...]]:
    """Look at a safetensors file; its header alone is read.

    Returns:
        The tensors that are whole, and a sentence about each that is not.

    Raises:
        BadInput: if there is no header that could be read.
    """
    header, start = safetensors_header(path, longest_bytes=LONGEST_HEADER_BYTES, remedy="write it again")
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

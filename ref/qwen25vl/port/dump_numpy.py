"""Section 15 - dumps of NumPy: which arrays do npy and npz files hold, and can they be had?

The header of an array is looked at before anything is read: what it promises must be in the file. Objects are
never read, since that would run code of the file's author.
"""

import math
import tokenize
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from qwen25vl.errors import BadInput
from qwen25vl.golden.bin_index import LARGEST_BIN_NUMBER, MOST_BIN_SIDES
from qwen25vl.port.dump_tensor import DumpTensor, dtype_word
from qwen25vl.wording import named, shown

NPY = ".npy"
"""How the name of a file of one array ends, alone or in a zip file."""

DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    SyntaxError,
    tokenize.TokenError,  # NumPy takes a header apart that it cannot read
    RecursionError,
    MemoryError,
    OverflowError,
    NotImplementedError,  # a way of compressing that Python does not know
    RuntimeError,  # an encrypted entry
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy and zipfile raise for a file that is damaged or made up."""

MOST_EXPANSION = 1040
"""No more bytes can come of one (deflate makes 1032 at most); an entry that promises more is made up."""


@dataclass(frozen=True)
class NpyHeader:
    """What stands before the numbers of an array."""

    dtype: str
    shape: tuple[int, ...]
    nbytes: int


def npy_tensor(path: Path) -> DumpTensor:
    """Look at a file of one array; its header alone is read.

    Raises:
        BadInput: if it is damaged, cut short, or holds no numbers.
    """
    try:
        with path.open("rb") as file:
            header = npy_header(file)
            start, size = file.tell(), path.stat().st_size
    except DAMAGE as error:
        raise BadInput(f"{path} is no npy file that can be read ({_said(error)}); write it again") from None
    if start + header.nbytes > size:
        raise BadInput(
            f"{path}, {header.dtype} of shape {shown(header.shape)}, takes {start + header.nbytes} bytes but has "
            f"{size}; it is cut short; write it again"
        )

    def load() -> np.ndarray:
        found = np.load(path, mmap_mode="r" if header.nbytes else None, allow_pickle=False)
        return np.asarray(found)

    return DumpTensor(header.dtype, header.shape, load)


def npz_tensors(path: Path) -> tuple[dict[str, DumpTensor], tuple[str, ...]]:
    """Look at a zip file of arrays; of each, the header alone is read.

    Returns:
        The arrays that can be had by name, and a sentence about each that cannot.

    Raises:
        BadInput: if it is no zip file; one that is cut short is none, since its list stands at the end.
    """
    found: dict[str, DumpTensor] = {}
    problems = []
    try:
        archive = zipfile.ZipFile(path)  # stays open as long as its arrays: its list is read once
    except DAMAGE as error:
        raise BadInput(f"{path} is no npz file that can be read ({_said(error)}); write it again") from None
    for entry in archive.infolist():
        name = entry.filename.removesuffix(NPY)
        if entry.is_dir():
            continue
        fault = f"the name {named(name)} stands there twice, and the first counts; give each its own"
        tensor = fault if name in found else _entry_tensor(path, archive, entry)
        if isinstance(tensor, str):
            problems.append(f"{path}: {tensor}")
        else:
            found[name] = tensor
    return found, tuple(problems)


def _entry_tensor(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> DumpTensor | str:
    """Return one array of a zip file, or a sentence why it cannot be had."""
    name = named(entry.filename)
    if entry.file_size > MOST_EXPANSION * (entry.compress_size + 1) or entry.compress_size > path.stat().st_size:
        return f"{name} promises {entry.file_size} bytes, more than the file can hold; write it again"
    try:
        with archive.open(entry) as file:
            header = npy_header(file)
            start = file.tell()
    except DAMAGE as error:
        return f"{name} is no array that can be read ({_said(error)}); write it again"
    if start + header.nbytes > entry.file_size:
        return (
            f"{name}, {header.dtype} of shape {shown(header.shape)}, takes {start + header.nbytes} bytes but has "
            f"{entry.file_size}; write it again"
        )

    def load() -> np.ndarray:
        with archive.open(entry) as file:
            found = np.lib.format.read_array(file, allow_pickle=False)
        return np.asarray(found)

    return DumpTensor(header.dtype, header.shape, load)


def npy_header(file: IO[bytes] | Any) -> NpyHeader:
    """Read what stands before the numbers; the file is left where they begin.

    Raises:
        ValueError: if it is no such header, or of an array that dumps cannot hold. Others: `DAMAGE`.
    """
    version = np.lib.format.read_magic(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # written by Python 2: read all the same
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, _, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            raise ValueError(f"version {version} of the format is for records")
    word = dtype_word(dtype)
    if word is None:
        raise ValueError(f"it holds {shown(str(dtype))}, not whole numbers, fractions or truth values")
    if any(side < 0 for side in shape) or len(shape) > MOST_BIN_SIDES:
        raise ValueError(f"it has the shape {shown(shape)}")
    if math.prod(side or 1 for side in shape) > LARGEST_BIN_NUMBER:
        raise ValueError(f"no file can hold the shape {shown(shape)}")
    return NpyHeader(word, tuple(shape), math.prod(shape) * dtype.itemsize)


def _said(error: BaseException) -> str:
    """Return the first line of what an error says, fit for a sentence."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return named(str(text).splitlines()[0].rstrip(". "))

"""A file that a command writes: whole, or not at all."""

import contextlib
import os
import secrets
from pathlib import Path

from qwen25vl.errors import BadInput


def check_output(out: Path, *, what: str) -> None:
    """Refuse, before any work, a place that cannot be written to.

    Args:
        out: the file to write; an older one is replaced.
        what: it is called in a sentence: `the plot`.

    Raises:
        BadInput: if it is a directory, or its directory is not there or not ours to write in.
    """
    if out.is_dir():
        raise BadInput(f"{str(out)!r} is a directory; name a file in it for {what}")
    _write(out, b"", what=what, keep=False)


def write_output(out: Path, content: bytes, *, what: str) -> None:
    """Write a file under another name, and rename it when it is complete.

    Raises:
        BadInput: if it cannot be written.
    """
    _write(out, content, what=what, keep=True)


def _write(out: Path, content: bytes, *, what: str, keep: bool) -> None:
    """Write to a hidden name beside `out`; move it there if it is to be kept, else remove it."""
    part = out.with_name(f".qwen25vl-part-{secrets.token_hex(8)}")
    try:
        with part.open("xb") as file:
            file.write(content)
        if keep:
            part.replace(out)
    except OSError as error:
        raise BadInput(
            f"cannot write {what} to {str(out)!r} ({error.strerror or error}); choose another place"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # after a rename it is gone
            os.unlink(part)  # noqa: PTH108

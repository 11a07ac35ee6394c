"""`--plot OUT`: the file that a picture is written to, whole or not at all."""

import contextlib
import os
import secrets
from pathlib import Path

from qwen25vl.errors import BadInput

ENDINGS = ("png", "svg", "pdf")
"""Files that can be written; the same as `qwen25vl.plot.FORMATS`, which needs matplotlib."""


def check_plot(out: Path, *, thing: Path) -> None:
    """Refuse, before any work, what would fail at its end.

    Args:
        out: the file to write; an older one is replaced.
        thing: what is shown; it is not overwritten.

    Raises:
        BadInput: if the ending is unknown, matplotlib is missing, or the place cannot be written to.
    """
    if ending_of(out) not in ENDINGS:
        raise BadInput(f"--plot writes {', '.join(f'.{ending}' for ending in ENDINGS)}, not {str(out)!r}")
    try:
        import qwen25vl.plot  # noqa: F401 - whether it can be imported
    except ImportError as error:
        raise BadInput(f"--plot needs matplotlib ({error}); pip install 'qwen25vl[plot]'") from error
    if out.is_dir():
        raise BadInput(f"--plot {str(out)!r} is a directory; name a file in it")
    if out.exists() and thing.exists() and out.samefile(thing):
        raise BadInput(f"--plot {str(out)!r} is the file that is shown; name another")
    _write(out, b"", keep=False)


def write_plot(out: Path, content: bytes) -> None:
    """Write a file under another name, and rename it when it is complete.

    Raises:
        BadInput: if it cannot be written.
    """
    _write(out, content, keep=True)


def _write(out: Path, content: bytes, *, keep: bool) -> None:
    """Write to a hidden name beside `out`; move it there if it is to be kept, else remove it."""
    part = out.with_name(f".qwen25vl-plot-{secrets.token_hex(8)}")
    try:
        with part.open("xb") as file:
            file.write(content)
        if keep:
            part.replace(out)
    except OSError as error:
        raise BadInput(
            f"cannot write the plot to {str(out)!r} ({error.strerror or error}); choose another place"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # after a rename it is gone
            os.unlink(part)  # noqa: PTH108


def ending_of(out: Path) -> str:
    """Return the ending of a name, without its dot, in small letters."""
    return out.suffix.removeprefix(".").lower()

"""`--plot OUT`: the file that a picture is written to, whole or not at all."""

from pathlib import Path

from qwen25vl.cli.output_file import check_output, write_output
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
    check_output(out, what="the plot")


def write_plot(out: Path, content: bytes) -> None:
    """Write a file under another name, and rename it when it is complete.

    Raises:
        BadInput: if it cannot be written.
    """
    write_output(out, content, what="the plot")


def ending_of(out: Path) -> str:
    """Return the ending of a name, without its dot, in small letters."""
    return out.suffix.removeprefix(".").lower()

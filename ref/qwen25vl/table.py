"""Plain tables: how is a list of rows laid out for a terminal?"""

from collections.abc import Sequence

UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
"""Decimal units of bytes, largest first."""


def aligned(rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), indent: int = 0) -> str:
    """Lay rows out in columns two spaces apart; nothing trails a line.

    Args:
        rows: cells of one line each; all rows have as many.
        right: numbers of the columns that are flush right: those of numbers.
        indent: spaces before each line.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return (" " * indent + "  ".join(cells)).rstrip()

    return "\n".join(line(row) for row in rows)


def byte_text(count: int) -> str:
    """Say a number of bytes with three or four digits: `16.6 GB`, `512 bytes`."""
    for size, unit in UNITS:
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def count_text(count: int, one: str, many: str | None = None) -> str:
    """Say a number of things: `1 window`, `1,380 patches`.

    Args:
        many: the plural, where it is not `one` and an s.
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def size_text(size: Sequence[int]) -> str:
    """Say a height and a width in pixels as people do, width first: `640 x 427`."""
    height, width = size
    return f"{width} x {height}"


def labelled(label: str, lines: Sequence[str]) -> list[tuple[str, str]]:
    """Put a label before the first of some lines, and nothing before the others: rows for `aligned`."""
    return [("" if i else label, line) for i, line in enumerate(lines)]

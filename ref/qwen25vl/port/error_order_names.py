"""Section 15 - names of permutations: reversed, exchanged, rotated, transposed, or moved in blocks?

A permutation p says that place i holds the item that belongs at p[i].
"""

import numpy as np
from jaxtyping import Int64

from qwen25vl.port.error_words import counted, numbered, ranges, runs, several

Order = Int64[np.ndarray, " n"]
"""A permutation."""


def order_told(
    order: np.ndarray, *, noun: str, blocks: dict[int, str], orders: dict[str, np.ndarray]
) -> tuple[str, str]:
    """Return kind (permutation or transposition) and name of a permutation, the most special one that is true.

    Args:
        order: the permutation, not the identity.
        noun: what an item is.
        blocks: names of blocks of items, by their length.
        orders: permutations that have a name here, by what they mean.
    """
    for name, special in orders.items():
        if np.array_equal(order, special):
            return "permutation", name
    for size, block in sorted(blocks.items()):
        told = _inside(order, noun, size, block)
        if told:
            return told
    for size, block in sorted(blocks.items(), reverse=True):
        told = _moved(order, size, block)
        if told:
            return told
    told = _simply(order, noun) or _in_blocks(order, noun) or _inside_blocks(order, noun)
    return told or ("permutation", _plainly(order, noun))


def _simply(order: Order, noun: str) -> tuple[str, str] | None:
    """Name a permutation that one rule describes."""
    for rule in (_exchanged, _reversed, _rotated, _in_pairs):
        text = rule(order, noun)
        if text:
            return "permutation", text
    return _transposed(order, noun) or _without_merge_blocks(order, noun)


def _exchanged(order: Order, noun: str) -> str | None:
    """Two runs of items, equally long, have changed places."""
    moved = np.flatnonzero(order != np.arange(len(order)))
    half = len(moved) // 2
    a, b = moved[:half], moved[half:]
    if len(a) != len(b) or len(runs(a)) != 1 or len(runs(b)) != 1:
        return None
    if not (np.array_equal(order[a], b) and np.array_equal(order[b], a)):
        return None
    if len(moved) == len(order) > 2:
        return f"the two halves of the {several(noun)} have changed places"
    return f"{several(noun)} {ranges(a)} and {ranges(b)} have changed places"


def _reversed(order: Order, noun: str) -> str | None:
    """All items, or a run of them, stand in reverse order."""
    moved = np.flatnonzero(order != np.arange(len(order)))
    run = np.arange(moved[0], moved[-1] + 1)
    if not np.array_equal(order[run], run[::-1]):
        return None
    return f"{f'all {several(noun)}' if len(run) == len(order) else numbered(noun, run)} stand in reverse order"


def _rotated(order: Order, noun: str) -> str | None:
    """All items stand some places too early or too late, and those at one end at the other."""
    n, step = len(order), int(order[0])
    if not np.array_equal(order, (np.arange(n) + step) % n):
        return None
    side, places = ("early", step) if step <= n // 2 else ("late", n - step)
    return f"every {noun} stands {counted(places, 'place')} too {side}, going round at the end"


def _in_pairs(order: Order, noun: str) -> str | None:
    """Neighbours have changed places two by two."""
    if len(order) % 2 or not np.array_equal(order, np.arange(len(order)) ^ 1):
        return None
    return f"neighbouring {several(noun)} have changed places, two by two"


def _transposed(order: Order, noun: str) -> tuple[str, str] | None:
    """Items of a grid, or of each of several, stand column by column where row by row was wanted."""
    width = int(order[1])
    if order[0] != 0 or width < 2:
        return None
    height = int(np.flatnonzero(order == 1)[0])
    size = height * width
    if len(order) % size:
        return None
    one = np.arange(size).reshape(height, width).T.reshape(-1)
    if not np.array_equal(order, _repeated(one, len(order))):
        return None
    if noun == "channel" and size == len(order) and 2 in (height, width):
        half = size // 2
        if height == 2:
            return "permutation", f"channels i and i + {half} stand at 2 i and 2 i + 1: interleaved, not in halves"
        return "permutation", f"channels 2 i and 2 i + 1 stand at i and i + {half}: in halves, not interleaved"
    each = "" if size == len(order) else f" of each {size}"
    text = f"the {several(noun)}{each} are those of a grid of {height} x {width}, column by column: axes exchanged"
    return ("permutation" if noun == "channel" else "transposition"), text


def _without_merge_blocks(order: Order, noun: str) -> tuple[str, str] | None:
    """Patches stand in raster order where 2 x 2 blocks were wanted, or the reverse."""
    n = len(order)
    for p, text in (
        (order, "stand in raster order, not in blocks of 2 x 2"),
        (np.argsort(order), "stand in blocks of 2 x 2, not in raster order"),
    ):
        if n % 4 or list(p[:2]) != [0, 1]:
            continue
        width = int(np.flatnonzero(p == 2)[0])
        if width % 2 or width < 4 or n % (2 * width):
            continue
        blocks = np.arange(n).reshape(n // (2 * width), width // 2, 2, 2).transpose(0, 2, 1, 3).reshape(-1)
        if np.array_equal(p, blocks):
            return "permutation", f"the {several(noun)} {text}; the grid is {width} wide"
    return None


def _in_blocks(order: Order, noun: str) -> tuple[str, str] | None:
    """Blocks of some length have moved: name what the longest do."""
    starts = np.flatnonzero(np.diff(order, prepend=-2) != 1)
    size = int(np.gcd.reduce(np.concatenate([starts, order[starts], [len(order)]])))
    return _moved(order, size, f"block of {size} {several(noun)}") if size > 1 else None


def _moved(order: Order, size: int, block: str) -> tuple[str, str] | None:
    """Whole blocks of this size have moved: name what they do."""
    if len(order) % size:
        return None
    whole = order[::size] // size
    if not np.array_equal(order, (whole[:, np.newaxis] * size + np.arange(size)).reshape(-1)):
        return None
    told = _simply(whole, block) or _inside_blocks(whole, block)
    return told or ("permutation", _plainly(whole, block))


def _inside_blocks(order: Order, noun: str) -> tuple[str, str] | None:
    """Name what happens inside the shortest blocks that nothing has left and that are all in the same disorder."""
    for size in range(2, len(order) // 2 + 1):
        told = _inside(order, noun, size, f"block of {size} {several(noun)}")
        if told:
            return told
    return None


def _inside(order: Order, noun: str, size: int, block: str) -> tuple[str, str] | None:
    """Every block of this size is in the same disorder, nothing has left its block: name what happens inside."""
    one = order[:size]
    if len(order) % size or size == len(order) or not np.array_equal(np.sort(one), np.arange(size)):
        return None
    if not np.array_equal(order, _repeated(one, len(order))):
        return None
    kind, text = _simply(one, noun) or _in_blocks(one, noun) or ("permutation", _plainly(one, noun))
    return kind, f"in each {block}, {text}"


def _plainly(order: Order, noun: str) -> str:
    """Say of a permutation without a name how much it moves, and an example."""
    moved = np.flatnonzero(order != np.arange(len(order)))
    one = noun.split(" of ")[0]  # of a block of 4 rows, a block
    told = [f"{one} {i} holds what {one} {order[i]} should" for i in moved[:2]]
    own = "its own inverse" if np.array_equal(order[order], np.arange(len(order))) else "not its own inverse"
    share = f"{len(moved)} of {counted(len(order), noun)}"
    return f"{share} stand in other places: {', '.join(told)}; the permutation is {own}"


def _repeated(one: Order, n: int) -> np.ndarray:
    """Return a permutation that does the same in every block."""
    return (np.arange(0, n, len(one))[:, np.newaxis] + one).reshape(-1)

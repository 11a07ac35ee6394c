"""What the fuzz tests share: drawn damage to JSON and to bytes, and the one property they all check."""

import copy
import tracemalloc
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from qwen25vl.errors import BadInput

NUMBERS: list[Any] = [0, 1, -1, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, 10**400, 0.5, -0.0, 1e308, 5e-324]
NUMBERS += [float("nan"), float("inf"), float("-inf")]
WORDS = ["", "x", "a\nb", "\x00", "\ud800", "../x", "x" * 3000, "F32", "<|image_pad|>", "{}", "é"]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(NUMBERS),
    st.sampled_from(WORDS),
    st.integers(-3, 3),
    st.text(max_size=3),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=5,
) | st.integers(30, 300).map(lambda depth: nest(depth))
"""Anything that JSON can say, and a little that Python's reader lets pass."""


def nest(depth: int) -> Any:
    """A list in a list in a list ..."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def places(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside a document, itself not counted; of long lists the first few."""
    found = []
    pairs = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for count, (key, value) in enumerate(pairs):
        if count == 40:
            break
        found += [(*at, key), *places(value, (*at, key))]
    return found


@st.composite
def damaged(draw: st.DrawFn, document: Any, most: int = 3) -> Any:
    """The document with one to three values dropped, replaced, added, or swapped with another of its own."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, most))):
        where = places(document)
        if not where:
            break
        *parents, last = draw(st.sampled_from(where))
        place = document
        for key in parents:
            place = place[key]
        act = draw(st.sampled_from(["drop", "replace", "replace", "add", "swap"]))
        if act == "drop":
            del place[last]
        elif act == "replace":
            place[last] = draw(values)
        elif act == "swap":
            other = draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
            place[last], place[other] = place[other], place[last]
        elif isinstance(place, dict):
            place[draw(st.sampled_from(WORDS))] = draw(values)
        else:
            place.append(draw(values))
    return document


@st.composite
def damaged_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes with one to four places flipped, dropped, doubled, overwritten or cut off."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        act = draw(st.sampled_from(["flip", "drop", "double", "write", "cut", "head"]))
        if act == "head":  # where formats keep their sizes
            at = draw(st.integers(0, min(len(data), 60)))
            act = "write"
        if act == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif act == "drop":
            del data[at : at + draw(st.integers(1, 40))]
        elif act == "double":
            data[at:at] = data[at : at + 40]
        elif act == "write":
            some = draw(st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"]) | st.binary(max_size=6))
            data[at : at + len(some)] = some
        elif act == "cut":
            del data[at:]
    return bytes(data)


def check_refusal_or_success(
    call: Callable[[], Any], *, most_bytes: int, lines: int = 1, error: type[Exception] = BadInput
) -> bool:
    """Say whether a call succeeds. It may fail with one sentence alone, and must stay below a peak of memory.

    Args:
        call: what reads the damaged thing.
        most_bytes: what Python may have in use at the worst moment, beyond what it had.
        lines: of the refusal; a census lists tensors below its sentence.
        error: the package's own.
    """
    tracemalloc.start()
    try:
        call()
        succeeded = True
    except error as refusal:
        succeeded = False
        text = str(refusal)
        assert text.count("\n") < lines, text
        assert text.isprintable() or lines > 1, text
        assert 20 < len(text) < 1200 * lines, len(text)
    finally:
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak_bytes < most_bytes, f"{peak_bytes} bytes at the peak, allowed are {most_bytes}"
    return succeeded

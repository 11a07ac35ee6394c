"""Section 15 - a view of an error: which rows, heads and channels of a part are wrong, and by how much?

Every part is looked at as [R, H, d]: rows, heads, channels of a head. A part without heads has one head.
Arrays may be large (20,000 x 1,280), so whatever looks at all of them goes through slices of rows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

SLICE_ELEMENTS = 2**18
"""Elements in one slice of rows: 2 MiB, which the caches of most processors hold."""

SAMPLE_ELEMENTS = 2**19
"""Elements in the sample of rows on which a claim is tried before all rows are asked."""

SAMPLE_ROWS = 256
"""Most rows of the sample."""

Index = slice | np.ndarray
"""What picks rows."""


@dataclass(frozen=True)
class Layout:
    """What is known about the rows of a part, each in the order of that part. What is None is not known.

    An array of another length than the part has rows is ignored; one entry for each patch also serves a part
    with one row for each merged token, if `merge_unit` is given.
    """

    frame_of_row: np.ndarray | None = None
    """Number of the frame of each patch."""
    window_of_row: np.ndarray | None = None
    """Number of the window of each patch."""
    padding_rows: np.ndarray | None = None
    """True where a token is padding."""
    vision_rows: np.ndarray | None = None
    """True where a token stands for a piece of a picture."""
    sections: tuple[int, int, int] | None = None
    """Frequencies of time, height and width in a head of the decoder."""
    merge_unit: int | None = None
    """Patches in a merged token."""
    window_order: np.ndarray | None = None
    """Merged token at each place of the window order."""

    def fitted(self, rows: int) -> "Layout":
        """Return the layout with each array of one entry a row, or None in its place."""
        return replace(
            self,
            frame_of_row=self._fitted(self.frame_of_row, rows),
            window_of_row=self._fitted(self.window_of_row, rows),
            padding_rows=self._fitted(self.padding_rows, rows),
            vision_rows=self._fitted(self.vision_rows, rows),
        )

    def _fitted(self, known: np.ndarray | None, rows: int) -> np.ndarray | None:
        """Return the entries of the rows, if there is one for each."""
        if known is not None and self.merge_unit and len(known) == rows * self.merge_unit:
            known = known[:: self.merge_unit]
        return known if known is not None and len(known) == rows else None


@dataclass(frozen=True)
class View:
    """A found and a wanted array side by side, and the census of the wrong elements."""

    found: Float64[np.ndarray, "R H d"]
    wanted: Float64[np.ndarray, "R H d"]
    tolerance: float | np.ndarray
    """The error below which an element is noise: one number, or [R, H, d]."""
    words: tuple[str, ...] = ()
    """The words of the part's own shape; none where they do not fit it."""
    part: str = ""
    layout: Layout = field(default_factory=Layout)
    wrong_of_row: Int64[np.ndarray, " R"] = field(init=False)
    """Wrong elements in each row."""
    wrong_of_column: Int64[np.ndarray, "H d"] = field(init=False)
    """Wrong elements in each channel of each head."""
    square_of_row: Float64[np.ndarray, " R"] = field(init=False)
    """Sum of the squared errors of each row."""
    sample: Int64[np.ndarray, " n"] = field(init=False)
    """Rows on which claims are tried first: wrong ones, and some of all."""

    def __post_init__(self) -> None:
        """Take the census, slice by slice."""
        rows, *columns = self.found.shape
        wrong_of_row, square_of_row = np.zeros(rows, dtype=np.int64), np.zeros(rows)
        wrong_of_column = np.zeros(columns, dtype=np.int64)
        for index in slices(self):
            error = difference(self.found[index], self.wanted[index])
            wrong = ~(np.abs(error) <= tolerance_of(self, index))  # NaN is wrong
            flat = wrong.reshape(len(wrong), -1)
            wrong_of_row[index] = np.count_nonzero(flat, axis=1)
            wrong_of_column += np.count_nonzero(flat, axis=0).reshape(columns)
            square_of_row[index] = np.einsum("rhd,rhd->r", error, error)
        object.__setattr__(self, "wrong_of_row", wrong_of_row)
        object.__setattr__(self, "wrong_of_column", wrong_of_column)
        object.__setattr__(self, "square_of_row", square_of_row)
        object.__setattr__(self, "sample", sampled_rows(wrong_of_row, width=int(np.prod(columns))))

    @property
    def wrong(self) -> int:
        """Number of wrong elements."""
        return int(self.wrong_of_row.sum())

    @property
    def square(self) -> float:
        """Sum of all squared errors."""
        return float(self.square_of_row.sum())

    @property
    def width(self) -> int:
        """Elements in a row."""
        return self.found.shape[1] * self.found.shape[2]

    @property
    def noun(self) -> str:
        """What a row is."""
        return "token" if "L" in self.words[:1] or self.words == ("3", "L") else "row"

    def block(self, rows: np.ndarray, heads: np.ndarray, channels: np.ndarray) -> "View":
        """Return the view of some rows, heads and channels; what was known about the rows is left behind."""
        pick = np.ix_(rows, heads, channels)
        tolerance = self.tolerance[pick] if isinstance(self.tolerance, np.ndarray) else self.tolerance
        return View(self.found[pick], self.wanted[pick], tolerance)


def view_of(
    found: np.ndarray, wanted: np.ndarray, *, part: str, dims: str, tolerance: np.ndarray | float, layout: Layout
) -> View:
    """Lay both arrays and the tolerance out as [R, H, d], without copying where that can be."""
    words = tuple(dims.split())
    words = words if len(words) == found.ndim else ()
    if np.ndim(tolerance) == 0:
        spread: float | np.ndarray = float(tolerance)
    else:
        spread = rows_first(np.broadcast_to(np.asarray(tolerance, dtype=np.float64), found.shape), words)
    rows = rows_first(found, words)
    return View(rows, rows_first(wanted, words), spread, words, part, layout.fitted(len(rows)))


def rows_first(array: np.ndarray, words: tuple[str, ...]) -> np.ndarray:
    """Return an array as [R, H, d], by the words of its shape."""
    if words == ("3", "L"):  # three positions to each token
        return array.T[:, np.newaxis, :]
    if words[:1] == ("N",) and array.ndim in (2, 3):  # probabilities: a row of scores to each query
        return np.moveaxis(array, 0, 1).reshape(array.shape[1], array.shape[0], -1)
    if array.ndim == 3 and words[1:2] in (("N",), ("K",)):
        return array
    return array.reshape(array.shape[0] if array.ndim else 1, 1, -1)


def slices(view: View) -> Iterator[slice]:
    """Yield slices of rows that together are all rows."""
    step = max(1, SLICE_ELEMENTS // max(view.width, 1))
    for first in range(0, len(view.found), step):
        yield slice(first, first + step)


def tolerance_of(view: View, index: Index) -> float | np.ndarray:
    """Return the tolerance of some rows."""
    return view.tolerance[index] if isinstance(view.tolerance, np.ndarray) else view.tolerance


def difference(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return found - wanted, and 0 where both are the same infinity or both NaN."""
    error = found - wanted
    if not np.isfinite(error).all():
        error[(found == wanted) | (np.isnan(found) & np.isnan(wanted))] = 0
    return error


def sampled_rows(wrong_of_row: np.ndarray, *, width: int) -> Int64[np.ndarray, " n"]:
    """Draw rows: half of them among the wrong ones, half among all; the same ones for the same census."""
    most = int(np.clip(SAMPLE_ELEMENTS // max(width, 1), 8, SAMPLE_ROWS))
    if len(wrong_of_row) <= most:
        return np.arange(len(wrong_of_row))
    draw = np.random.default_rng(0)  # an even step could fall in with the rows of a grid
    wrong = np.flatnonzero(wrong_of_row)
    some = draw.choice(wrong, min(most // 2, len(wrong)), replace=False)
    return np.unique(np.concatenate([some, draw.choice(len(wrong_of_row), most // 2, replace=False)]))


@dataclass(frozen=True)
class Claim:
    """An explanation of an error: what the found array is said to be, computed from the wanted one."""

    kind: str
    detail: str
    predicted: Callable[[Index], np.ndarray]
    """Returns what rows of the found array are, if the claim is true."""
    moved: Callable[[np.ndarray, Index], np.ndarray] | None = None
    """If the claim moves elements: returns rows of another array moved alike, for they bring their tolerance."""
    slack: float = 1.0
    """How much the claim enlarges the noise: a factor of 8 makes it 8 times as large."""
    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()


def wrong_after(view: View, claim: Claim, index: Index) -> tuple[np.ndarray, Bool[np.ndarray, "..."]]:
    """Return the error that a claim leaves in some rows, and where that is more than noise."""
    predicted = claim.predicted(index)
    error = view.found[index] - predicted
    limit = tolerance_of(view, index)
    if claim.moved is not None and isinstance(view.tolerance, np.ndarray):
        limit = np.maximum(limit, claim.moved(view.tolerance, index))
    rounding = 1e-12 * np.abs(predicted)  # a factor is itself computed
    return error, ~(np.abs(error) <= limit * claim.slack + rounding)

"""Section 00 - overflow: where does a run first leave the range of its format?

A value beyond the range is infinite, the next norm or softmax makes NaN of it, and attention carries that to
every token. So the end of a run says nothing; what matters is the first tap, in the order of the data.

    watch = OverflowWatch()
    model.forward(inputs, taps=Tap("insides", sink=watch))
    print(watch.first)
"""

from dataclasses import dataclass, field

import numpy as np

from qwen25vl.tap_names import data_order


@dataclass(frozen=True)
class Overflow:
    """The first tap that holds a value which is infinite or NaN."""

    tap: str
    count: int
    """How many of its values are."""
    size: int
    """How many values it has."""
    largest: float
    """The largest size of a finite value up to and in this tap."""
    largest_tap: str
    """Where that is."""

    def __str__(self) -> str:
        """Say it in one sentence."""
        return (
            f"{self.tap} is the first tap with values that are infinite or NaN, {self.count} of {self.size}; the "
            f"largest finite one up to there is {self.largest:.6g}, in {self.largest_tap}"
        )


@dataclass(frozen=True)
class OverflowWatch:
    """A sink for a tap: it looks at each value and keeps nothing of it but a count and a maximum."""

    seen: dict[str, tuple[int, int, float]] = field(default_factory=dict)
    """Of each tap: values that are infinite or NaN, all values, the largest size of a finite one."""

    def __call__(self, name: str, array: np.ndarray) -> None:
        """Look at one value; places and positions, which are integers, do not count."""
        if array.dtype.kind != "f":
            return
        finite = np.isfinite(array)
        largest = float(np.max(np.abs(array), where=finite, initial=0))
        self.seen[name] = (array.size - int(np.count_nonzero(finite)), array.size, largest)

    @property
    def first(self) -> Overflow | None:
        """Return where the run left its range; None if nowhere.

        Spec: spec/00-notation.md (N28)
        """
        so_far, so_far_tap = 0.0, ""
        for name in sorted(self.seen, key=data_order):  # (N28)
            count, size, largest = self.seen[name]
            if largest >= so_far:
                so_far, so_far_tap = largest, name
            if count:
                return Overflow(tap=name, count=count, size=size, largest=so_far, largest_tap=so_far_tap)
        return None

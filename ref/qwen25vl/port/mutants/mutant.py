"""Section 15 - mutants: what is a known bug, as something that can be put into the reference and run?

A mutant exchanges a few functions of the reference, or numbers of the config, by wrong ones. The reference itself
has no switch for it: `planted` puts the wrong ones in, and takes them out again.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from qwen25vl.golden.bugs import BUGS
from qwen25vl.ops import Ops

MECHANISMS = (
    "tokenizer",
    "template",
    "resize",
    "decode",
    "pixels",
    "patch order",
    "video frames",
    "positions",
    "several media",
    "time",
    "padding and batches",
    "delta and cache",
    "chunks",
    "rotation",
    "section layout",
    "2-D rotary",
    "window order",
    "window mask",
    "segment boundaries",
    "full-attention list",
    "patch embedding",
    "vision attention",
    "merger",
    "norms",
    "activations",
    "linear layers",
    "vision-token scatter",
    "causal mask",
    "key and value heads",
    "head and tying",
    "checkpoint names",
    "sampling",
    "precision",
    "coordinates",
)
"""What a bug is about, in the order of the data."""

OTHER_WAY = "/"
"""Stands in an id between a bug and another way in which ports have it: `channel-order/rows`."""

MARK = "known_bug"
"""Attribute of a function that holds its entry."""


@dataclass(frozen=True)
class Swap:
    """One function of the reference, exchanged wherever it is called."""

    target: str
    """Its place below the package, such as `vision.windows.window_order` or `checkpoint.weights.Weights.rows`."""
    by: Callable[[Callable[..., Any]], Callable[..., Any]]
    """Given the right function, returns the wrong one."""


@dataclass(frozen=True)
class OpsSwap:
    """One of the small functions that a run is given as `ops`."""

    name: str
    """A field of `Ops`, such as `attention`."""
    by: Callable[[Ops], Callable[..., Any]]
    """Given the right functions, returns the wrong one. Its result is rounded to the precision of the run."""


@dataclass(frozen=True)
class NumberSwap:
    """One number of the config, as the network reads it; how a prompt is prepared does not change."""

    name: str
    """Its place, such as `vision.full_attention_blocks`."""
    by: Callable[[Any], Any]
    """Given the right value, returns the wrong one."""


AnySwap = Swap | OpsSwap | NumberSwap
"""What a mutant changes."""


@dataclass(frozen=True)
class Mutant:
    """A known bug, and what puts it into the reference."""

    id: str
    """As in `golden.bugs.BUGS`, or of a systematic fault, for good; perhaps with another way behind a stroke."""
    title: str
    """What a port with it does, one sentence."""
    mechanism: str
    """One of `MECHANISMS`."""
    clauses: tuple[str, ...]
    """Clauses of the specification that it breaks."""
    symptom: str
    """What a user of such a port sees."""
    cause: str
    """How a port usually comes to it."""
    hidden_by: str
    """Which inputs do not show it."""
    fix: str
    """What to write instead."""
    swaps: Callable[[], Iterator[AnySwap]] = field(repr=False)
    """Makes the exchanges, with a memory of their own each time."""
    threads: tuple[str, ...] = ()
    """Public threads where it happened: `owner/repository#number`."""
    versions: str = ""
    """Releases of transformers or qwen-vl-utils that have it."""
    unseen: Mapping[str, str] = field(default_factory=dict)
    """By precision: why it cannot be seen there, with what was measured."""

    @property
    def bug(self) -> str:
        """The id without the way."""
        return self.id.partition(OTHER_WAY)[0]


def other_way(
    mutant: Callable[[], Iterator[AnySwap]], way: str
) -> Callable[[Callable[[], Iterator[AnySwap]]], Callable[[], Iterator[AnySwap]]]:
    """Register a generator function of swaps as another way to a registered bug, of which everything said holds.

    Args:
        mutant: the function that was registered as the bug.
        way: one word, or words with hyphens.
    """
    known: Mutant = getattr(mutant, MARK)

    def registered(function: Callable[[], Iterator[AnySwap]]) -> Callable[[], Iterator[AnySwap]]:
        setattr(function, MARK, replace(known, id=f"{known.id}{OTHER_WAY}{way}", swaps=function, unseen={}))
        return function

    return registered


def known_bug(
    bug: str,
    *,
    mechanism: str,
    clauses: tuple[str, ...],
    symptom: str,
    cause: str,
    hidden_by: str,
    fix: str,
    threads: tuple[str, ...] = (),
    versions: str = "",
    unseen: Mapping[str, str] | None = None,
) -> Callable[[Callable[[], Iterator[AnySwap]]], Callable[[], Iterator[AnySwap]]]:
    """Register a generator function of swaps as the mutant of a bug in `BUGS`."""

    def registered(function: Callable[[], Iterator[AnySwap]]) -> Callable[[], Iterator[AnySwap]]:
        entry = Mutant(
            id=bug,
            title=BUGS[bug],
            mechanism=mechanism,
            clauses=clauses,
            symptom=symptom,
            cause=cause,
            hidden_by=hidden_by,
            fix=fix,
            swaps=function,
            threads=threads,
            versions=versions,
            unseen=unseen or {},
        )
        setattr(function, MARK, entry)
        return function

    return registered

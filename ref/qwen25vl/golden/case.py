"""Section 15 - cases: what is a golden case made of?

A case is a generator function. It is given a `Lab`, a checkpoint to work with, and yields named parts: arrays
that it made up or read, and arrays that functions of the reference computed from them. A whole forward pass
is yielded as a `Run`; whoever writes or judges the case carries it out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from qwen25vl.api import Model
from qwen25vl.config import Config
from qwen25vl.inputs import Inputs
from qwen25vl.ops import Ops
from qwen25vl.processor import Processor

FAMILIES = (
    "tokenizer",
    "template",
    "image",
    "video",
    "rope",
    "windows",
    "vision",
    "merger",
    "positions",
    "text",
    "logits",
    "decode",
    "generation",
    "batch",
    "precision",
)
"""What cases are about."""

TIERS = ("unit", "block", "model")
"""How much a case runs: one function; a piece of the model; a whole forward pass, which needs a checkpoint."""


@dataclass(frozen=True, eq=False)
class Part:
    """One named array of a case."""

    id: str
    """`inputs.*`, a tap id where it is one, else `outputs.*`."""
    array: np.ndarray
    """float64, float32, int64, uint8 or bool. A text is uint8, its UTF-8 bytes (`text_part`)."""
    dims: str
    """One word for each side: a letter of spec page 00, or a plain word."""
    meaning: str
    section: str = ""
    """Page of the specification; the case's own where it is left out."""
    format: str = ""
    """`bfloat16` or `float16` where the part shows the rounding of that format, whatever a port computes in."""


@dataclass(frozen=True, eq=False)
class Run:
    """A prompt, or a batch, to be run: what the model is given, its taps and its answer are parts."""

    inputs: Inputs
    chunk: int | None = None
    """The most tokens that the decoder is given at once; None gives it all."""
    before: Inputs | None = None
    """An earlier prompt, run first: what both begin with is not run again."""
    answer_tokens: int = 0
    """The longest greedy answer behind each prompt; 0 decodes none."""
    sources: tuple[tuple[str, str], ...] = ()
    """`image` or `video`, and a name, of each medium in the order of the prompt."""


@dataclass(frozen=True, eq=False)
class Lab:
    """What a case works with. Its arithmetic decides whether a case gives the truth or a measure of noise."""

    model: Model

    @property
    def ops(self) -> Ops:
        """The small functions, in the precision asked for."""
        return self.model.network.ops

    @property
    def config(self) -> Config:
        """Shape and constants of the checkpoint."""
        return self.model.config

    @property
    def processor(self) -> Processor:
        """Tokenizer, template, and what prepares pictures and videos."""
        return self.model.processor

    def prepare(self, messages: Any, **limits: Any) -> Inputs:
        """Make one conversation, or several, ready for the model; `limits` as in `Model.prepare`."""
        return self.model.prepare(messages, **limits)

    def held(self, array: np.ndarray) -> np.ndarray:
        """Give drawn numbers the precision of the run: widened, or rounded to the format."""
        return self.ops.precision.held(array)

    def with_ops(self, ops: Ops) -> "Lab":
        """Return a lab that computes with other functions, its weights read in their precision."""
        network = self.model.network
        weights = replace(network.weights, dtype=ops.precision.dtype, rounded=ops.precision.rounded)
        return Lab(replace(self.model, network=replace(network, ops=ops, weights=weights)))


@dataclass(frozen=True)
class Case:
    """A registered case. The name of its function is its id, for good.

    Spec: spec/15-golden-values.md (X31)
    """

    id: str
    """Answers: what breaks if this fails?"""
    title: str
    """One sentence, the function's docstring."""
    function: Callable[[Lab], Iterator[Part | Run]]
    family: str
    tier: Literal["unit", "block", "model"]
    section: str
    """Page of the specification that it belongs to."""
    clauses: tuple[str, ...]
    kills: tuple[str, ...]
    """Ids of known bugs that it is meant to catch."""
    note: str = ""
    """What its input was chosen for, and what a simpler one would hide."""
    flags: tuple[str, ...] = ()
    """`blind`: a control, known to hide a bug; `long`: slow with a real checkpoint."""
    taps: str = "stages"
    """Which taps of a run the corpus holds; a level or a glob."""


def text_part(name: str, text: str, meaning: str, section: str = "") -> Part:
    """Make a part of a text: its UTF-8 bytes."""
    return Part(name, np.frombuffer(text.encode(), dtype=np.uint8), "bytes", meaning, section)


def count_part(name: str, numbers: Any, dims: str, meaning: str, section: str = "") -> Part:
    """Make a part of whole numbers, a list of them or one."""
    return Part(name, np.atleast_1d(np.array(numbers, dtype=np.int64)), dims, meaning, section)

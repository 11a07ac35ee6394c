"""The public interface: load a checkpoint, prepare a prompt, run it, decode an answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from qwen25vl.bundled import checkpoint_directory
from qwen25vl.checkpoint.directory import open_checkpoint
from qwen25vl.checkpoint.weights import Weights
from qwen25vl.config import Config
from qwen25vl.errors import BadInput
from qwen25vl.generate.greedy import Step, greedy_steps
from qwen25vl.generate.settings import read_stop_ids
from qwen25vl.inputs import Inputs
from qwen25vl.language.cache import Cache
from qwen25vl.model import Network, prefill, vocabulary_scores
from qwen25vl.ops import REFERENCE
from qwen25vl.precision import named_precision
from qwen25vl.processor import Processor, read_processor
from qwen25vl.prompt.messages import Message
from qwen25vl.tap import SILENT, Tap


@dataclass(frozen=True, eq=False)
class Output:
    """What a forward pass returns."""

    logits: Float[np.ndarray, "B L V"]
    """Scores of every vocabulary row, for the token that follows each token."""
    cache: Cache
    """Keys and values of the prompt."""


@dataclass(frozen=True)
class Generation:
    """One decoded answer."""

    text: str
    """Without special tokens."""
    ids: list[int]
    """New ids only; a stop id, where one ended the answer, is the last."""
    stop: str
    """`eos` where a stop id ended the answer, `length` where the limit did."""
    logprobs: list[float]
    """Natural logarithm of each new token's probability."""


@dataclass(frozen=True, eq=False)
class Model:
    """A checkpoint, ready to run. It keeps nothing between two calls."""

    processor: Processor
    network: Network
    stop_ids: tuple[int, ...]

    @property
    def config(self) -> Config:
        """Shape and constants of the model."""
        return self.network.config

    def prepare(
        self,
        messages: Sequence[Message],
        *,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        profile: str | None = None,
        add_vision_id: bool = False,
        add_generation_prompt: bool = True,
    ) -> Inputs:
        """See `Processor.prepare`."""
        return self.processor.prepare(
            messages,
            min_pixels=min_pixels,
            max_pixels=max_pixels,
            profile=profile,
            add_vision_id=add_vision_id,
            add_generation_prompt=add_generation_prompt,
        )

    def forward(self, inputs: Inputs, *, taps: Tap | None = None) -> Output:
        """Run a prompt and score every token's successor.

        Args:
            inputs: what `prepare` returned.
            taps: a listener for intermediate values; it is filled while the prompt runs.
        """
        tap = SILENT if taps is None else taps
        hidden, cache = prefill(inputs, self.network, tap=tap)
        logits = vocabulary_scores(hidden, self.network)
        tap("logits", logits)
        return Output(logits=logits[np.newaxis], cache=cache)

    def generate(
        self,
        inputs: Inputs,
        *,
        max_new_tokens: int = 128,
        greedy: bool = True,
        taps: Tap | None = None,
        on_step: Callable[[Step], None] | None = None,
    ) -> list[Generation]:
        """Decode an answer, the best-scored token each time.

        Args:
            inputs: what `prepare` returned.
            max_new_tokens: the longest answer.
            greedy: True; this version does not sample.
            taps: listens while the prompt runs, not while the answer is decoded.
            on_step: called with each token as soon as it is decoded.

        Returns:
            One answer.

        Raises:
            BadInput: if `greedy` is False or `max_new_tokens` is below 1.
        """
        if not greedy:
            raise BadInput("sampling is not part of this version; call generate with greedy=True")
        if max_new_tokens < 1:
            raise BadInput(f"max_new_tokens must be at least 1, got {max_new_tokens}")
        steps = []
        for step in greedy_steps(
            inputs,
            self.network,
            stop_ids=self.stop_ids,
            max_new_tokens=max_new_tokens,
            tap=SILENT if taps is None else taps,
        ):
            steps.append(step)
            if on_step is not None:
                on_step(step)
        ids = [step.id for step in steps]
        return [
            Generation(
                text=self.processor.tokenizer.decode(ids, skip_special_tokens=True),
                ids=ids,
                stop="eos" if steps[-1].is_stop else "length",
                logprobs=[step.logprob for step in steps],
            )
        ]


def load(path: str | Path = "tiny", *, precision: str = "float32", kernels: str = "reference") -> Model:
    """Open a checkpoint; its weights stay on disk until they are used.

    Args:
        path: a checkpoint directory, or the bundled `tiny` or `tiny-untied`.
        precision: `float32`, or `float64` for golden values.
        kernels: `reference`, the readable NumPy functions.

    Raises:
        BadInput: if the directory does not hold a whole checkpoint, or an argument is unknown.
    """
    if kernels != "reference":
        raise BadInput(f"unknown kernels {kernels!r}; this version has 'reference' only")
    chosen = named_precision(precision)
    directory = checkpoint_directory(path)
    processor = read_processor(directory)
    weights = Weights(open_checkpoint(directory, processor.config), chosen.dtype)
    return Model(
        processor=processor,
        network=Network(processor.config, weights, replace(REFERENCE, precision=chosen)),
        stop_ids=read_stop_ids(directory, processor.config),
    )


def load_processor(path: str | Path = "tiny") -> Processor:
    """Read what turns messages into inputs; no weights are needed.

    Args:
        path: as in `load`.

    Raises:
        BadInput: if a file is missing or broken.
    """
    return read_processor(checkpoint_directory(path))

"""The public interface: load a checkpoint, prepare a prompt, run it, decode an answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from qwen25vl.bundled import checkpoint_directory
from qwen25vl.checkpoint.directory import open_checkpoint
from qwen25vl.checkpoint.weights import Weights
from qwen25vl.config import Config
from qwen25vl.errors import BadInput
from qwen25vl.generate.answer import Step
from qwen25vl.generate.answers import Answers, Generation, generation_of
from qwen25vl.generate.overrides import chosen_settings
from qwen25vl.generate.settings import GenerationSettings, read_settings, read_stop_ids
from qwen25vl.inputs import Inputs
from qwen25vl.language.cache import Cache
from qwen25vl.limits import whole_number
from qwen25vl.model import Network, Past, prefill, vocabulary_scores
from qwen25vl.ops import reference_ops
from qwen25vl.precision import named_precision
from qwen25vl.processor import Processor, read_processor
from qwen25vl.prompt.messages import Message
from qwen25vl.tap import SILENT, Tap


@dataclass(frozen=True, eq=False)
class Output:
    """What a forward pass returns."""

    logits: Float[np.ndarray, "B L V"]
    """Scores of every vocabulary row, for the token that follows each token. NaN where none were computed:
    at padding, and at tokens that an earlier prompt had run."""
    rows: tuple[Past, ...]
    """Each prompt alone, and its keys and values."""

    @property
    def cache(self) -> Cache:
        """Keys and values of the one prompt. ValueError if there are several: see `rows`."""
        if len(self.rows) != 1:
            raise ValueError(f"a batch of {len(self.rows)} prompts has no one cache; take rows[b].cache")
        return self.rows[0].cache


@dataclass(frozen=True, eq=False)
class Model:
    """A checkpoint, ready to run. It keeps nothing between two calls."""

    processor: Processor
    network: Network
    settings: GenerationSettings
    """How the checkpoint wants to be decoded: its generation_config.json."""
    stop_ids: tuple[int, ...]

    @property
    def config(self) -> Config:
        """Shape and constants of the model."""
        return self.network.config

    def prepare(
        self,
        messages: Sequence[Message] | Sequence[Sequence[Message]],
        *,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        total_pixels: int | None = None,
        fps: float | None = None,
        nframes: int | None = None,
        profile: str | None = None,
        padding_side: str = "left",
        add_vision_id: bool = False,
        add_generation_prompt: bool = True,
    ) -> Inputs:
        """See `Processor.prepare`."""
        return self.processor.prepare(
            messages,
            min_pixels=min_pixels,
            max_pixels=max_pixels,
            total_pixels=total_pixels,
            fps=fps,
            nframes=nframes,
            profile=profile,
            padding_side=padding_side,
            add_vision_id=add_vision_id,
            add_generation_prompt=add_generation_prompt,
        )

    def forward(
        self, inputs: Inputs, *, taps: Tap | None = None, chunk: int | None = None, after: Output | None = None
    ) -> Output:
        """Run prompts and score every token's successor.

        Args:
            inputs: what `prepare` returned.
            taps: a listener for intermediate values; it is filled while the prompts run. In a batch the ids
                begin with `rows.00.`, `rows.01.` ...; with `chunk` those of the decoder with `chunks.00.` ...
            chunk: the most tokens that the decoder is given at once; None gives it the whole prompt.
            after: what an earlier call returned, of as many prompts. What both begin with is not run again:
                so a conversation goes on turn by turn.

        Raises:
            BadInput: if `chunk` is below 1, or `after` has another number of prompts.

        Spec: spec/10-decoder.md (D13, D14, D15)
        """
        _check_pass(inputs, chunk=chunk, after=after)
        count = len(inputs.ids)
        listener = SILENT if taps is None else taps
        shape = (*inputs.ids.shape, self.config.text.vocab_size)
        logits = np.full(shape, np.nan, dtype=self.network.ops.precision.dtype)
        rows = []
        for b in range(count):  # (D13)
            tap = listener.at(f"rows.{b:02d}") if count > 1 else listener
            row = inputs.row(b)
            past = None if after is None else after.rows[b]
            hidden, cache = prefill(row, self.network, chunk=chunk, past=past, tap=tap)
            scores = tap("logits", vocabulary_scores(hidden, self.network))
            logits[b, np.flatnonzero(inputs.mask[b])[-len(scores) :]] = scores
            rows.append(Past(row, cache))
        return Output(logits=logits, rows=tuple(rows))

    def generate(
        self,
        inputs: Inputs,
        *,
        max_new_tokens: int = 128,
        greedy: bool = False,
        seed: int = 0,
        temperature: float | int | None = None,
        top_k: int | None = None,
        top_p: float | int | None = None,
        min_p: float | int | None = None,
        repetition_penalty: float | int | None = None,
        num_return_sequences: int = 1,
        taps: Tap | None = None,
        on_step: Callable[[Step], None] | None = None,
        chunk: int | None = None,
        after: Output | None = None,
    ) -> list[Generation]:
        """Decode answers, as the checkpoint's generation_config.json wants it where nothing else is said.

        Args:
            inputs: what `prepare` returned.
            max_new_tokens: the longest answer.
            greedy: take the best score each time, and leave out the checkpoint's penalty.
            seed: of the draws, 0 to 2**64 - 1. The same seed gives the same answers.
            temperature: 0 takes the best score each time, behind the penalty.
            top_k: 0 switches it off; transformers' 50 where the checkpoint says nothing.
            top_p, min_p: 1 and 0 switch them off.
            repetition_penalty: 1 switches it off.
            num_return_sequences: answers to each prompt; more than one needs sampling.
            taps: listens while the prompts run, not while answers are decoded; ids as in `forward`.
            on_step: called with each token as soon as it is decoded; `step.text` is what it completes, and
                `step.is_last` ends an answer.
            chunk, after: as in `forward`, whose result for the same prompts spares all of them but the last token.

        Returns:
            The answers to the first prompt, then those to the second, and so on.

        Raises:
            BadInput: if a value is out of its range, or two contradict each other.

        Spec: spec/11-generation.md
        """
        _check_pass(inputs, chunk=chunk, after=after)
        settings = chosen_settings(
            self.settings,
            greedy=greedy,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            repetition_penalty=repetition_penalty,
        )
        answers = Answers(
            settings=settings,
            stop_ids=self.stop_ids,
            max_new_tokens=max_new_tokens,
            seed=seed,
            num_return_sequences=num_return_sequences,
        )
        listener = SILENT if taps is None else taps
        count = len(inputs.ids)
        found = []
        for b in range(count):
            tap = listener.at(f"rows.{b:02d}") if count > 1 else listener
            past = None if after is None else after.rows[b]
            answered = answers.of(
                inputs.row(b), self.network, self.processor.tokenizer, chunk=chunk, past=past, tap=tap
            )
            found += [generation_of(steps, on_step=on_step) for steps in answered]
        return found


def _check_pass(inputs: Inputs, *, chunk: int | None, after: Output | None) -> None:
    """Refuse a piece of a prompt that holds no token, and an earlier pass over another number of prompts."""
    if chunk is not None:
        whole_number(chunk, name="chunk")
    if after is not None and len(after.rows) != len(inputs.ids):
        raise BadInput(f"after holds {len(after.rows)} prompts, inputs {len(inputs.ids)}; give as many")


def load(
    path: str | Path = "tiny",
    *,
    precision: str = "float32",
    kernels: str = "reference",
    allow_nan: bool = False,
) -> Model:
    """Open a checkpoint; its weights stay on disk until they are used.

    Args:
        path: a checkpoint directory, or the bundled `tiny` or `tiny-untied`.
        precision: `float32`; `float64` for golden values; `bfloat16` or `float16`, emulated.
        kernels: `reference`, the readable NumPy functions.
        allow_nan: let weights that are infinite or NaN pass; else a run that meets one is refused (C28).

    Raises:
        BadInput: if the directory does not hold a whole checkpoint, or an argument is unknown.
    """
    if kernels != "reference":
        raise BadInput(f"unknown kernels {kernels!r}; this version has 'reference' only")
    chosen = named_precision(precision)
    directory = checkpoint_directory(path)
    processor = read_processor(directory)
    checkpoint = open_checkpoint(directory, processor.config, allow_nan=allow_nan)
    weights = Weights(checkpoint, chosen.dtype, rounded=chosen.rounded)
    return Model(
        processor=processor,
        network=Network(processor.config, weights, reference_ops(chosen)),
        settings=read_settings(directory),
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

"""Section 11 - answers: what do several answers to one prompt share, and what not?"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from qwen25vl.errors import BadInput
from qwen25vl.generate.answer import Step, answer_steps
from qwen25vl.generate.draw import MASK
from qwen25vl.generate.settings import GenerationSettings
from qwen25vl.generate.stream import streamed_steps
from qwen25vl.inputs import Inputs
from qwen25vl.limits import whole_number
from qwen25vl.model import Network, Past, prefill
from qwen25vl.prompt.tokenizer import Tokenizer
from qwen25vl.tap import SILENT, Tap

MOST_ANSWERS = 1000
"""To one prompt. More is a slip of the hand."""


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
    """Natural logarithm of each new token's probability, as the model has it: before penalty and sampling."""


@dataclass(frozen=True)
class Answers:
    """How prompts are answered.

    Spec: spec/11-generation.md (G3, G18)
    """

    settings: GenerationSettings
    stop_ids: tuple[int, ...]
    max_new_tokens: int
    seed: int = 0
    num_return_sequences: int = 1

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        whole_number(self.max_new_tokens, name="max_new_tokens")
        whole_number(self.seed, name="seed", least=0, most=MASK)
        whole_number(self.num_return_sequences, name="num_return_sequences", most=MOST_ANSWERS)
        if self.num_return_sequences > 1 and not self.settings.draws:
            raise BadInput(
                f"num_return_sequences {self.num_return_sequences} needs sampling, for without it all answers "
                "are equal; give a temperature above 0, or ask for one answer"
            )

    def of(
        self,
        inputs: Inputs,
        network: Network,
        tokenizer: Tokenizer,
        *,
        chunk: int | None = None,
        past: Past | None = None,
        tap: Tap = SILENT,
    ) -> Iterator[Iterator[Step]]:
        """Run a prompt once, then decode its answers one after the other.

        Args:
            inputs: one prompt.
            tokenizer: gives each step its text.
            chunk, past, tap: of the prompt's pass.
        """
        room = network.config.text.max_position_embeddings - int(inputs.positions.max()) - 1
        hidden, cache = prefill(inputs, network, chunk=chunk, past=past, tap=tap)
        for sequence in range(self.num_return_sequences):  # (G18)
            steps = answer_steps(
                hidden[-1],
                cache,
                inputs.ids[0],
                network,
                delta=int(inputs.delta[0]),  # (G4)
                settings=self.settings,
                stop_ids=self.stop_ids,
                max_new_tokens=min(self.max_new_tokens, room + 1),  # (P27) the last token is not run
                seed=int(self.seed),  # NumPy's numbers would overflow
                sequence=sequence,
            )
            yield streamed_steps(steps, tokenizer)


def generation_of(steps: Iterator[Step], *, on_step: Callable[[Step], None] | None = None) -> Generation:
    """Go through the steps of an answer, and keep what is not large."""
    text, ids, logprobs = "", [], []
    for step in steps:
        text += step.text
        ids.append(step.id)
        logprobs.append(step.logprob)
        if on_step is not None:
            on_step(step)
    return Generation(text=text, ids=ids, stop="eos" if step.is_stop else "length", logprobs=logprobs)

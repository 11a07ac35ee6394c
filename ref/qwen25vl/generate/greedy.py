"""Section 11 - greedy decoding: the best-scored token each time, from a prompt that has not been run yet."""

from collections.abc import Iterator

from qwen25vl.generate.answer import Step, answer_steps
from qwen25vl.generate.settings import GREEDY
from qwen25vl.inputs import Inputs
from qwen25vl.model import Network, prefill
from qwen25vl.tap import SILENT, Tap


def greedy_steps(
    inputs: Inputs,
    network: Network,
    *,
    stop_ids: tuple[int, ...],
    max_new_tokens: int,
    tap: Tap = SILENT,
) -> Iterator[Step]:
    """Run a prompt and decode its answer, without any penalty: how golden values are recorded.

    Args:
        inputs: one prompt.
        stop_ids: ids that end the answer; the stop itself is the last step.
        max_new_tokens: the most steps that are made.
        tap: listens to the prompt's pass, not to the steps.

    Spec: spec/11-generation.md (G1 to G4)
    """
    hidden, cache = prefill(inputs, network, tap=tap)
    yield from answer_steps(
        hidden[-1],
        cache,
        inputs.ids[0],
        network,
        delta=int(inputs.delta[0]),  # (G4) of this prompt; nothing is remembered from an earlier one
        settings=GREEDY,
        stop_ids=stop_ids,
        max_new_tokens=max_new_tokens,
    )

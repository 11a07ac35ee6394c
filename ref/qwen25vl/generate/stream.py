"""Section 11 - streaming: which characters are complete when a token arrives?"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from qwen25vl.generate.answer import Step
from qwen25vl.prompt.tokenizer import Tokenizer, complete_text


def streamed_steps(steps: Iterable[Step], tokenizer: Tokenizer) -> Iterator[Step]:
    """Give each step the text that it completes, special tokens left out.

    A token may end in the middle of a character: its bytes wait for the next token's. What still waits when
    the answer ends shows as U+FFFD.

    Spec: spec/11-generation.md (G20, G21)
    """
    waiting: list[int] = []
    shown = 0
    for step in steps:
        waiting.append(step.id)
        text = tokenizer.decode(waiting, skip_special_tokens=True)
        ready = text if step.is_last else complete_text(tokenizer, waiting)  # (G20, G21)
        yield replace(step, text=ready[shown:])
        waiting, shown = ([], 0) if ready == text else (waiting, len(ready))

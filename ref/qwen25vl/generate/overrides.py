"""Section 11 - overrides: what may a caller change of a checkpoint's settings?"""

from dataclasses import replace

from qwen25vl.errors import BadInput
from qwen25vl.generate.ranges import RANGES, checked_values
from qwen25vl.generate.settings import FILE, GREEDY, GenerationSettings

SHAPING = ("temperature", "top_k", "top_p", "min_p")
"""What changes the distribution that an id is drawn from, and has no effect where none is drawn."""


def chosen_settings(
    checkpoint: GenerationSettings,
    *,
    greedy: bool = False,
    temperature: float | int | None = None,
    top_k: int | None = None,
    top_p: float | int | None = None,
    min_p: float | int | None = None,
    repetition_penalty: float | int | None = None,
) -> GenerationSettings:
    """Return what a caller makes of a checkpoint's settings; None leaves the checkpoint's value.

    Args:
        greedy: take the best score each time, and leave out the checkpoint's penalty too.

    Raises:
        BadInput: if a value is out of its range, two contradict each other, or the checkpoint asks for
            something that is not part of this specification.

    Spec: spec/11-generation.md (G13, G14, G15)
    """
    values = (temperature, top_k, top_p, min_p, repetition_penalty)
    named = {key: value for key, value in zip(RANGES, values, strict=True) if value is not None}
    given = checked_values(named)  # (G13)
    shaping = [key for key in SHAPING if key in given]
    if greedy:
        _check_no_effect(shaping, cause="greedy decoding", advice="leave out one of the two")
        return replace(GREEDY, **given)  # (G15)
    if checkpoint.unsupported:  # (G14)
        raise BadInput(
            f"the checkpoint's {FILE} asks for {', '.join(checkpoint.unsupported)}, which is not part of this "
            "specification; decode greedily, or take it out of the file"
        )
    found = replace(checkpoint, do_sample=checkpoint.do_sample or bool(shaping), **given)  # (G15)
    if given.get("temperature") == 0:
        _check_no_effect(shaping[1:], cause="temperature 0", advice="leave out one of the two")
    elif found.temperature == 0:
        cause = f"the temperature 0 of the checkpoint's {FILE}"
        _check_no_effect(shaping, cause=cause, advice="give a temperature above 0, too, or leave it out")
    return found


def _check_no_effect(shaping: list[str], *, cause: str, advice: str) -> None:
    """Refuse what would change nothing."""
    if shaping:
        raise BadInput(f"{cause} takes the best score each time, where {shaping[0]} has no effect; {advice}")

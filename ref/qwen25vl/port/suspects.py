"""Section 15 - suspects: which known bugs may have made this part wrong, and in which order are they tried?"""

from collections.abc import Mapping

from qwen25vl.port.mutants.kills import KillMatrix
from qwen25vl.port.mutants.mutant import Mutant
from qwen25vl.port.mutants.scene import Scene
from qwen25vl.tap_names import IN_PARTS, data_order


def suspects(
    scene: Scene, first: str, kind: str, *, catalogue: Mapping[str, Mutant], matrix: KillMatrix
) -> tuple[list[Mutant], ...]:
    """Group the bugs of a catalogue by where the kill matrix says that they begin, the likeliest group first.

    Args:
        scene: of the case.
        first: its first part that is to be explained.
        kind: what the error of that part looks like; what looks alike comes first in its group.

    Returns:
        Bugs whose error begins in this case at this part, of those that the port reports; those where it begins
        there in another case; those where it begins in the same stage, of which the port may report more parts
        than the corpus has; and those that begin before, at a part that the port does not report or that the noise
        of 16 bits may hide. Others are in no group.
    """
    reported = sorted(scene.values, key=data_order)
    expected: dict[str, str | None] = {}

    def begins(part: str) -> str | None:
        """The first part of the dump at or behind the one where a bug begins."""
        if part not in expected:
            expected[part] = next((one for one in reported if data_order(one) >= data_order(part)), None)
        return expected[part]

    narrow = scene.bench.floors.precision in ("bfloat16", "float16")
    groups: tuple[list[tuple[bool, Mutant]], ...] = ([], [], [], [])
    for mutant in catalogue.values():
        here = matrix.case(mutant.id, scene.golden.id)
        elsewhere = [kill.first for kill in matrix.of(mutant.id) if not kill.first.startswith("outputs.")]
        if here is not None and begins(here.first) == first:
            group = 0
        elif any(begins(part) == first for part in elsewhere):
            group = 1
        elif any(stage_of(part) == stage_of(first) for part in [*elsewhere, *([here.first] if here else [])]):
            group = 2
        elif (
            here is not None
            and data_order(here.first) < data_order(first)
            and (narrow or here.first not in scene.values)
        ):
            group = 3
        else:
            continue
        groups[group].append((here is None or here.kind != kind, mutant))
    return tuple([mutant for _, mutant in sorted(group, key=lambda entry: entry[0])] for group in groups)


def stage_of(part: str) -> str:
    """Return what a part belongs to: a block, a half of the model's head or foot, or what a function gives."""
    words = IN_PARTS.sub("", part, count=1).split(".")
    return ".".join(words[:3] if words[1:2] == ["blocks"] else words[:1] if words[0] == "outputs" else words[:2])

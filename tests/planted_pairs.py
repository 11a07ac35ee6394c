"""Which known bug is planted into which computing case: every pair of a case and a bug that it claims to catch."""

import planted_language
import planted_rules
import planted_vision
from qwen25vl.golden.registry import all_cases

FAMILIES = ("vision", "merger", "text", "logits", "decode", "generation", "batch", "precision")
CASES = {case.id: case for case in all_cases() if case.family in FAMILIES}
PLANTS = planted_vision.PLANTS | planted_language.PLANTS | planted_rules.PLANTS

NOT_PLANTED = {
    "padding-attended": "the reference never gives padding to the model",
    "last-column-of-right-padding": "the reference has no scores there: they are NaN",
}
"""Bugs that no few lines put into the reference."""

ON_LARGE_CHECKPOINTS = {
    ("checkerboard_drives_activations_far", "norm-overflows"),
    ("checkerboard_drives_activations_far", "mlp-overflows"),
}
"""Activations of `tiny` stay far inside the range of float16."""

PAIRS = [
    (name, bug)
    for name, case in CASES.items()
    for bug in case.kills
    if bug not in NOT_PLANTED and (name, bug) not in ON_LARGE_CHECKPOINTS
]

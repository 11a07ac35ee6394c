"""Section 15 - running a case: which parts does it give, with the reference as it is at this moment?"""

import numpy as np

from qwen25vl.golden.case import Case, Lab, Part, Run
from qwen25vl.golden.execute import carried_out, given_parts
from qwen25vl.tap import Tap


def parts_of_case(case: Case, lab: Lab) -> dict[str, np.ndarray]:
    """Carry a case out: what it is given, what it computes, the taps that the corpus has, and its answer.

    Raises:
        ValueError: if the case gives a part twice.
    """
    found: dict[str, np.ndarray] = {}

    def enter(name: str, array: np.ndarray) -> None:
        if name in found:
            raise ValueError(f"{case.id} gives {name} twice")
        found[name] = np.array(array)

    for item in case.function(lab):
        if isinstance(item, Part):
            enter(item.id, item.array)
            continue
        assert isinstance(item, Run)
        for part in given_parts(item):
            enter(part.id, part.array)
        for part in carried_out(item, lab.model, tap=Tap(case.taps, sink=enter))[0]:
            enter(part.id, part.array)
    return found

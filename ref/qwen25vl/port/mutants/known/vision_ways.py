"""Other ways to known bugs of the vision encoder's linear layers (sections 07 and 08)."""

from collections.abc import Callable, Iterator

import numpy as np

from qwen25vl.checkpoint.weights import Weights
from qwen25vl.port.mutants.known.layers import bias_forgotten
from qwen25vl.port.mutants.mutant import Swap, other_way


@other_way(bias_forgotten, "vision")
def vision_biases_forgotten() -> Iterator[Swap]:
    """Read zeros for every bias of the vision encoder."""

    def by(right: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        def item(weights: Weights, name: str) -> np.ndarray:
            full, found = weights.full_name(name), right(weights, name)
            return np.zeros_like(found) if full.startswith("visual.") and full.endswith(".bias") else found

        return item

    yield Swap("checkpoint.weights.Weights.__getitem__", by)

"""What the reference never does, for wrong versions of it: run the padding of a prompt, and let it be seen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from qwen25vl.inputs import Inputs
from qwen25vl.language.cache import Cache
from qwen25vl.language.decoder import decoded_tokens
from qwen25vl.language.mrope import PADDED_POSITION
from qwen25vl.port.mutants.mutant import Swap
from qwen25vl.tap import SILENT


@dataclass(frozen=True, eq=False)
class Padding:
    """The padding of one prompt of a batch."""

    ids: np.ndarray
    in_front: bool
    of: Inputs
    """The prompt without it; kept, so that no other takes its identity."""

    def run(self, decoder: Callable[..., Any], cache: Cache, weights: Any, **settings: Any) -> Any:
        """Run it behind the tokens of a cache; give its hidden states and the longer cache."""
        positions = np.full((3, len(self.ids)), PADDED_POSITION)
        x = weights.rows("embed_tokens.weight", self.ids)
        return decoder(x, positions, cache, weights, **{**settings, "tap": SILENT})

    def run_behind(self, cache: Cache, network: Any) -> np.ndarray:
        """Run it behind a prompt; give its hidden states."""
        weights = network.weights.at("model")
        found, _ = self.run(decoded_tokens, cache, weights, config=network.config.text, ops=network.ops)
        return np.asarray(found)


def remembered_padding(padding: dict[int, Padding]) -> Swap:
    """Let the padding that `Inputs.row` takes off be remembered, by the identity of the prompt that is left."""

    def by(right: Callable[..., Inputs]) -> Callable[..., Inputs]:
        def row(inputs: Inputs, b: int) -> Inputs:
            found, real = right(inputs, b), inputs.mask[b]
            if not real.all():
                padding[id(found)] = Padding(inputs.ids[b, ~real], in_front=not real[0], of=found)
            return found

        return row

    return Swap("inputs.Inputs.row", by)


def in_front(pads: Cache, cache: Cache) -> Cache:
    """Put the keys and values of padding in front of those of a cache."""
    return Cache(
        keys=tuple(np.concatenate(both) for both in zip(pads.keys, cache.keys, strict=True)),
        values=tuple(np.concatenate(both) for both in zip(pads.values, cache.values, strict=True)),
    )


def behind(cache: Cache, count: int) -> Cache:
    """Leave out the first keys and values."""
    return Cache(keys=tuple(k[count:] for k in cache.keys), values=tuple(v[count:] for v in cache.values))

"""Ports with one fault: our own model, in a port's precision, with the numbers of one tap made wrongly.

A fault is put in where the tap reports: the run goes on with the wrong numbers, as a wrong port does.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from qwen25vl.config import Config
from qwen25vl.golden.case import Lab, Run
from qwen25vl.golden.execute import carried_out
from qwen25vl.golden.orders import ordered_ops
from qwen25vl.precision import PRECISIONS
from qwen25vl.tap import Tap
from qwen25vl.tap_names import IN_PARTS

Wrong = Callable[[np.ndarray, Mapping[str, np.ndarray], Config], np.ndarray]
"""Makes the wrong numbers of a tap from the right ones, everything reported before, and the config."""


@dataclass(frozen=True)
class Fault:
    """One mistake of a port."""

    tap: str
    """The tap whose numbers are made wrongly."""
    wrong: Wrong
    kinds: tuple[str, ...]
    """What the checker may call it."""
    needs_video: bool = False
    blind: tuple[str, ...] = ()
    """Precisions in whose noise it is lost, measured."""


def ported(
    run: Run,
    lab: Lab,
    *,
    precision: str,
    fault: Fault | None = None,
    forced: Mapping[str, np.ndarray] | None = None,
    also_before: bool = False,
) -> dict[str, np.ndarray]:
    """What a port computes, with a fault or without; with `forced`, every stage from the golden's numbers;
    with `also_before`, the fault is in the pass over an earlier prompt, too."""
    seen: dict[str, np.ndarray] = {}
    reported: dict[str, np.ndarray] = {}
    chosen = PRECISIONS[precision]

    def sink(name, array):
        plain = IN_PARTS.sub("", name, count=1)
        if fault is not None and plain == fault.tap:
            wrong = fault.wrong(array, seen, lab.config)
            array = chosen.rounded(wrong.astype(array.dtype)) if array.dtype.kind == "f" else wrong
        seen.pop(plain, None)  # of the next prompt of a batch: it is the latest again
        seen[plain] = reported[name] = array
        return array if forced is None or array.dtype.kind != "f" else chosen.held(forced[name])

    other = lab.with_ops(ordered_ops(chosen, "given"))
    tap = Tap("insides", sink=sink)
    if also_before and run.before is not None:
        earlier = other.model.forward(run.before, taps=tap)
        reported.clear()
        other.model.forward(run.inputs, taps=tap, after=earlier)
        return reported
    carried_out(replace(run, answer_tokens=0), other.model, tap=tap)
    return reported


def gathered_instead_of_scattered(out, seen, config):
    return seen["vision.merger.out"][seen["vision.window_order"]]


def rows_and_columns_swapped(turn, seen, config):
    half = turn.shape[1] // 2
    quarter = half // 2
    swapped = np.concatenate([turn[:, quarter:half], turn[:, :quarter]], axis=1)
    return np.concatenate([swapped, swapped], axis=1)


def height_and_width_swapped(positions, seen, config):
    return positions[[0, 2, 1]]


def time_frozen(positions, seen, config):
    """Seconds truncated before they are multiplied: every frame of a fast clip has one time."""
    time, height, width = positions
    frozen = np.minimum(time, height)
    return np.stack([np.where((time != height) | (time != width), np.minimum(frozen, width), time), height, width])


def interleaved_rotation(name):
    def wrong(turned, seen, config):
        x, cos, sin = seen[f"{name[:-5]}"], seen["language.rope.cos"], seen["language.rope.sin"]
        odd = np.empty_like(x)
        odd[..., 0::2], odd[..., 1::2] = -x[..., 1::2], x[..., 0::2]
        return x * cos[:, np.newaxis] + odd * sin[:, np.newaxis]

    return wrong


def last_of(ending):
    """The tap of this block that ends so."""

    def value(seen):
        return next(seen[name] for name in reversed(seen) if name.endswith(ending))

    return value


def rotation_backwards(turned, seen, config):
    x = last_of("vision.blocks.00.attn.q")(seen)
    cos, sin = seen["vision.rope.cos"][:, np.newaxis], seen["vision.rope.sin"][:, np.newaxis]
    half = x.shape[-1] // 2
    return x * cos - np.concatenate([-x[..., half:], x[..., :half]], axis=-1) * sin


def mean_subtracted(normed, seen, config):
    return normed - normed.mean(axis=1, keepdims=True)


def tanh_gelu(act, seen, config):
    x = seen["vision.merger.hidden"].astype(np.float64)
    return x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


def mixed_values(q, k, v, *, key_head, causal):
    """Attention over all rows at once, query head n with key head `key_head(n)`."""
    q, k, v = (array.astype(np.float64) for array in (q, k, v))
    mixed = np.empty_like(q)
    for n in range(q.shape[1]):
        scores = q[:, n] @ k[:, key_head(n)].T / math.sqrt(q.shape[2])
        if causal:
            scores = np.where(np.tril(np.ones(scores.shape, dtype=bool)), scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        mixed[:, n] = weights / weights.sum(axis=1, keepdims=True) @ v[:, key_head(n)]
    return mixed


def of_this_block(seen):
    """Rotated queries and keys, and values, of the block that is running."""
    name = next(name for name in reversed(seen) if name.endswith("attn.k_rope"))
    block = name.removesuffix("attn.k_rope")
    return [seen[f"{block}attn.{part}"] for part in ("q_rope", "k_rope", "v")]


def heads_dealt_out(mixed, seen, config):
    """Query head n takes key head n modulo K, not n divided by N/K."""
    q, k, v = of_this_block(seen)
    return mixed_values(q, k, v, key_head=lambda n: n % k.shape[1], causal=True)


def one_segment(mixed, seen, config):
    return mixed_values(*of_this_block(seen), key_head=lambda n: n, causal=False)


def gate_and_up_swapped(act, seen, config):
    gate, up = last_of("mlp.gate")(seen), last_of("mlp.up")(seen)
    return (up / (1 + np.exp(-up.astype(np.float64)))) * gate


def residual_forgotten(stream, seen, config):
    return last_of("attn.out")(seen)


def vision_rows_in_window_order(x, seen, config):
    wrong = x.copy()
    rows = seen["vision.out"]
    places = np.flatnonzero([(row == rows).all(axis=1).any() for row in x])
    wrong[places] = seen["vision.merger.out"][: len(places)]
    return wrong


def scaled_by_the_width(scores, seen, config):
    return scores / math.sqrt(config.text.hidden_size)


def last_token_shifted(hidden, seen, config):
    return np.concatenate([hidden[:1], hidden[:-1]])


FAULTS = {
    "window order not inverted": Fault("vision.out", gathered_instead_of_scattered, ("permutation",)),
    "rows and columns swapped in 2-D rotary": Fault(
        "vision.rope.cos", rows_and_columns_swapped, ("band", "permutation", "other")
    ),
    "vision rotation backwards": Fault(
        "vision.blocks.00.attn.q_rope", rotation_backwards, ("band", "sign", "other", "token")
    ),
    "height and width swapped": Fault(
        "language.positions",
        height_and_width_swapped,
        ("permutation", "transposition", "token", "other", "offset"),
    ),
    "time frozen": Fault(
        "language.positions", time_frozen, ("offset", "token", "other", "band", "head", "frame"), needs_video=True
    ),
    "rotary pairs are neighbours": Fault(
        "language.blocks.00.attn.q_rope",
        interleaved_rotation("language.blocks.00.attn.q_rope"),
        ("band", "other", "token", "permutation"),
    ),
    "mean subtracted in the norm": Fault("language.blocks.01.norm1", mean_subtracted, ("offset", "other")),
    "tanh GELU": Fault("vision.merger.act", tanh_gelu, ("other", "noise"), blind=("bfloat16",)),
    "key heads dealt out": Fault("language.blocks.02.attn.mixed", heads_dealt_out, ("head", "other")),
    "full attention over all frames": Fault(
        "vision.blocks.01.attn.mixed", one_segment, ("other", "token", "frame"), needs_video=True
    ),
    "windows ignored": Fault("vision.blocks.00.attn.mixed", one_segment, ("other", "token")),
    "gate and up swapped": Fault("vision.blocks.03.mlp.act", gate_and_up_swapped, ("other",)),
    "residual forgotten": Fault("language.blocks.03.resid_mid", residual_forgotten, ("other", "offset")),
    "vision rows in window order": Fault(
        "language.embed.out", vision_rows_in_window_order, ("permutation", "token", "other")
    ),
    "logits scaled": Fault("logits", scaled_by_the_width, ("scale",)),
    "logits one token late": Fault("language.norm.out", last_token_shifted, ("permutation", "token", "other")),
}
"""By what the port did wrong."""

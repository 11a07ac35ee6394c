"""Stage by stage: each function of a model is given what upstream gave to its own, and its result compared.

One flipped bit perturbs everything after it, so a free run cannot show where two models differ in their
rounding. Here our own code runs the whole model, but every function of `ops` hands on what upstream recorded
in place of what it computed. So wherever the code rounds, or does not, it does so on upstream's own numbers.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np

from networks import Network
from qwen25vl.config import Config
from qwen25vl.inputs import Inputs
from qwen25vl.model import prefill, vocabulary_scores
from qwen25vl.ops import Ops, reference_ops
from qwen25vl.precision import Precision
from qwen25vl.tap import Tap


@dataclass(frozen=True)
class Compared:
    """One result of one function, ours and upstream's."""

    op: str
    tap: str
    got: np.ndarray
    want: np.ndarray
    wide: np.ndarray
    """Ours again, with float64 between the roundings: so much do float32 sums in another order matter."""
    args: tuple[np.ndarray, ...]

    @property
    def differing(self) -> int:
        return count_differing(self.got, self.want)

    @property
    def by_order(self) -> int:
        return count_differing(self.got, self.wide)


def count_differing(x: np.ndarray, y: np.ndarray) -> int:
    """How many elements differ; NaN equals NaN."""
    return int(np.sum((x != y) & ~(np.isnan(x) & np.isnan(y))))


def wide_inside(precision: Precision) -> Ops:
    """The same roundings at the same places, float64 between them."""

    def rounded(x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return precision.rounded(np.asarray(x, dtype=np.float32))

    return reference_ops(replace(precision, rounded=rounded))


def compared_stages(
    inputs: Inputs, network: Network, taps: Mapping[str, np.ndarray]
) -> tuple[list[Compared], Tap]:
    """Run our model on upstream's own numbers; every result, and what our own taps saw meanwhile."""
    ops, found = network.ops, []
    inside = wide_inside(ops.precision)
    script = list(expected_calls(inputs, network.config, taps))[::-1]

    def forced(op):
        def call(*args, **kwargs):
            wanted_op, tap, want, probs = script.pop()
            assert op == wanted_op, f"{op} was called where upstream computes {tap} with {wanted_op}"
            if op.startswith("rotated"):
                tower = tap.split(".")[0]
                args = (args[0], taps[f"{tower}.rope.cos"], taps[f"{tower}.rope.sin"])
            asked = kwargs.pop("probs", None)
            ours = (
                [kwargs | {"probs": np.empty(probs.shape, dtype)} for dtype in ("f4", "f8")]
                if op == "attention"
                else [kwargs] * 2
            )
            got = getattr(ops, op)(*args, **ours[0])
            wide_args = [None if a is None else a.astype(np.float64) for a in args]
            wide = getattr(inside, op)(*wide_args, **ours[1])
            if op == "attention":
                found.append(
                    Compared(
                        "softmax", tap.replace("mixed", "probs"), ours[0]["probs"], probs, ours[1]["probs"], args
                    )
                )
                if asked is not None:
                    asked[:] = probs
            found.append(Compared(op, tap, got, want, wide, args))
            return want

        return call

    unseen = ("precision", "cos", "sin", "log_probabilities")
    names = [field.name for field in fields(Ops) if field.name not in unseen]
    tap = Tap()
    driven = replace(network, ops=replace(ops, **{name: forced(name) for name in names}))
    hidden, _ = prefill(inputs, driven, tap=tap)
    vocabulary_scores(hidden, driven)
    assert not script, f"{len(script)} results of upstream were not computed"
    return found, tap


def expected_calls(
    inputs: Inputs, config: Config, taps: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, str, np.ndarray, np.ndarray | None]]:
    """List function, tap, upstream's result, and its probabilities, in the order in which a model computes."""

    def call(op, name):
        return op, name, taps[name], None

    if "vision.patch_embed.out" in taps:
        yield call("linear", "vision.patch_embed.out")
        for i in range(config.vision.depth):
            block = f"vision.blocks.{i:02d}"
            kind = "frame" if i in config.vision.full_attention_blocks else "window"
            yield call("rms_norm", f"{block}.norm1")
            P = len(taps[f"{block}.norm1"])
            qkv = np.stack([taps[f"{block}.attn.{name}"] for name in "qkv"], axis=1)
            yield "linear", f"{block}.attn.qkv", qkv.reshape(P, -1), None
            yield call("rotated", f"{block}.attn.q_rope")
            yield call("rotated", f"{block}.attn.k_rope")
            yield from _segments(block, taps, taps[f"vision.{kind}_starts"])
            yield call("linear", f"{block}.attn.out")
            yield from _second_half(block, taps)
        yield call("rms_norm", "vision.merger.norm")
        yield call("linear", "vision.merger.hidden")
        yield call("gelu", "vision.merger.act")
        yield call("linear", "vision.merger.out")
    for i in range(config.text.num_hidden_layers):
        block = f"language.blocks.{i:02d}"
        yield call("rms_norm", f"{block}.norm1")
        L = len(taps[f"{block}.norm1"])
        for name in "qkv":
            yield "linear", f"{block}.attn.{name}", taps[f"{block}.attn.{name}"].reshape(L, -1), None
        yield call("rotated_in_steps", f"{block}.attn.q_rope")
        yield call("rotated_in_steps", f"{block}.attn.k_rope")
        yield "attention", f"{block}.attn.mixed", taps[f"{block}.attn.mixed"], taps[f"{block}.attn.probs"]
        yield call("linear", f"{block}.attn.out")
        yield from _second_half(block, taps)
    yield call("rms_norm", "language.norm.out")
    yield call("linear", "logits")


def _segments(block, taps, starts):
    """One call of attention for each window or frame."""
    mixed, probs = taps[f"{block}.attn.mixed"], taps[f"{block}.attn.probs"]
    heads, column = mixed.shape[1], 0
    for first, end in pairwise(starts.tolist()):
        S = end - first
        part = probs[:, column : column + S * S].reshape(heads, S, S)
        yield "attention", f"{block}.attn.mixed", mixed[first:end], part
        column += S * S


def _second_half(block, taps):
    """What follows attention, in either tower."""
    steps = ("added resid_mid", "rms_norm norm2", "linear mlp.gate", "linear mlp.up", "silu mlp.silu")
    for step in (*steps, "multiplied mlp.act", "linear mlp.out", "added resid_post"):
        op, name = step.split()
        yield op, f"{block}.{name}", taps[f"{block}.{name}"], None


def totals(found: list[Compared]) -> dict[str, tuple[int, int, int]]:
    """For each function: elements that differ from upstream, that differ by the order of sums, and all."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for one in found:
        for place, number in enumerate((one.differing, one.by_order, one.got.size)):
            sums[one.op][place] += number
    return {op: (a, b, c) for op, (a, b, c) in sums.items()}

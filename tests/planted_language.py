"""Known bugs of positions, of the decoder and of decoding, planted into the reference."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import qwen25vl.api as api
import qwen25vl.golden.cases.decode_steps as decode_steps
import qwen25vl.golden.cases.logits as logits
import qwen25vl.golden.cases.text_attention as text_attention
import qwen25vl.golden.cases.text_blocks as text_blocks
import qwen25vl.language.block as block
import qwen25vl.language.decoder as decoder
import qwen25vl.model as model
import qwen25vl.processor as processor
import qwen25vl.reuse as reuse
from planted_vision import PLAIN, Plant, both, mixed_by, patched, with_config, with_ops
from qwen25vl.checkpoint.weights import Weights
from qwen25vl.golden.case import Lab
from qwen25vl.inputs import Inputs
from qwen25vl.language.cache import Cache
from qwen25vl.layers.rotary import inverse_frequencies, rotated

TOKENS_PER_SECOND = 3
"""Of `tiny`."""


# ---------------------------------------------------------------------------------------- positions


@dataclass(frozen=True)
class Walk:
    """A second way to walk over a prompt, whose every rule can be made wrong. The defaults are right."""

    next_start: Callable[[int, int, Sequence[int], int], int] = lambda start, time, sides, count: (
        start + max(time + 1, *sides)
    )
    """Start of what follows a medium: from its start, its largest time, its sides and its tokens."""
    time: Callable[[int, float], int] = lambda t, seconds: int(
        np.float32(t) * np.float32(seconds) * TOKENS_PER_SECOND
    )
    """Time of row t of a medium."""
    transposed: bool = False
    markers_count: bool = True
    """Whether the two markers between adjacent media take positions."""
    one_list: bool = False
    """Whether pictures and clips are used up in one list, pictures first."""
    restart: bool = False
    """Whether each prompt of a batch begins with the first grid."""

    def positions(
        self, ids: np.ndarray, mask: np.ndarray, images: Any, videos: Any, seconds: Any, **c: Any
    ) -> Any:
        """Stand for `mrope_positions`."""
        found = np.ones((3, *ids.shape), dtype=np.int64)
        delta = np.zeros(len(ids), dtype=np.int64)
        pads, first = (c["image_token_id"], c["video_token_id"]), [0, 0]
        grids = [[*zip(images, [0.0] * len(images), strict=True)], [*zip(videos, seconds, strict=True)]]
        if self.one_list:
            grids = [grids[0] + grids[1]] * 2
        for b in range(len(ids)):
            if self.restart:
                first = [0, 0]
            row, at, start = ids[b, mask[b]], 0, 0
            out = np.zeros((3, len(row)), dtype=np.int64)
            while at < len(row):
                if row[at] not in pads:
                    out[:, at] = start
                    between = (
                        0 < at < len(row) - 2
                        and {*row[[at - 1, at + 1]]} & {*pads}
                        and self._adjacent(row, at, pads)
                    )
                    start, at = start + (0 if between and not self.markers_count else 1), at + 1
                    continue
                kind = pads.index(row[at])
                (T, H, W), s = grids[kind][first[kind]]
                first = [n + 1 for n in first] if self.one_list else [n + (i == kind) for i, n in enumerate(first)]
                count = int(np.argmin(np.append(row[at:] == row[at], False)))
                hm, wm = (W // 2, H // 2) if self.transposed else (H // 2, W // 2)
                places = np.stack(np.unravel_index(np.arange(count) % (T * hm * wm), (T, hm, wm)))
                times = [self.time(t, s) for t in range(T)]
                out[:, at : at + count] = start + np.stack([np.array(times)[places[0]], *places[1:]])
                start, at = self.next_start(start, max(times), (hm, wm), count), at + count
            found[:, b, mask[b]] = out
            delta[b] = out.max() + 1 - ids.shape[1]
        return found, delta

    @staticmethod
    def _adjacent(row: np.ndarray, at: int, pads: Sequence[int]) -> bool:
        """Whether the token is one of the two markers between two media."""
        around = row[max(0, at - 2) : at + 3]
        return int(np.isin(around, pads).sum()) == 3


def walked(**rules: Any) -> Plant:
    walk = Walk(**rules)
    return patched((processor, "mrope_positions"), by=lambda right: walk.positions)


def changed_positions(change: Callable[..., tuple[np.ndarray, np.ndarray]]) -> Plant:
    """Change what the right walk gives: `change(ids, mask, positions, delta, config)`."""

    def wrong(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda ids, mask, *grids, **config: change(ids, mask, *right(ids, mask, *grids, **config), config)

    return patched((processor, "mrope_positions"), by=wrong)


def sequential(ids: np.ndarray, mask: np.ndarray, positions: np.ndarray, delta: np.ndarray, config: Any) -> Any:
    counted = np.where(mask, np.cumsum(mask, axis=1) - 1, 1)
    return np.tile(counted, (3, 1, 1)).astype(np.int64), np.sum(mask, axis=1) - ids.shape[1]


def still_time_scaled(
    ids: np.ndarray, mask: np.ndarray, positions: np.ndarray, delta: np.ndarray, config: Any
) -> Any:
    scaled = positions.copy()
    scaled[0][ids == config["image_token_id"]] *= config["tokens_per_second"]
    return scaled, delta


def from_the_first_slot(
    ids: np.ndarray, mask: np.ndarray, positions: np.ndarray, delta: np.ndarray, config: Any
) -> Any:
    first = np.argmax(mask, axis=1)
    behind = np.sum(~mask, axis=1) - first
    return positions + (first + behind)[:, np.newaxis] * mask, delta


def other_delta(change: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Plant:
    return changed_positions(lambda ids, mask, positions, delta, config: (positions, change(delta, mask)))


def first_columns(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> Lab:
    """Take as many tokens as are real, from the first slot on."""
    right = Inputs.row

    def row(inputs: Inputs, b: int) -> Inputs:
        found, count = right(inputs, b), int(inputs.mask[b].sum())
        columns = slice(0, count)
        return replace(found, positions=inputs.positions[:, b : b + 1, columns])

    monkeypatch.setattr(Inputs, "row", row)
    return lab


# ------------------------------------------------------------------------------------------ rotation

ROTATIONS = ((decoder, "mrope_rotation"), (text_attention, "mrope_rotation"), (text_blocks, "mrope_rotation"))


def laid_out(axis_of: Callable[[tuple[int, ...]], np.ndarray]) -> Plant:
    """Give each channel of a whole head another axis."""

    def wrong(positions: np.ndarray, *, head_dim: int, theta: float, sections: tuple[int, ...], ops: Any) -> Any:
        frequencies = np.tile(inverse_frequencies(width=head_dim, theta=theta).astype(np.float64), 2)
        angles = positions[axis_of(sections)].T * frequencies
        return np.cos(angles), np.sin(angles)

    return patched(*ROTATIONS, by=lambda right: wrong)


def dealt_out(sections: tuple[int, ...]) -> np.ndarray:
    half = [axis for turn in range(max(sections)) for axis, count in enumerate(sections) if turn < count]
    return np.tile(half, 2)


def over_the_whole_head(sections: tuple[int, ...]) -> np.ndarray:
    return np.repeat([0, 1, 2], [2 * count for count in sections])


def neighbours(x: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    """Turn each even channel against the next one."""
    half = x.shape[-1] // 2
    c, s = cos[:, np.newaxis, :half], sin[:, np.newaxis, :half]
    even, odd = x[..., ::2], x[..., 1::2]
    return np.stack([even * c - odd * s, odd * c + even * s], axis=-1).reshape(x.shape)


def turned_values(_: pytest.MonkeyPatch, lab: Lab) -> Lab:
    last: list[tuple[np.ndarray, np.ndarray]] = []

    def remembered(x: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
        last.append((cos, sin))
        return rotated(x, cos, sin)

    def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, **settings: Any) -> np.ndarray:
        cos, sin = last[-1]
        return PLAIN.attention(q, k, rotated(v, cos[: len(v)], sin[: len(v)]), **settings)

    return lab.with_ops(replace(lab.ops, rotated=remembered, rotated_in_steps=remembered, attention=attention))


# ----------------------------------------------------------------------------------------- attention


def masked_by(rule: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Plant:
    """Let times of queries [L, 1] and keys [T], and the right mask, decide: `rule(seen, later)`."""

    def plant(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> Lab:
        times: list[int] = []

        def by(right: Callable[..., Any]) -> Callable[..., Any]:
            def rotation(positions: np.ndarray, **settings: Any) -> Any:
                times.extend(positions[0].tolist())
                return right(positions, **settings)

            return rotation

        def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, *, allowed: Any = None, probs: Any = None):
            if allowed is not None:
                keys = np.array(times[-len(k) :])
                allowed = rule(allowed, keys <= keys[-len(q) :, np.newaxis])
            return PLAIN.attention(q, k, v, allowed=allowed, probs=probs)

        patched(*ROTATIONS, by=by)(monkeypatch, lab)
        return lab.with_ops(replace(lab.ops, attention=attention))

    return plant


def with_mask(value: float) -> Callable[..., np.ndarray]:
    """Add a fixed number to the scores of hidden keys."""

    def attention(
        q: np.ndarray, k: np.ndarray, v: np.ndarray, *, allowed: np.ndarray, probs: Any = None
    ) -> np.ndarray:
        return mixed_by(q, k, v, extra=np.where(allowed, 0, value), probs=probs)

    return attention


def unshifted(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, *, allowed: np.ndarray, probs: np.ndarray
) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        weights = np.exp(q[:, 0] @ k[:, 0].T / np.sqrt(q.shape[2])) * allowed
        probs[0] = weights / weights.sum(axis=-1, keepdims=True)
        return (probs[0] @ v[:, 0])[:, np.newaxis]


def tiled(q: np.ndarray, k: np.ndarray, v: np.ndarray, **settings: Any) -> np.ndarray:
    heads = np.arange(q.shape[1]) % k.shape[1]
    return PLAIN.attention(q, k[:, heads], v[:, heads], **settings)


def blind_to_the_past(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, *, allowed: Any = None, probs: Any = None
) -> Any:
    if allowed is not None and len(k) > len(q):
        allowed = allowed & (np.arange(len(k)) >= len(k) - len(q))
    return PLAIN.attention(q, k, v, allowed=allowed, probs=probs)


def turned_again(right: Callable[..., Any]) -> Callable[..., Any]:
    def attention(
        x: np.ndarray, cos: np.ndarray, sin: np.ndarray, keys: np.ndarray, *rest: Any, **settings: Any
    ) -> Any:
        if len(keys):
            keys = rotated(keys, np.repeat(cos[:1], len(keys), axis=0), np.repeat(sin[:1], len(keys), axis=0))
        return right(x, cos, sin, keys, *rest, **settings)

    return attention


def chunk_positions_restart(right: Callable[..., Any]) -> Callable[..., Any]:
    first: list[np.ndarray] = []

    def decoded_tokens(x: np.ndarray, positions: np.ndarray, cache: Cache, *rest: Any, **settings: Any) -> Any:
        if cache.length == 0:
            first[:] = [positions]
        elif len(x) <= first[0].shape[1]:
            positions = first[0][:, : len(x)]
        return right(x, positions, cache, *rest, **settings)

    return decoded_tokens


# -------------------------------------------------------------------------- embedding, norm, head

EMBEDDINGS = ((model, "embedded_tokens"), (text_blocks, "embedded_tokens"))
HEADS = ((api, "vocabulary_scores"), (model, "vocabulary_scores"), (logits, "vocabulary_scores"))


def other_rows(change: Callable[..., np.ndarray]) -> Plant:
    """Change the embedded prompt: `change(x, ids, images, videos, weights, config)`."""

    def wrong(right: Callable[..., Any]) -> Callable[..., Any]:
        def embedded(
            ids: np.ndarray, images: np.ndarray, videos: np.ndarray, weights: Any, *, config: Any
        ) -> np.ndarray:
            x = right(ids, images, videos, weights, config=config)
            return change(x, ids, images, videos, weights, config)

        return embedded

    return patched(*EMBEDDINGS, by=wrong)


def exchanged(
    x: np.ndarray, ids: np.ndarray, images: np.ndarray, videos: np.ndarray, weights: Any, config: Any
) -> Any:
    for pad, rows in ((config.image_token_id, images), (config.video_token_id, videos)):
        x[ids == pad] = np.roll(rows, len(rows) // 2, axis=0)
    return x


def by_modality(
    x: np.ndarray, ids: np.ndarray, images: np.ndarray, videos: np.ndarray, weights: Any, config: Any
) -> Any:
    x[np.isin(ids, [config.image_token_id, config.video_token_id])] = np.concatenate([images, videos])
    return x


def pads_kept(
    x: np.ndarray, ids: np.ndarray, images: np.ndarray, videos: np.ndarray, weights: Any, config: Any
) -> Any:
    return weights.rows("embed_tokens.weight", ids)


def scaled(
    x: np.ndarray, ids: np.ndarray, images: np.ndarray, videos: np.ndarray, weights: Any, config: Any
) -> Any:
    return x * np.sqrt(x.shape[1])


def pad_taken_for_picture(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> Lab:
    """A pad among decoded ids takes the row of a picture, here of zeros."""
    right, pads = decode_steps.decode_step, [lab.config.image_token_id, lab.config.video_token_id]
    read = Weights.rows

    def rows(weights: Weights, name: str, ids: np.ndarray) -> np.ndarray:
        return read(weights, name, ids) * ~np.isin(ids, pads)[:, np.newaxis]

    def decode_step(*arguments: Any, **settings: Any) -> Any:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(Weights, "rows", rows)
            return right(*arguments, **settings)

    monkeypatch.setattr(decode_steps, "decode_step", decode_step)
    return lab


def residual_from_norm(_: pytest.MonkeyPatch, lab: Lab) -> Lab:
    last: list[np.ndarray] = []

    def rms_norm(x: np.ndarray, weight: np.ndarray, *, eps: float) -> np.ndarray:
        last.append(PLAIN.rms_norm(x, weight, eps=eps))
        return last[-1]

    return lab.with_ops(replace(lab.ops, rms_norm=rms_norm, added=lambda x, y: last[-1] + y))


def normed_twice(right: Callable[..., Any]) -> Callable[..., Any]:
    def scores(hidden: np.ndarray, network: Any) -> np.ndarray:
        gain = network.weights["model.norm.weight"]
        return right(PLAIN.rms_norm(hidden, gain, eps=network.config.text.rms_norm_eps), network)

    return scores


def head_from_elsewhere(right: Callable[..., Any]) -> Callable[..., Any]:
    def scores(hidden: np.ndarray, network: Any) -> np.ndarray:
        tied = network.config.tie_word_embeddings
        head = network.weights["model.embed_tokens.weight"]
        return hidden @ (np.roll(head, 1, axis=0) if tied else head).T

    return scores


def weights_as_made(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> Lab:
    """Weights of one name are not found: they stay zero."""
    read = Weights.__getitem__

    def item(weights: Weights, name: str) -> np.ndarray:
        found = read(weights, name)
        return np.zeros_like(found) if name == "down_proj.weight" else found

    monkeypatch.setattr(Weights, "__getitem__", item)
    return lab


PLANTS: dict[str, Plant] = {
    "positions-sequential": changed_positions(sequential),
    "still-time-scaled": changed_positions(still_time_scaled),
    "grid-transposed-positions": walked(transposed=True),
    "text-after-by-tokens": walked(next_start=lambda start, time, sides, count: start + count),
    "text-after-by-time": walked(next_start=lambda start, time, sides, count: start + time + 1),
    "text-after-by-sides": walked(next_start=lambda start, time, sides, count: start + max(sides)),
    "position-restarts": walked(next_start=lambda start, time, sides, count: 0),
    "adjacent-pictures-joined": walked(markers_count=False),
    "picture-taken-for-video": walked(one_list=True),
    "batch-grids-restart": walked(restart=True),
    "seconds-truncated-first": walked(time=lambda t, seconds: t * int(seconds) * TOKENS_PER_SECOND),
    "video-time-constant": walked(time=lambda t, seconds: 0),
    "video-time-by-row": walked(time=lambda t, seconds: t if seconds else 0),
    "fixed-rate-for-time": walked(time=lambda t, seconds: t * TOKENS_PER_SECOND if seconds else 0),
    "padding-counted": changed_positions(from_the_first_slot),
    "right-padding-assumed": first_columns,
    "delta-missing": other_delta(lambda delta, mask: np.zeros_like(delta) - np.sum(~mask, axis=1)),
    "delta-unpadded": other_delta(lambda delta, mask: delta + np.sum(~mask, axis=1)),
    "delta-of-other-prompt": other_delta(lambda delta, mask: np.roll(delta, 1)),
    "chunk-positions-restart": patched((model, "decoded_tokens"), by=chunk_positions_restart),
    "sections-interleaved": laid_out(dealt_out),
    "sections-repeated-whole": laid_out(over_the_whole_head),
    "sections-order": laid_out(lambda sections: np.tile(np.repeat([1, 2, 0], sections), 2)),
    "interleaved-channels": with_ops(rotated=neighbours, rotated_in_steps=neighbours),
    "rotation-sign": with_ops(rotated_in_steps=lambda x, cos, sin: rotated(x, cos, -sin)),
    "theta-swapped": with_config(text={"rope_theta": 1e4}),
    "values-rotated": turned_values,
    "kv-heads-tiled": with_ops(attention=tiled),
    "mask-too-weak": with_ops(attention=with_mask(-1e4)),
    "softmax-overflows": with_ops(attention=unshifted),
    "causal-by-position": masked_by(lambda right, by_time: by_time),
    "picture-sees-itself": masked_by(lambda right, by_time: right | by_time),
    "cache-unrotated-keys": patched(
        (block, "decoder_attention"), (text_attention, "decoder_attention"), by=turned_again
    ),
    "chunk-mask": with_ops(attention=blind_to_the_past),
    "cache-stale": lambda monkeypatch, lab: (monkeypatch.setattr(Cache, "first", lambda cache, count: cache), lab)[
        1
    ],
    "prefix-by-ids": patched((reuse, "_changed_media"), by=lambda right: lambda *a, **s: iter(())),
    "scatter-by-picture": other_rows(exchanged),
    "scatter-pad-embedding": other_rows(pads_kept),
    "pad-ids-hard-coded": other_rows(pads_kept),  # no id of the prompt is a pad then
    "pads-by-modality": other_rows(by_modality),
    "embedding-scaled": other_rows(scaled),
    "sampled-pad-scattered": pad_taken_for_picture,
    "residual-from-norm": residual_from_norm,
    "hidden-without-final-norm": patched(*HEADS, by=normed_twice),
    "head-not-tied": patched(*HEADS, by=head_from_elsewhere),
    "names-not-mapped": weights_as_made,
}
"""Each known bug of positions, decoder and decoding."""

__all__ = ["PLANTS", "Walk", "both"]

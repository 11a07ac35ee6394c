"""What hypothesis draws: structure. The values are filled in by NumPy from a drawn seed."""

from dataclasses import replace

import hypothesis.strategies as st
import numpy as np

from qwen25vl.config import Config, TextConfig, VisionConfig
from qwen25vl.inputs import Inputs
from qwen25vl.language.mrope import mrope_positions

SPECIAL_IDS = {
    "eos_token_id": 3,
    "vision_start_token_id": 5,
    "vision_end_token_id": 6,
    "image_token_id": 8,
    "video_token_id": 9,
}
FIRST_TEXT_ID = 10


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """A small model of any shape that upstream can build."""
    width = draw(st.sampled_from([4, 8, 12]))  # of a vision head
    heads = draw(st.integers(1, 3))
    depth = draw(st.integers(1, 3))
    patch_px, merge_p = draw(st.sampled_from([(2, 2), (3, 2), (2, 3), (4, 1), (5, 2)]))
    sections = draw(st.tuples(*[st.integers(1, 3)] * 3))
    kv_heads = draw(st.integers(1, 2))
    text_heads = kv_heads * draw(st.integers(1, 3))
    hidden = text_heads * 2 * sum(sections)
    # A window that is not a whole number of tokens is allowed: upstream rounds down.
    window_px = draw(st.integers(1, 4)) * merge_p * patch_px + draw(st.integers(0, patch_px - 1))
    return Config(
        vision=VisionConfig(
            depth=depth,
            hidden_size=width * heads,
            intermediate_size=draw(st.integers(1, 9)),
            num_heads=heads,
            patch_px=patch_px,
            temporal_patch_f=draw(st.integers(1, 3)),
            merge_p=merge_p,
            window_px=window_px,
            full_attention_blocks=tuple(sorted(draw(st.sets(st.integers(0, depth - 1))))),
            out_hidden_size=hidden,
            tokens_per_second=draw(st.integers(1, 5)),
        ),
        text=TextConfig(
            vocab_size=draw(st.integers(20, 40)),
            hidden_size=hidden,
            intermediate_size=draw(st.integers(1, 9)),
            num_hidden_layers=draw(st.integers(1, 3)),
            num_attention_heads=text_heads,
            num_key_value_heads=kv_heads,
            mrope_section=sections,
            rope_theta=draw(st.sampled_from([1e4, 1e6])),
            rms_norm_eps=draw(st.sampled_from([1e-6, 1e-5])),
        ),
        tie_word_embeddings=draw(st.booleans()),
        **SPECIAL_IDS,
    )


sides_m = st.one_of(st.integers(1, 6), st.sampled_from([4, 8]))  # 4 and 8: no ragged edge
"""A side in merged tokens."""


@st.composite
def grids_m(draw: st.DrawFn, max_media: int = 3) -> np.ndarray:
    """`(T, Hm, Wm)` rows in merged tokens: stills, clips, strips, single tokens."""
    row = st.tuples(st.integers(1, 3), sides_m, sides_m)
    return np.array(draw(st.lists(row, min_size=1, max_size=max_media)), dtype=np.int64)


@st.composite
def prompts(draw: st.DrawFn, config: Config, *, videos: bool = True) -> Inputs:
    """A prompt of drawn text and media in drawn order, for a config; pixels are noise."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    kinds = draw(st.lists(st.sampled_from(["image", "video"] if videos else ["image"]), max_size=3))
    ids = draw_text(draw, config)
    grids: dict[str, list[tuple[int, int, int]]] = {"image": [], "video": []}
    for kind in kinds:
        T = 1 if kind == "image" else draw(st.integers(1, 3))
        Hm, Wm = draw(sides_m), draw(sides_m)
        grids[kind].append((T, Hm * config.vision.merge_p, Wm * config.vision.merge_p))
        pad = config.image_token_id if kind == "image" else config.video_token_id
        ids += [config.vision_start_token_id, *[pad] * (T * Hm * Wm), config.vision_end_token_id]
        ids += draw_text(draw, config)
    seconds = [draw(st.sampled_from([0.5, 1.0, 4 / 3, 0.4])) for _ in grids["video"]]
    return made_inputs(config, ids or [FIRST_TEXT_ID], grids["image"], grids["video"], seconds, rng)


@st.composite
def batches(draw: st.DrawFn, config: Config, *, videos: bool = True) -> Inputs:
    """One to three drawn prompts, padded left or right; grids run on through the batch."""
    rows = draw(st.lists(prompts(config, videos=videos), min_size=1, max_size=3))
    # What stands in the padding must not matter: not even an id that announces a picture.
    filler = draw(st.sampled_from([FIRST_TEXT_ID, config.image_token_id, config.video_token_id]))
    side = draw(st.sampled_from(["left", "right"]))
    return joined_inputs(config, rows, side=side, filler=filler, extra=draw(st.integers(0, 2)))


def joined_inputs(
    config: Config, rows: list[Inputs], *, side: str, filler: int = FIRST_TEXT_ID, extra: int = 0
) -> Inputs:
    """A batch of prompts, with `extra` columns of padding more than the longest needs."""
    longest = max(row.ids.shape[1] for row in rows) + extra
    ids = np.full((len(rows), longest), filler, dtype=np.int64)
    mask = np.zeros(ids.shape, dtype=bool)
    for b, row in enumerate(rows):
        count = row.ids.shape[1]
        place = slice(longest - count, None) if side == "left" else slice(count)
        ids[b, place], mask[b, place] = row.ids[0], True
    joined = {
        name: np.concatenate([getattr(row, name) for row in rows])
        for name in ("image_rows", "image_grids", "video_rows", "video_grids", "second_per_grid")
    }
    positions, delta = mrope_positions(
        ids,
        mask,
        joined["image_grids"],
        joined["video_grids"],
        joined["second_per_grid"],
        image_token_id=config.image_token_id,
        video_token_id=config.video_token_id,
        merge_p=config.vision.merge_p,
        tokens_per_second=config.vision.tokens_per_second,
    )
    return Inputs(
        text=[""] * len(rows),
        ids=ids,
        mask=mask,
        positions=positions,
        delta=delta,
        media_counts=tuple((len(row.image_grids), len(row.video_grids)) for row in rows),
        **joined,
    )


def position_arrays(inputs: Inputs) -> tuple[np.ndarray, ...]:
    """What `mrope_positions` takes."""
    return inputs.ids, inputs.mask, inputs.image_grids, inputs.video_grids, inputs.second_per_grid


def draw_text(draw: st.DrawFn, config: Config) -> list[int]:
    """Up to four ids that are not special."""
    return draw(st.lists(st.integers(FIRST_TEXT_ID, config.text.vocab_size - 1), max_size=4))


def made_inputs(
    config: Config,
    ids: list[int],
    image_grids: list[tuple[int, int, int]],
    video_grids: list[tuple[int, int, int]],
    seconds: list[float],
    rng: np.random.Generator,
) -> Inputs:
    """Inputs with noise for pixels, for ids that already hold their pads."""

    def rows(grids: np.ndarray) -> np.ndarray:
        count = int(np.sum(np.prod(grids, axis=1)))
        return rng.standard_normal((count, config.vision.patch_dim)).astype(np.float32)

    images = np.array(image_grids, dtype=np.int64).reshape(-1, 3)
    films = np.array(video_grids, dtype=np.int64).reshape(-1, 3)
    batch = np.array([ids], dtype=np.int64)
    mask = np.ones(batch.shape, dtype=bool)
    positions, delta = mrope_positions(
        batch,
        mask,
        images,
        films,
        np.array(seconds, dtype=np.float64),
        image_token_id=config.image_token_id,
        video_token_id=config.video_token_id,
        merge_p=config.vision.merge_p,
        tokens_per_second=config.vision.tokens_per_second,
    )
    return Inputs(
        text=[""],
        ids=batch,
        mask=mask,
        image_rows=rows(images),
        image_grids=images,
        video_rows=rows(films),
        video_grids=films,
        second_per_grid=np.array(seconds, dtype=np.float64),
        positions=positions,
        delta=delta,
    )


def with_ids(inputs: Inputs, ids: list[int]) -> Inputs:
    """The same prompt with text tokens behind it, positions going on as decoding would."""
    more = np.arange(inputs.ids.shape[1], inputs.ids.shape[1] + len(ids)) + inputs.delta[0]
    return replace(
        inputs,
        ids=np.concatenate([inputs.ids, [ids]], axis=1),
        mask=np.ones((1, inputs.ids.shape[1] + len(ids)), dtype=bool),
        positions=np.concatenate([inputs.positions, np.tile(more, (3, 1, 1))], axis=2),
        delta=inputs.delta - len(ids),
    )

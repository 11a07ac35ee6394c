"""Sections 02 to 04 together: from messages to everything that the model is given."""

import itertools
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import qwen25vl
from qwen25vl.errors import BadInput
from qwen25vl.media.picture import prepared_picture
from qwen25vl.processor import read_processor
from qwen25vl.prompt.template import qwen_prompt


def noise(height, width, seed=0):
    """A picture of random pixels."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


THREE = {"small": noise(56, 56, 1), "wide": noise(60, 150, 2), "tall": noise(140, 80, 3)}
"""Pictures of 4, 10 and 15 merged tokens."""


@pytest.fixture(scope="module")
def processor():
    return qwen25vl.load_processor()


def image(source):
    return {"type": "image", "image": source}


def text(words):
    return {"type": "text", "text": words}


def turn(role, *parts):
    return {"role": role, "content": [text(part) if isinstance(part, str) else part for part in parts]}


def two_turns():
    return [
        turn("system", "Be brief."),
        turn("user", image(THREE["wide"]), "What?", image(THREE["small"])),
        turn("assistant", "A thing."),
        turn("user", "And this?", image(THREE["tall"])),
    ]


# ------------------------------------------------------------------------------------- rendering


@pytest.mark.parametrize("add_vision_id", [False, True])
@pytest.mark.parametrize("add_generation_prompt", [False, True])
def test_render_is_the_released_template(processor, add_vision_id, add_generation_prompt):
    options = {"add_vision_id": add_vision_id, "add_generation_prompt": add_generation_prompt}
    rendered = processor.render(two_turns(), **options)
    assert rendered == qwen_prompt(two_turns(), **options)
    assert ("Picture 3: " in rendered) == add_vision_id


def test_render_opens_no_picture(processor):
    missing = [turn("user", image("no/such/file.png"), {"type": "video", "video": "nor.mp4"}, {"type": "image"})]
    assert processor.render(missing).count("<|vision_start|>") == 3


@pytest.mark.parametrize("pad", ["<|image_pad|>", "<|video_pad|>"])
def test_a_pad_in_a_text_is_refused_before_anything_is_opened(processor, pad):
    messages = [turn("user", image("no/such/file.png"), f"what is {pad}")]
    for act in (processor.render, processor.prepare):
        with pytest.raises(BadInput, match=re.escape(pad)):
            act(messages)


# ------------------------------------------------------------------------------------- preparing


def test_the_text_of_inputs_is_what_render_gives(processor):
    options = {"add_vision_id": True, "add_generation_prompt": False}
    assert processor.prepare(two_turns(), **options).text == [processor.render(two_turns(), **options)]


def test_a_text_alone_has_positions_that_count(processor):
    inputs = processor.prepare([{"role": "user", "content": "Hello, you."}])
    L = inputs.ids.shape[1]
    assert inputs.ids[0].tolist() == processor.tokenizer.encode(inputs.text[0])
    np.testing.assert_array_equal(inputs.positions, np.tile(np.arange(L), (3, 1, 1)))
    assert inputs.delta.tolist() == [0]
    assert inputs.pictures == ()


@pytest.mark.parametrize("order", list(itertools.permutations(THREE)))
def test_pictures_keep_the_order_of_the_prompt(processor, order):
    content = [image(THREE[name]) for name in order]
    inputs = processor.prepare([turn("user", content[0], "then", content[1]), turn("user", content[2])])
    alone = [prepared_picture(THREE[name], settings=processor.settings) for name in order]
    np.testing.assert_array_equal(inputs.image_rows, np.concatenate([picture.rows for picture in alone]))
    assert inputs.image_grids.tolist() == [list(picture.grid) for picture in alone]
    runs = [
        len(list(run)) for pad, run in itertools.groupby(inputs.ids[0] == processor.config.image_token_id) if pad
    ]
    assert runs == [picture.tokens_m for picture in alone]
    assert [picture.original_size for picture in inputs.pictures] == [THREE[name].shape[:2] for name in order]


def test_several_turns_are_one_sequence_with_one_delta(processor):
    inputs = processor.prepare(two_turns())
    L = inputs.ids.shape[1]
    merged = np.array([[2, 5], [2, 2], [5, 3]])  # wide, small, tall; each advances by its longer side
    saved = np.sum(np.prod(merged, axis=1) - np.max(merged, axis=1))
    assert inputs.delta.tolist() == [-saved]
    np.testing.assert_array_equal(inputs.positions[:, 0, -1], L - 1 - saved)
    assert inputs.mask.all()


@given(
    sizes=st.lists(st.tuples(st.integers(20, 150), st.integers(20, 150)), max_size=3),
    limits=st.sampled_from(
        [{}, {"max_pixels": 4000}, {"min_pixels": 9000}, {"min_pixels": 784, "max_pixels": 800}]
    ),
)
def test_rows_grids_and_pads_agree_for_every_size(sizes, limits):
    processor = qwen25vl.load_processor()
    inputs = processor.prepare([turn("user", *[image(noise(*size)) for size in sizes], "?")], **limits)
    patches = np.prod(inputs.image_grids, axis=1)
    assert len(inputs.image_rows) == patches.sum()
    assert np.sum(inputs.ids == processor.config.image_token_id) == patches.sum() // 4
    assert [picture.tokens_m for picture in inputs.pictures] == (patches // 4).tolist()
    for picture in inputs.pictures:
        assert np.prod(picture.resized_size) == 14 * 14 * np.prod(picture.grid)


def test_a_limit_is_the_checkpoints_where_none_is_given(processor):
    messages = [turn("user", image(noise(1200, 1200)))]
    given_none = processor.prepare(messages)
    own = processor.settings
    given_both = processor.prepare(messages, min_pixels=own.min_pixels, max_pixels=own.max_pixels)
    np.testing.assert_array_equal(given_none.image_grids, given_both.image_grids)
    assert np.prod(given_none.pictures[0].resized_size) <= own.max_pixels < 1200 * 1200


def test_a_profile_is_passed_on(processor):
    messages = [turn("user", image(noise(20, 200)))]
    assert processor.prepare(messages, profile="hf").image_grids.tolist() == [[1, 2, 14]]
    with pytest.raises(BadInput, match=r"hf-4\.49"):
        processor.prepare(messages, profile="hf-4.49")
    for unknown in ("", "HF"):
        with pytest.raises(BadInput, match="unknown profile"):
            processor.prepare(messages, profile=unknown)


def test_every_form_of_one_picture_gives_the_same_inputs(processor, tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(THREE["wide"]).save(path)
    sources = [THREE["wide"], path, str(path), path.read_bytes(), Image.open(path)]
    want, *others = [processor.prepare([turn("user", image(source))]) for source in sources]
    for inputs in others:
        np.testing.assert_array_equal(inputs.image_rows, want.image_rows)
        np.testing.assert_array_equal(inputs.ids, want.ids)


def test_no_weights_are_needed(tiny_dir, tmp_path):
    folder = Path(shutil.copytree(tiny_dir, tmp_path / "m", ignore=shutil.ignore_patterns("*.safetensors")))
    assert not (folder / "model.safetensors").exists()
    ours, want = qwen25vl.load_processor(folder), qwen25vl.load_processor("tiny")
    np.testing.assert_array_equal(ours.prepare(two_turns()).ids, want.prepare(two_turns()).ids)
    with pytest.raises(BadInput, match=r"holds neither model\.safetensors nor"):
        qwen25vl.load(folder)


# ---------------------------------------------------------------------------------------- oracle


@pytest.mark.oracle
@given(
    sizes=st.lists(st.tuples(st.integers(28, 150), st.integers(28, 150)), min_size=1, max_size=3),
    words=st.lists(st.text("ab é漢\n<|", max_size=6), min_size=1, max_size=3),
)
def test_ids_and_rows_equal_those_of_transformers_processor(sizes, words):
    import oracle

    processor = qwen25vl.load_processor("tiny")
    pictures = [noise(*size, seed) for seed, size in enumerate(sizes)]
    parts = [
        part for pair in itertools.zip_longest(map(image, pictures), map(text, words)) for part in pair if part
    ]
    messages = [turn("user", *parts)]
    inputs = processor.prepare(messages)
    ids, tokens = oracle.hf_processor_ids(qwen25vl.bundled.checkpoint_directory("tiny"), messages, pictures)
    assert inputs.ids[0].tolist() == ids
    assert [picture.tokens_m for picture in inputs.pictures] == tokens


# -------------------------------------------------------------------------------- videos and batches


def frames(count, height=60, width=90, seed=5):
    """A video of random frames, as an array."""
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def video(source, **options):
    return {"type": "video", "video": source, **options}


SMALL = {"min_pixels": 784, "max_pixels": 9000}
"""Limits under which a frame of 60 x 90 becomes 56 x 84: 2 x 3 merged tokens."""


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_pictures_and_videos_may_stand_in_any_order(processor, order):
    parts = [
        image(THREE["small"]),
        video(frames(5), fps=1.5),
        image(THREE["wide"]),
        video(frames(2, seed=6), fps=4.0),
    ]
    ours = [parts[i] for i in order]
    inputs = processor.prepare([turn("user", "a", *ours, "b")], **SMALL)
    runs = [(int(key), len([*group])) for key, group in itertools.groupby(inputs.ids[0])]
    image_id, video_id = processor.config.image_token_id, processor.config.video_token_id
    tokens = {0: (image_id, 4), 1: (video_id, 18), 2: (image_id, 10), 3: (video_id, 6)}
    assert [run for run in runs if run[0] in (image_id, video_id)] == [tokens[i] for i in order]
    stills, films = [i for i in order if i in (0, 2)], [i for i in order if i in (1, 3)]
    assert inputs.image_grids.tolist() == [{0: [1, 4, 4], 2: [1, 4, 10]}[i] for i in stills]
    assert inputs.video_grids.tolist() == [{1: [3, 4, 6], 3: [1, 4, 6]}[i] for i in films]
    assert inputs.second_per_grid.tolist() == [{1: 2 / 1.5, 3: 0.5}[i] for i in films]
    np.testing.assert_array_equal(inputs.video_rows, np.concatenate([medium.rows for medium in inputs.clips]))


def test_the_same_frames_at_another_rate_differ_in_time_alone(processor):
    # Rows of time are 2 / fps seconds apart, 3 positions a second in tiny, truncated behind the product.
    assert processor.config.vision.tokens_per_second == 3
    want = {1.5: [0, 4, 8, 12], 4.0: [0, 1, 3, 4], 2.5: [0, 2, 4, 7]}
    found = {}
    for fps in want:
        inputs = processor.prepare([turn("user", "a", video(frames(8), fps=fps), "b")], **SMALL)
        found[fps] = inputs
        pads = inputs.ids[0] == processor.config.video_token_id
        time = inputs.positions[0, 0, pads].reshape(4, 6)
        assert np.all(time == time[:, :1])
        first = np.flatnonzero(pads)[0]
        assert (time[:, 0] - first).tolist() == want[fps]
        assert inputs.positions[0, 0, pads.nonzero()[0][-1] + 1] == max(first + want[fps][-1], first + 2) + 1
    np.testing.assert_array_equal(found[1.5].video_rows, found[4.0].video_rows)
    np.testing.assert_array_equal(found[1.5].positions[1:, 0, :24], found[4.0].positions[1:, 0, :24])


def four():
    return [
        [turn("user", "a", image(THREE["small"]), "b")],
        [turn("user", "only text, and rather a lot of it, so that this row is long: " + "word " * 40)],
        [turn("user", video(frames(3), fps=1.5), image(THREE["wide"]), "and?")],
        [turn("user", "b")],
    ]


@pytest.mark.parametrize("side", ["left", "right"])
def test_p22_each_conversation_of_a_batch_is_prepared_as_if_it_were_alone(processor, side):
    batch = processor.prepare(four(), padding_side=side, **SMALL)
    assert batch.ids.shape[0] == 4
    lengths = batch.mask.sum(axis=1)
    assert len(set(lengths.tolist())) == 4
    assert max(lengths) == batch.ids.shape[1]
    assert np.all(batch.ids[~batch.mask] == processor.tokenizer.id("<|endoftext|>"))
    assert np.all(batch.mask[:, -1 if side == "left" else 0])
    for b, messages in enumerate(four()):
        alone, row = processor.prepare(messages, **SMALL), batch.row(b)
        for name in ("text", "ids", "mask", "image_rows", "image_grids", "video_rows", "video_grids",
                     "second_per_grid", "positions", "delta"):  # fmt: skip
            np.testing.assert_array_equal(getattr(row, name), getattr(alone, name), err_msg=name)
        assert len(row.pictures) == len(alone.pictures)
        assert len(row.clips) == len(alone.clips)


def test_p22_a_batch_of_one_is_the_conversation(processor):
    alone, batch = processor.prepare(four()[0]), processor.prepare([four()[0]])
    np.testing.assert_array_equal(batch.ids, alone.ids)
    assert batch.mask.all()


# -------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (noise(1, 300), r'messages\[0\]\["content"\]\[1\]: the longer side may be at most'),
        (noise(30, 30).astype(np.float32), r'messages\[0\]\["content"\]\[1\]: an image array must be uint8'),
        (b"text", r'messages\[0\]\["content"\]\[1\]: the image of 4 bytes is not in a format'),
        (12, r'messages\[0\]\["content"\]\[1\]: cannot read an image from int'),
        ("nope.png", "^cannot open the image file 'nope.png'"),
    ],
)
def test_a_refusal_says_which_picture_it_is_about(processor, source, says):
    with pytest.raises(BadInput, match=says):
        processor.prepare([turn("user", image(THREE["small"]), image(source))])


def test_a_strip_in_a_file_is_named_by_its_path(processor, tmp_path):
    Image.fromarray(noise(1, 300)).save(tmp_path / "strip.png")
    for path in (tmp_path / "strip.png", str(tmp_path / "strip.png")):
        with pytest.raises(BadInput, match="^" + re.escape(f"'{tmp_path / 'strip.png'}': the longer side")):
            processor.prepare([turn("user", image(path))])


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("patch_size", 16, "patch_px is 14 in config.json but 16 in the picture settings"),
        ("temporal_patch_size", 1, "temporal_patch_f is 2 in config.json but 1"),
        ("merge_size", 3, "merge_p is 2 in config.json but 3"),
    ],
)
def test_files_that_contradict_each_other_are_refused(tiny_dir, tmp_path, key, value, says):
    folder = shutil.copytree(tiny_dir, tmp_path / "m")
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps({**settings, key: value}))
    with pytest.raises(BadInput, match=re.escape(says)):
        read_processor(folder)

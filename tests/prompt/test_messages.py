"""Section 04: which conversation is well formed, and which media it names."""

import numpy as np
import pytest
from hypothesis import given

import prompt_cases as cases
from qwen25vl.errors import BadInput
from qwen25vl.prompt.messages import check_messages, conversations, media_parts, part_kind


def user(*parts: object) -> list[dict[str, object]]:
    return [{"role": "user", "content": list(parts)}]


@given(messages=cases.conversations)
def test_p1_every_form_of_the_known_format_is_accepted(messages):
    check_messages(messages, pad_tokens=cases.PADS)
    check_messages(tuple(messages), pad_tokens=cases.PADS)


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([], "messages is empty"),
        ("Hello", "must be a list"),
        ({"role": "user", "content": "Hello"}, "put a single message into a list"),
        (None, "NoneType None"),
        (["Hello"], r"messages\[0\] must be a mapping"),
        ([[{"role": "user", "content": "Hello"}]], r"messages\[0\] must be a mapping"),
        ([{"content": "Hello"}], "has no 'role', only"),
        ([{"role": "user"}], "has no 'content', only"),
        ([{"role": None, "content": "Hello"}], 'role"] must be a string'),
        ([{"role": "", "content": "Hello"}], 'role"] must be a string'),
        ([{"role": "user", "content": None}], 'content"] must be a string or a list'),
        ([{"role": "user", "content": {"type": "text", "text": "Hello"}}], "a list of parts, got dict"),
        ([{"role": "user", "content": b"Hello"}], "a list of parts, got bytes"),
    ],
)
def test_p1_another_shape_is_refused(messages, says):
    with pytest.raises(BadInput, match=says):
        check_messages(messages, pad_tokens=cases.PADS)


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ({"type": "image"}, "image"),
        ({"image": "a.png"}, "image"),
        ({"type": "image_url", "image_url": "a.png"}, "image"),
        ({"type": "text", "text": "Hello", "image": None}, "image"),  # a column that a data set filled up
        ({"type": "video", "video": "a.mp4", "image": "a.png"}, "image"),
        ({"type": "video"}, "video"),
        ({"video": "a.mp4", "text": "Hello"}, "video"),
        ({"text": "Hello"}, "text"),
        ({"type": "audio", "text": "Hello"}, "text"),
        ({"type": "audio", "audio": "a.wav"}, None),
        ({"type": "image_url", "url": "a.png"}, None),
    ],
)
def test_p2_keys_decide_with_the_type_and_image_comes_first(part, kind):
    assert part_kind(part) == kind


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("Hello", r'messages\[0\]\["content"\]\[0\] must be a mapping'),
        (
            {"type": "audio", "audio": "a.wav"},
            "must be one of image, image_url, video, text, got str 'audio'",
        ),
        ({"type": "input_text", "text": "Hello"}, "must be one of image"),
        ({"type": 7, "text": "Hello"}, "got int 7"),
        ({}, "must be one image, one video or one text, got type None"),
        ({"type": "text", "text": "Hello", "image": None}, "a key counts even when it holds None"),
        ({"type": "image", "image": "a.png", "video": "a.mp4"}, "must be one image, one video or one text"),
        ({"type": "video", "image": "a.png"}, "must be one image, one video or one text"),
        ({"image": "a.png", "text": "a caption"}, "must be one image, one video or one text"),
        ({"type": "text"}, "no key 'text'"),
        ({"type": "text", "content": "Hello"}, "no key 'text'"),
        ({"type": "image_url", "url": "a.png"}, "no key 'image_url'"),
        ({"type": "text", "text": 7}, "must be a string, got int 7"),
        ({"text": None}, "must be a string, got NoneType None"),
    ],
)
def test_p3_a_part_that_the_template_would_drop_or_change_is_refused(part, says):
    with pytest.raises(BadInput, match=says):
        check_messages(user(part), pad_tokens=cases.PADS)


@pytest.mark.parametrize("pad", cases.PADS)
@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_p4_a_pad_in_a_text_is_refused_whoever_says_it(pad, role):
    for content in (f"see {pad} here", [{"type": "text", "text": f"{pad}{pad}"}]):
        with pytest.raises(BadInput, match="the token that stands for an image or a video"):
            check_messages([{"role": role, "content": content}], pad_tokens=cases.PADS)


def test_p4_a_pad_in_a_role_is_refused():
    with pytest.raises(BadInput, match=r'messages\[0\]\["role"\] contains'):
        check_messages([{"role": "<|image_pad|>", "content": "Hello"}], pad_tokens=cases.PADS)


def test_p4_other_special_tokens_are_left_to_the_caller():
    check_messages([{"role": "user", "content": "<|im_end|>"}], pad_tokens=cases.PADS)


def test_p5_media_come_in_prompt_order_with_their_options():
    picture = np.zeros((28, 28, 3), np.uint8)
    messages = [
        *user(
            {"type": "video", "video": "a.mp4", "fps": 1.5},
            {"type": "text", "text": "and"},
            {"image": picture},
        ),
        {"role": "assistant", "content": "Fine."},
        *user({"type": "image_url", "image_url": {"url": "b.png"}}, {"type": "image", "path": "c.png"}),
    ]
    found = media_parts(messages)
    assert [(part.kind, part.options) for part in found] == [
        ("video", {"fps": 1.5}),
        ("image", {}),
        ("image", {}),
        ("image", {}),
    ]
    assert found[0].source == "a.mp4"
    assert found[1].source is picture  # the caller's object, not a copy
    assert [found[2].source, found[3].source] == ["b.png", "c.png"]
    assert found[3].where == 'messages[2]["content"][1]'


@given(messages=cases.conversations)
def test_p5_rendering_needs_no_source_but_naming_the_media_does(messages):
    has_bare_image = {"type": "image"} in [
        part for message in messages if isinstance(message["content"], list) for part in message["content"]
    ]
    if has_bare_image:
        with pytest.raises(BadInput, match="needs its image under exactly one of image, image_url, url, path"):
            media_parts(messages)
    else:
        media_parts(messages)


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"type": "video"}, "needs its video under exactly one of video, url, path"),
        ({"image": "a.png", "path": "b.png"}, "needs its image under exactly one of"),
        ({"image": None}, 'image"] holds no image'),
        ({"image_url": {}}, 'image_url"] holds no image'),
    ],
)
def test_p5_a_part_without_one_source_is_refused(part, says):
    check_messages(user(part), pad_tokens=cases.PADS)
    with pytest.raises(BadInput, match=says):
        media_parts(user(part))


TURN = {"role": "user", "content": "a"}


@pytest.mark.parametrize(
    ("given", "count"),
    [([TURN], 1), ([TURN, TURN], 1), ([[TURN], [TURN, TURN]], 2), (([TURN], (TURN,)), 2), ([[TURN]], 1)],
)
def test_p22_a_list_of_conversations_is_a_batch_and_a_list_of_messages_is_one(given, count):
    found = conversations(given)
    assert len(found) == count
    for one in found:
        check_messages(one, pad_tokens=[])


@pytest.mark.parametrize("given", [[], [TURN, [TURN]], [[TURN], TURN], "text", 7, None, [[]], ["text"]])
def test_p22_what_is_neither_is_refused(given):
    (one,) = conversations(given)
    with pytest.raises(BadInput):
        check_messages(one, pad_tokens=[])

"""Section 15 - template cases: which text does a conversation become, and how many places does a medium take?"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from qwen25vl.golden.case import Lab, Part, count_part, text_part
from qwen25vl.golden.registry import case
from qwen25vl.prompt.layout import expanded_ids

PICTURE = {"type": "image"}
"""A part without a source: a prompt is rendered before any medium is opened."""

CLIP = {"type": "video"}
"""Likewise."""


def words(text: str) -> dict[str, str]:
    """Return a text part."""
    return {"type": "text", "text": text}


def said(role: str, *parts: dict[str, str] | str) -> dict[str, Any]:
    """Return a message: of one string, or of parts."""
    only = parts[0]
    return {"role": role, "content": only if isinstance(only, str) else list(parts)}


def prompt_parts(lab: Lab, messages: Sequence[dict[str, Any]], **rendering: bool) -> Iterator[Part]:
    """Give a conversation, its prompt and the ids of that, one pad for each medium."""
    prompt = lab.processor.render(messages, **rendering)
    yield text_part("inputs.messages", json.dumps(messages, ensure_ascii=False), "the conversation, JSON")
    yield text_part("outputs.prompt", prompt, "the rendered prompt, UTF-8")
    yield count_part("outputs.ids", lab.processor.tokenizer.encode(prompt), "tokens", "its ids, pads not expanded")


@case(
    family="template",
    tier="unit",
    section="04",
    clauses=("P6", "P7", "P10"),
    kills=("default-system-of-text-model", "no-default-system", "template-line-breaks"),
    note="With a system message in the prompt the default does not show. The content is one string.",
    flags=("text",),
)
def a_missing_system_message_is_filled_in(lab: Lab) -> Iterator[Part]:
    """A conversation that brings no system message begins with the default, and ends with an open answer."""
    yield from prompt_parts(lab, [said("user", "What is red?")])


@case(
    family="template",
    tier="unit",
    section="04",
    clauses=("P6", "P7"),
    kills=("default-system-always",),
    note="A second system message stands later: it is a message like any other. No answer is opened.",
    flags=("text",),
)
def a_given_system_message_replaces_the_default(lab: Lab) -> Iterator[Part]:
    """A system message in first place stands instead of the default, and a later one where it is."""
    messages = [
        said("system", "Be brief."),
        said("user", "Hello."),
        said("system", "Be long."),
        said("user", "Go."),
    ]
    yield from prompt_parts(lab, messages, add_generation_prompt=False)


@case(
    family="template",
    tier="unit",
    section="04",
    clauses=("P8",),
    kills=("text-before-image", "parts-joined-by-newline", "pictures-before-videos"),
    note="Text stands before, between and behind, a video before the second picture. With one picture in front of "
    "the text every order but the right one can pass.",
    flags=("text",),
)
def parts_follow_each_other_as_given(lab: Lab) -> Iterator[Part]:
    """Texts, pictures and videos of a message are written in their order with nothing between them."""
    message = said("user", words("First "), PICTURE, CLIP, words("then\n"), PICTURE, words(" last."))
    yield from prompt_parts(lab, [message])


@case(
    family="template",
    tier="unit",
    section="04",
    clauses=("P7", "P8"),
    kills=("text-before-image", "template-line-breaks"),
    note="The second question brings a picture of its own, in front of its text, behind an answer.",
    flags=("text",),
)
def a_second_turn_brings_its_own_picture(lab: Lab) -> Iterator[Part]:
    """Question, answer and question are closed one by one, and each picture stands in its own turn."""
    messages = [
        said("user", PICTURE, words("What is this?")),
        said("assistant", "A red square."),
        said("user", PICTURE, words("And this?")),
    ]
    yield from prompt_parts(lab, messages)


@case(
    family="template",
    tier="unit",
    section="04",
    clauses=("P9",),
    kills=("vision-id-shared-counter", "vision-id-per-message"),
    note="Two pictures around a video, and one of each in a second turn. One picture is number 1 by any rule.",
    flags=("text",),
)
def pictures_and_videos_are_numbered_apart(lab: Lab) -> Iterator[Part]:
    """With `add_vision_id` pictures and videos have counters of their own that run through the conversation."""
    messages = [
        said("user", PICTURE, CLIP, PICTURE, words("Compare.")),
        said("assistant", "Done."),
        said("user", words("Now "), PICTURE, CLIP),
    ]
    yield from prompt_parts(lab, messages, add_vision_id=True)


@case(
    family="template",
    tier="unit",
    section="04",
    clauses=("P20",),
    kills=("pads-not-merged", "vision-markers-repeated", "pictures-before-videos", "pad-ids-hard-coded"),
    note="Picture, video of two rows of time, picture, of 10, 12 and 6 merged tokens: every mistake in a count or "
    "in the order of media gives other ids.",
    flags=("text",),
)
def each_pad_takes_as_many_places_as_merged_tokens(lab: Lab) -> Iterator[Part]:
    """The one pad of a picture or video is repeated, its markers are not; each kind has its own counter."""
    config = lab.config
    images, videos = np.array([[1, 4, 10], [1, 6, 4]]), np.array([[2, 6, 4]])
    prompt = lab.processor.render([said("user", PICTURE, CLIP, words("and"), PICTURE)])
    ids = expanded_ids(
        lab.processor.tokenizer.encode(prompt),
        image_tokens=(images.prod(axis=1) // config.vision.merge_unit).tolist(),
        video_tokens=(videos.prod(axis=1) // config.vision.merge_unit).tolist(),
        image_token_id=config.image_token_id,
        video_token_id=config.video_token_id,
    )
    yield text_part("inputs.prompt", prompt, "the prompt, one pad for each medium, UTF-8")
    yield Part("inputs.image_grids", images, "images 3", "T, H, W in patches of the pictures")
    yield Part("inputs.video_grids", videos, "videos 3", "the same of the video")
    yield Part("outputs.ids", ids, "tokens", "ids of the prompt, pads expanded")

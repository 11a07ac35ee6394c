"""Known bugs of the chat template and of the places that media take in a prompt (section 04)."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from qwen25vl.port.mutants.mutant import Swap, known_bug
from qwen25vl.prompt.messages import part_kind

DEFAULT = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
"""How a conversation without a system message begins."""

LONGER = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
"""The default of the text models of the family."""

NUMBER = re.compile(r"<\|im_start\|>|(Picture|Video) \d+: (?=<\|vision_start\|>)")
"""The opening of a message, or the number in front of a medium."""


def other_prompt(change: Callable[[str, Sequence[Any]], str]) -> Swap:
    """Let a conversation become another text: `change(prompt, messages)`."""

    def by(right: Callable[..., str]) -> Callable[..., str]:
        return lambda messages, **settings: change(right(messages, **settings), messages)

    return Swap("prompt.template.rendered_prompt", by)


def other_parts(change: Callable[[list[Any]], list[Any]]) -> Swap:
    """Let the parts of each message be written as others, or in another order."""

    def changed(message: Any) -> Any:
        content = message["content"]
        return message if isinstance(content, str) else {**message, "content": change(list(content))}

    def by(right: Callable[..., str]) -> Callable[..., str]:
        return lambda messages, **settings: right([changed(message) for message in messages], **settings)

    return Swap("prompt.template.rendered_prompt", by)


def renumbered(prompt: str, number: Callable[[dict[str, int], str], int], *, restart: bool) -> str:
    """Number the media of a prompt anew: `number(how many of each kind, kind)`."""
    seen = {"Picture": 0, "Video": 0}

    def other(found: re.Match[str]) -> str:
        kind = found[1]
        if kind is None:
            seen.update({"Picture": 0, "Video": 0} if restart else {})
            return found[0]
        seen[kind] += 1
        return f"{kind} {number(seen, kind)}: "

    return NUMBER.sub(other, prompt)


@known_bug(
    "default-system-of-text-model",
    mechanism="template",
    clauses=("P6",),
    symptom="Answers differ a little from upstream wherever the caller gives no system message.",
    cause="The template of the text models of the family is used, whose default is longer: it begins with `You "
    "are Qwen`.",
    hidden_by="Every prompt that brings a system message.",
    fix="Take the template that comes with the checkpoint: `You are a helpful assistant.`",
    threads=("InternLM/lmdeploy#3475", "InternLM/lmdeploy#3422"),
)
def default_system_of_text_model() -> Iterator[Swap]:
    yield other_prompt(
        lambda prompt, messages: (
            prompt
            if messages[0]["role"] == "system"
            else DEFAULT.replace("You are a helpful assistant.", LONGER) + prompt.removeprefix(DEFAULT)
        )
    )


@known_bug(
    "no-default-system",
    mechanism="template",
    clauses=("P6",),
    symptom="Answers differ a little from upstream wherever the caller gives no system message.",
    cause="A template for ChatML in general: it writes the messages that are there.",
    hidden_by="Every prompt that brings a system message.",
    fix="Begin with the default system message if the first message is not from `system`.",
)
def no_default_system() -> Iterator[Swap]:
    yield other_prompt(
        lambda prompt, messages: prompt if messages[0]["role"] == "system" else prompt.removeprefix(DEFAULT)
    )


@known_bug(
    "default-system-always",
    mechanism="template",
    clauses=("P6",),
    symptom="The caller's system message has less effect than upstream: another one stands in front of it.",
    cause="The default is a fixed beginning of each prompt.",
    hidden_by="Every prompt without a system message.",
    fix="Write the default only if the first message is not from `system`.",
)
def default_system_always() -> Iterator[Swap]:
    yield other_prompt(lambda prompt, messages: DEFAULT + prompt.removeprefix(DEFAULT))


@known_bug(
    "template-line-breaks",
    mechanism="template",
    clauses=("P7", "P10"),
    symptom="The first token of the answer is odd, a line break or a piece of a word; what follows may be good.",
    cause="The template is written by hand without the line break behind a role or behind `<|im_end|>`.",
    hidden_by="Nothing that compares ids; readers of answers seldom see it.",
    fix="Write U+000A behind the role and behind `<|im_end|>`, and end with `<|im_start|>assistant` and one more.",
    threads=("abetlen/llama-cpp-python#2040",),
)
def template_line_breaks() -> Iterator[Swap]:
    yield other_prompt(
        lambda prompt, messages: re.sub(r"(<\|im_start\|>[^\n]*)\n", r"\1", prompt).replace(
            "<|im_end|>\n", "<|im_end|>"
        )
    )


@known_bug(
    "text-before-image",
    mechanism="template",
    clauses=("P8",),
    symptom="Boxes are off by some pixels, always in one direction (9 in one report); descriptions read well.",
    cause="Texts and pictures of a message are collected apart, and the text is written first.",
    hidden_by="Messages whose text stands in front of the picture anyhow.",
    fix="Write the parts of a message in their order.",
    threads=("ml-explore/mlx-swift-lm#239", "ml-explore/mlx-swift-lm#242"),
)
def text_before_image() -> Iterator[Swap]:
    yield other_parts(lambda parts: sorted(parts, key=lambda part: part_kind(part) != "text"))


@known_bug(
    "pictures-before-videos",
    mechanism="template",
    clauses=("P5", "P8"),
    symptom="Questions about the first and the second medium of a message are answered for the wrong one.",
    cause="Pictures and videos of a message are collected apart, and the pictures are written first.",
    hidden_by="One kind of medium, and messages with all pictures in front of all videos.",
    fix="Write the parts of a message in their order.",
)
def pictures_before_videos() -> Iterator[Swap]:
    def sorted_media(parts: list[Any]) -> list[Any]:
        places = [i for i, part in enumerate(parts) if part_kind(part) != "text"]
        media = sorted((parts[i] for i in places), key=lambda part: part_kind(part) == "video")
        for i, medium in zip(places, media, strict=True):
            parts[i] = medium
        return parts

    yield other_parts(sorted_media)


@known_bug(
    "parts-joined-by-newline",
    mechanism="template",
    clauses=("P8",),
    symptom="Answers differ a little from upstream where a message has several parts.",
    cause="The parts of a message are joined by a line break, as other families do.",
    hidden_by="Messages of one part.",
    fix="Write nothing between the parts.",
)
def parts_joined_by_newline() -> Iterator[Swap]:
    def joined(parts: list[Any]) -> list[Any]:
        line = {"type": "text", "text": "\n"}
        return [piece for part in parts for piece in (line, part)][1:]

    yield other_parts(joined)


@known_bug(
    "vision-id-shared-counter",
    mechanism="template",
    clauses=("P9",),
    symptom="`Video 2` is answered for a video that is the first one.",
    cause="One counter for all media, where `add_vision_id` asks for numbers.",
    hidden_by="One kind of medium, and prompts without numbers, the default.",
    fix="Count pictures and videos apart.",
)
def vision_id_shared_counter() -> Iterator[Swap]:
    yield other_prompt(
        lambda prompt, messages: renumbered(prompt, lambda seen, kind: sum(seen.values()), restart=False)
    )


@known_bug(
    "vision-id-per-message",
    mechanism="template",
    clauses=("P9",),
    symptom="Two pictures of a conversation are both called `Picture 1`.",
    cause="The counters are made inside the loop over messages.",
    hidden_by="Media in one message alone, and prompts without numbers, the default.",
    fix="Count over the whole conversation.",
)
def vision_id_per_message() -> Iterator[Swap]:
    yield other_prompt(lambda prompt, messages: renumbered(prompt, lambda seen, kind: seen[kind], restart=True))

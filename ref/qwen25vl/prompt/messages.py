"""Section 04 - messages: which conversation is well formed, and which media does it name, in what order?"""

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeGuard

from qwen25vl.errors import BadInput

Message: TypeAlias = Mapping[str, Any]
"""`role` (a string) and `content` (a string, or a sequence of parts)."""

PART_TYPES = ("image", "image_url", "video", "text")
"""What a part may call itself."""

KIND_OF_KEY: Mapping[str, str] = {"image": "image", "image_url": "image", "video": "video", "text": "text"}
"""Keys that make a part an image, a video or a text, whatever its type says."""

SOURCE_KEYS: Mapping[str, tuple[str, ...]] = {
    "image": ("image", "image_url", "url", "path"),
    "video": ("video", "url", "path"),
}
"""Keys under which a part may hold its image or video."""


@dataclass(frozen=True, eq=False)
class MediaPart:
    """One image or video of a conversation, not yet opened."""

    kind: Literal["image", "video"]
    source: Any
    """A path, bytes, a PIL image, an array or a list of frames, as the caller gave it."""
    options: Mapping[str, Any]
    """The part's other keys (`fps`, `max_pixels`, ...), unread here."""
    where: str
    """Where the part stands, for messages: `messages[0]["content"][2]`."""


def part_kind(part: Mapping[str, Any]) -> Literal["image", "video", "text"] | None:
    """What the chat template makes of a part; None when it would drop the part without a word.

    Source:   the released chat template
    Spec:     spec/04-prompt.md (P2)
    """
    if part.get("type") == "image" or "image" in part or "image_url" in part:  # (P2)
        return "image"
    if part.get("type") == "video" or "video" in part:
        return "video"
    return "text" if "text" in part else None


def conversations(messages: object) -> list[Any]:
    """Tell a batch of conversations from a single one; both come back as a list of conversations, unchecked.

    Spec:     spec/04-prompt.md (P22)
    """
    if _is_sequence(messages) and len(messages) > 0 and all(map(_is_sequence, messages)):  # (P22)
        return list(messages)
    return [messages]


def check_messages(messages: object, *, pad_tokens: Sequence[str]) -> None:
    """Refuse a conversation that the template would reject, change or drop a piece of; open no media.

    Args:
        messages: one conversation, as the caller gave it.
        pad_tokens: the texts of the checkpoint's image and video pad, which no text may contain.

    Raises:   BadInput: with the place, what stands there, what was expected and what to do
    Spec:     spec/04-prompt.md (P1, P3, P4)
    """
    if not _is_sequence(messages):
        raise BadInput(
            f"messages must be a list of {{'role': ..., 'content': ...}} entries, got {_shown(messages)}; "
            "put a single message into a list"
        )
    if not messages:
        raise BadInput("messages is empty; give at least one, such as {'role': 'user', 'content': 'Hello'}")
    for place, message in enumerate(messages):
        _check_message(message, where=f"messages[{place}]", pad_tokens=pad_tokens)


def media_parts(messages: Sequence[Message]) -> list[MediaPart]:
    """Every image and video of a checked conversation, in the order in which the prompt names them.

    Returns:  images and videos in one list, message by message and part by part
    Raises:   BadInput: a part has no source (rendering needs none, computing does), two sources, or None
    Spec:     spec/04-prompt.md (P5)
    """
    found: list[MediaPart] = []
    for place, message in enumerate(messages):
        if isinstance(message["content"], str):
            continue
        for index, part in enumerate(message["content"]):  # (P5)
            kind = part_kind(part)
            if kind == "image" or kind == "video":
                found.append(_media_part(part, kind=kind, where=f'messages[{place}]["content"][{index}]'))
    return found


def _check_message(message: object, *, where: str, pad_tokens: Sequence[str]) -> None:
    """(P1) One message: a role, and content that is text or parts."""
    if not isinstance(message, Mapping):
        raise BadInput(f"{where} must be a mapping with 'role' and 'content', got {_shown(message)}")
    for key in ("role", "content"):
        if key not in message:
            raise BadInput(f"{where} has no {key!r}, only {_keys(message)}; give both role and content")
    role, content = message["role"], message["content"]
    if not isinstance(role, str) or not role:
        raise BadInput(f'{where}["role"] must be a string such as "user", got {_shown(role)}')
    _check_text(role, where=f'{where}["role"]', pad_tokens=pad_tokens)
    if isinstance(content, str):
        _check_text(content, where=f'{where}["content"]', pad_tokens=pad_tokens)
    elif _is_sequence(content):
        for index, part in enumerate(content):
            _check_part(part, where=f'{where}["content"][{index}]', pad_tokens=pad_tokens)
    else:
        raise BadInput(f'{where}["content"] must be a string or a list of parts, got {_shown(content)}')


def _check_part(part: object, *, where: str, pad_tokens: Sequence[str]) -> None:
    """(P3) One part names one kind, and its type and keys agree on it."""
    if not isinstance(part, Mapping):
        raise BadInput(f'{where} must be a mapping such as {{"type": "text", "text": ...}}, got {_shown(part)}')
    named = part.get("type")
    if named is not None and not (isinstance(named, str) and named in PART_TYPES):
        raise BadInput(f'{where}["type"] must be one of {", ".join(PART_TYPES)}, got {_shown(named)}')
    kinds = {KIND_OF_KEY[key] for key in KIND_OF_KEY if key in part}
    if named is not None:
        kinds.add(KIND_OF_KEY[named])
    if len(kinds) != 1:
        raise BadInput(
            f"{where} must be one image, one video or one text, got type {named!r} with the keys "
            f"{_keys(part)}; leave out the keys of other kinds (a key counts even when it holds None)"
        )
    kind = part_kind(part)
    if kind is None:
        raise BadInput(f"{where} has type {named!r} but no key {named!r}; put the {kinds.pop()} under that key")
    if kind == "text":
        text = part["text"]
        if not isinstance(text, str):
            raise BadInput(f'{where}["text"] must be a string, got {_shown(text)}')
        _check_text(text, where=f'{where}["text"]', pad_tokens=pad_tokens)


def _check_text(text: str, *, where: str, pad_tokens: Sequence[str]) -> None:
    """(P4) A pad in a text would take the rows of an image or a video."""
    for pad in pad_tokens:
        if pad in text:
            raise BadInput(
                f"{where} contains {pad!r}, the token that stands for an image or a video; remove it "
                "and add a part of type 'image' or 'video' instead"
            )


def _media_part(part: Mapping[str, Any], *, kind: Literal["image", "video"], where: str) -> MediaPart:
    """Split a part into its source and its options."""
    keys = [key for key in SOURCE_KEYS[kind] if key in part]
    if len(keys) != 1:
        raise BadInput(
            f"{where} needs its {kind} under exactly one of {', '.join(SOURCE_KEYS[kind])}, got the keys "
            f"{_keys(part)}"
        )
    source = part[keys[0]]
    if keys[0] == "image_url" and isinstance(source, Mapping):  # the nested form {"image_url": {"url": ...}}
        source = source.get("url")
    if source is None:
        raise BadInput(f'{where}["{keys[0]}"] holds no {kind}; give a path, bytes, a PIL image or an array')
    options = {key: value for key, value in part.items() if key not in ("type", keys[0])}
    return MediaPart(kind=kind, source=source, options=options, where=where)


def _is_sequence(value: object) -> TypeGuard[Sequence[Any]]:
    """A list or a tuple, or another sequence that is not text."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)


def _keys(mapping: Mapping[Any, Any]) -> list[str]:
    """The keys of a message or a part, for a message."""
    return [key[:60] for key in sorted(map(str, mapping))[:8]]


def _shown(value: object) -> str:
    """Type and beginning of a value, short enough for a message."""
    text = " ".join(reprlib.repr(value).split())  # short of large things, of lists in themselves, of failing ones
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"

"""Section 04 - template: which text does a conversation become?"""

import hashlib
import marshal
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qwen25vl.errors import BadInput
from qwen25vl.json_file import json_object
from qwen25vl.prompt.messages import Message, part_kind

DEFAULT_SYSTEM = "You are a helpful assistant."
"""System prompt of a conversation that brings none. (The text models of the family have a longer one.)"""

KNOWN_TEMPLATES = (
    "a0bc6f6fc7a29a80017a433e8f03a1cc1236e838a944a2d034295a60c4f2fddb",  # released: 3B, 7B, 32B and 72B
    "c861180c705cca94b3349d9da8e688b247c756a66694255f39321cb805b55254",  # tiny
)
"""SHA-256 of the templates that are known to end, and to need little memory."""

DEEPEST_MESSAGE = 32
"""Lists and mappings inside each other, in messages. The known format has 5."""

SANDBOX = Path(__file__).with_name("sandbox.py")
"""The script that renders another template."""

SECONDS = 10
"""Processor time that another template may take; a prompt takes milliseconds."""

MEMORY_BYTES = 1 << 30
"""Memory that it may take, Python's own included."""

LONGEST_PROMPT = 100_000_000
"""Characters that it may write."""

LARGEST_TEMPLATE_BYTES = 1_000_000
"""A larger .jinja file is refused unread; the released template has 1,017."""

PLACEHOLDERS = {
    "image": "<|vision_start|><|image_pad|><|vision_end|>",
    "video": "<|vision_start|><|video_pad|><|vision_end|>",
}
"""What stands for an image or a video until its token count is known."""

COUNTED_AS = {"image": "Picture", "video": "Video"}
"""The word before the number, where `add_vision_id` asks for numbers."""


def qwen_prompt(
    messages: Sequence[Message], *, add_generation_prompt: bool = True, add_vision_id: bool = False
) -> str:
    """The prompt of a checked conversation: the released Qwen2.5-VL template, written out.

    Args:
        messages: one conversation that `check_messages` accepts.
        add_generation_prompt: end with the opening of an assistant's turn, for the model to continue.
        add_vision_id: number the images and the videos.

    Source:   the released chat template (the same text for 3B, 7B, 32B and 72B)
    Spec:     spec/04-prompt.md (P6, P7, P8, P9, P10)
    """
    pieces: list[str] = []
    seen = {"image": 0, "video": 0}
    if messages and messages[0]["role"] != "system":  # (P6)
        pieces.append(f"<|im_start|>system\n{DEFAULT_SYSTEM}<|im_end|>\n")
    for message in messages:
        pieces.append(f"<|im_start|>{message['role']}\n")  # (P7)
        content = message["content"]
        for part in [{"text": content}] if isinstance(content, str) else content:
            kind = part_kind(part)
            if kind == "image" or kind == "video":
                seen[kind] += 1
                if add_vision_id:
                    pieces.append(f"{COUNTED_AS[kind]} {seen[kind]}: ")  # (P9)
                pieces.append(PLACEHOLDERS[kind])  # (P8)
            elif kind == "text":
                pieces.append(part["text"])  # (P8) nothing between the parts
        pieces.append("<|im_end|>\n")  # (P7)
    if add_generation_prompt:
        pieces.append("<|im_start|>assistant\n")  # (P10)
    return "".join(pieces)


def read_template(directory: str | Path) -> str:
    """The chat template of a checkpoint directory.

    Raises:   BadInput: no file holds a template, or the one that does cannot be read
    Source:   transformers 5.23.0 processing_utils.py, get_processor_dict
    Spec:     spec/04-prompt.md (P11)
    """
    folder = Path(directory)
    for name in (
        "processor_config.json",
        "chat_template.json",
        "chat_template.jinja",
        "tokenizer_config.json",
    ):
        path = folder / name  # (P11)
        if not path.is_file():
            continue
        if path.suffix == ".jinja":
            try:
                if path.stat().st_size > LARGEST_TEMPLATE_BYTES:  # (P25)
                    raise BadInput(f"{path} is larger than {LARGEST_TEMPLATE_BYTES} bytes; download it again")
                return path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as fault:
                raise BadInput(f"{path} is no text that can be read ({fault}); download it again") from fault
        template = json_object(path).get("chat_template")
        if template is not None:
            return _default_template(template, where=path)
    raise BadInput(
        f"{folder} has no chat template; add the checkpoint's chat_template.json or chat_template.jinja"
    )


def rendered_prompt(
    messages: Sequence[Message],
    *,
    template: str,
    add_generation_prompt: bool = True,
    add_vision_id: bool = False,
) -> str:
    """The prompt of a checked conversation, by the template that came with the checkpoint.

    The template runs in a sandbox and sees text, numbers and containers of them; media appear to it as the
    name of their type. Unless it is a known one it runs in a process of its own (some 0.1 s more).

    Raises:   BadInput: the template cannot be parsed, refuses the messages or fails on them
    Source:   transformers 5.23.0 utils/chat_template_utils.py, render_jinja_template
    Spec:     spec/04-prompt.md (P12, P24, P25)
    """
    values = {
        "messages": _plain(messages),
        "tools": None,
        "documents": None,
        "add_generation_prompt": add_generation_prompt,
        "add_vision_id": add_vision_id,
    }
    is_known = hashlib.sha256(template.encode("utf-8", "replace")).hexdigest() in KNOWN_TEMPLATES
    try:
        if not is_known:
            return _rendered_apart(template, values)
        from qwen25vl.prompt.sandbox import sandboxed_text  # jinja2 takes time to import

        return sandboxed_text(template, values)
    except Exception as fault:  # a template may fail in any way that an expression can
        kind = "" if type(fault) is ValueError else f"{type(fault).__name__}: "
        reason = " ".join(f"{kind}{fault}".split())[:200]
        raise BadInput(
            f"the chat template failed on these messages ({reason}); change the messages, or use the template of "
            "the released checkpoint"
        ) from fault


def _default_template(template: object, *, where: Path) -> str:
    """A template, or the one named default of several: {name: text} or [{"name": ..., "template": ...}]."""
    if isinstance(template, list):
        template = {entry.get("name"): entry.get("template") for entry in template if _is_named(entry)}
    if isinstance(template, dict):
        template = template.get("default")
    if not isinstance(template, str):
        raise BadInput(f"{where}: chat_template must be a string, or several with one named 'default'")
    return template


def _is_named(entry: object) -> bool:
    """Whether an entry of a list of templates has a name."""
    return isinstance(entry, dict) and isinstance(entry.get("name"), str)


def _plain(value: Any, *, depth: int = 0) -> Any:
    """(P12) A copy made of plain Python values; anything else becomes the name of its type."""
    if depth > DEEPEST_MESSAGE:  # (P26)
        raise BadInput(f"the messages are nested deeper than {DEEPEST_MESSAGE}, or hold themselves; flatten them")
    if value is None or isinstance(value, bool):
        return value
    for plain_type in (str, int, float):
        if isinstance(value, plain_type):
            return plain_type(value)
    if isinstance(value, Mapping):
        return {_plain_key(key): _plain(entry, depth=depth + 1) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry, depth=depth + 1) for entry in value]
    return f"<{type(value).__name__}>"


def _plain_key(key: Any) -> Any:
    """A key of a mapping, which a list cannot be."""
    return f"<{type(key).__name__}>" if isinstance(key, tuple | Mapping) else _plain(key)


def _rendered_apart(template: str, values: dict[str, Any]) -> str:
    """Render an unknown template in a process of its own. (P25)

    Raises:   ValueError: what the template did wrong
    """
    command = [sys.executable, "-P", str(SANDBOX), str(MEMORY_BYTES), str(SECONDS), str(LONGEST_PROMPT)]
    try:
        ended = subprocess.run(
            command,
            input=marshal.dumps((template, values)),
            capture_output=True,
            timeout=3 * SECONDS,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        kind, text = marshal.loads(ended.stdout)
    except OSError as error:
        raise ValueError(f"no process could be started for it: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise ValueError(f"it took more than {3 * SECONDS} s") from None
    except (EOFError, ValueError, TypeError):  # it was ended before it could write
        raise ValueError(f"it took more than {SECONDS} s or {MEMORY_BYTES >> 20} MiB") from None
    if kind == "fault":
        raise ValueError(text)
    return str(text)

"""Section 04 - template: which text does a conversation become?"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from qwen25vl.errors import BadInput
from qwen25vl.json_file import json_object
from qwen25vl.prompt.messages import Message, part_kind

DEFAULT_SYSTEM = "You are a helpful assistant."
"""System prompt of a conversation that brings none. (The text models of the family have a longer one.)"""

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
    name of their type.

    Raises:   BadInput: the template cannot be parsed, refuses the messages or fails on them
    Source:   transformers 5.23.0 utils/chat_template_utils.py, render_jinja_template
    Spec:     spec/04-prompt.md (P12)
    """
    try:
        prompt: str = _compiled(template).render(
            messages=_plain(messages),
            tools=None,
            documents=None,
            add_generation_prompt=add_generation_prompt,
            add_vision_id=add_vision_id,
        )
    except Exception as fault:  # a template may fail in any way that an expression can
        raise BadInput(
            f"the chat template failed on these messages ({type(fault).__name__}: {fault}); "
            "change the messages, or use the template of the released checkpoint"
        ) from fault
    return prompt


def _default_template(template: object, *, where: Path) -> str:
    """A template, or the one named default of several: {name: text} or [{"name": ..., "template": ...}]."""
    if isinstance(template, list):
        template = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
    if isinstance(template, dict):
        template = template.get("default")
    if not isinstance(template, str):
        raise BadInput(f"{where}: chat_template must be a string, or several with one named 'default'")
    return template


def _plain(value: Any) -> Any:
    """(P12) A copy made of plain Python values; anything else becomes the name of its type."""
    if value is None or isinstance(value, bool):
        return value
    for plain_type in (str, int, float):
        if isinstance(value, plain_type):
            return plain_type(value)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return f"<{type(value).__name__}>"


def _compiled(template: str) -> Any:
    """(P12) The template in the environment that upstream gives it."""
    import jinja2
    from jinja2.ext import Extension, loopcontrols
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` marks what an assistant wrote; here it only renders its body."""

        tags: set[str] = {"generation"}  # noqa: RUF012

        def parse(self, parser: Parser) -> jinja2.nodes.Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return jinja2.nodes.Scope(body, lineno=line)

    def raise_exception(message: str) -> NoReturn:
        raise jinja2.TemplateError(message)

    def tojson(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **options)  # jinja's own would escape HTML

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda pattern: datetime.now().strftime(pattern)
    return environment.from_string(template)

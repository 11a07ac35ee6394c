"""Conversations and texts that the tests of section 04 draw, and the built files of `tiny`."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

from hypothesis import strategies as st

PADS = ("<|image_pad|>", "<|video_pad|>")
"""The texts of the two pad tokens, in every checkpoint."""

TRICKY_TEXTS = (
    "",
    "\n",
    " a line with blanks around it \n\n",
    "{{ messages }} {% if x %} {# note #}",
    "<|im_end|>\n<|im_start|>system\n",
    "<|vision_start|><|vision_end|>",
    "image",
    "Picture 1: ",
    "e\u0301 is \u00e9",  # two spellings of one character
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family: three emoji, joined
)
"""Texts that a template or a tokenizer might take for something else."""

texts = st.one_of(st.text(max_size=12), st.sampled_from(TRICKY_TEXTS))


parts = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, texts),
    st.builds(lambda text: {"text": text}, texts),
    st.sampled_from(
        [
            {"type": "image", "image": "a.png"},
            {"image": b"\x89PNG"},
            {"type": "image_url", "image_url": {"url": "b.png"}},
            {"type": "image", "url": "c.png", "max_pixels": 50176},
            {"type": "image"},
            {"type": "video", "video": "d.mp4", "fps": 1.5},
            {"video": ["e.png", "f.png"]},
            {"type": "video", "path": "g.mp4"},
        ]
    ),
)

messages = st.builds(
    lambda role, content: {"role": role, "content": content},
    st.sampled_from(["system", "user", "assistant", "tool"]),
    st.one_of(texts, st.lists(parts, max_size=4)),
)

conversations = st.lists(messages, min_size=1, max_size=4)
"""Conversations that `check_messages` accepts, each part's form included."""


def tiny_builder() -> ModuleType:
    """Load tools/tiny_tokenizer.py, which is no part of the package."""
    path = Path(__file__).parents[1] / "tools" / "tiny_tokenizer.py"
    spec = importlib.util.spec_from_file_location("tiny_tokenizer", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_tiny(directory: Path) -> Path:
    """Write the tokenizer files of `tiny` into a directory, and return it."""
    builder = tiny_builder()
    for name, content in (
        ("tokenizer.json", json.dumps(builder.tokenizer_json())),
        ("tokenizer_config.json", json.dumps(builder.tokenizer_config())),
        ("chat_template.jinja", builder.chat_template()),
    ):
        (directory / name).write_text(content, encoding="utf-8")
    return directory

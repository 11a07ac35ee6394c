"""The tokenizer and the chat template of the package's `tiny` checkpoint, built from the tables below.

Everything follows the released files in structure (normaliser, split pattern, byte alphabet, merges, the
22 added tokens and their flags), so that one loader reads both; only the vocabulary is small. The functions
return the content of tokenizer.json and tokenizer_config.json and the text of the template; nothing here
reads a file or a clock.
"""

from typing import Any

WORDS = {
    "function words": "a an the of on in at and with to is are has there one two",
    "colours": "red green blue yellow black white grey orange",
    "things": "square circle triangle stripe dot line cat dog bird tree house car man woman ball box sky sun "
    "sea text picture video frame",
    "positions": "left right top bottom above below beside behind between",
    "verbs": "shows stands sits runs moves sees turns holds",
    "default system prompt": "helpful assistant",
}
"""Words that are one token after a space: captions of simple pictures, and the default system prompt."""

FIRST_WORDS = "system user assistant You Picture Video"
"""Words that are one token where no space precedes them: roles, and the first word of a line."""

ADDED_TOKENS = (
    ("<|endoftext|>", True),
    ("<|im_start|>", True),
    ("<|im_end|>", True),
    ("<|object_ref_start|>", True),
    ("<|object_ref_end|>", True),
    ("<|box_start|>", True),
    ("<|box_end|>", True),
    ("<|quad_start|>", True),
    ("<|quad_end|>", True),
    ("<|vision_start|>", True),
    ("<|vision_end|>", True),
    ("<|vision_pad|>", True),
    ("<|image_pad|>", True),
    ("<|video_pad|>", True),
    ("<tool_call>", False),
    ("</tool_call>", False),
    ("<|fim_prefix|>", False),
    ("<|fim_middle|>", False),
    ("<|fim_suffix|>", False),
    ("<|fim_pad|>", False),
    ("<|repo_name|>", False),
    ("<|file_sep|>", False),
)
"""Text and special flag, in the released order; ids follow the BPE entries without a gap."""

SPLIT_PATTERN = "|".join(
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",  # English contractions
        r"[^\r\n\p{L}\p{N}]?\p{L}+",  # letters; one other sign (no digit, no line break) may lead
        r"\p{N}",  # single digits
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",  # signs, with a leading space and the line breaks that follow
        r"\s*[\r\n]+",  # line breaks, with the blanks before them
        r"\s+(?!\S)",  # blanks, but for the last one before a word
        r"\s+",
    )
)
"""Where the text is cut before byte pairs are merged: the Qwen2 pattern."""

CHAT_TEMPLATE = r"""{%- set seen = namespace(pictures=0, videos=0) -%}
{%- if messages and messages[0]['role'] != 'system' -%}
    {{- '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' -}}
{%- endif -%}
{%- for message in messages -%}
    {{- '<|im_start|>' ~ message['role'] ~ '\n' -}}
    {%- if message['content'] is string -%}
        {{- message['content'] -}}
    {%- else -%}
        {%- for part in message['content'] -%}
            {%- if part['type'] == 'image' or 'image' in part or 'image_url' in part -%}
                {%- set seen.pictures = seen.pictures + 1 -%}
                {%- if add_vision_id -%}
                    {{- 'Picture ' ~ seen.pictures ~ ': ' -}}
                {%- endif -%}
                {{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
            {%- elif part['type'] == 'video' or 'video' in part -%}
                {%- set seen.videos = seen.videos + 1 -%}
                {%- if add_vision_id -%}
                    {{- 'Video ' ~ seen.videos ~ ': ' -}}
                {%- endif -%}
                {{- '<|vision_start|><|video_pad|><|vision_end|>' -}}
            {%- elif 'text' in part -%}
                {{- part['text'] -}}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{- '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\n' -}}
{%- endif -%}
"""
"""The text of `chat_template`."""


def byte_alphabet() -> list[str]:
    """One printable sign per byte, in the order of ids 0 to 255: first the bytes that print themselves.

    The others (controls, the space, 127 to 160, 173) take the signs from U+0100 on, so the space is U+0120.
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(0x100 + place) for place in range(len(hidden))]


def merges() -> list[tuple[str, str]]:
    """Pairs in order of rank: each word is built from its left end, a pair for each further letter.

    The words after a space come first: their merges have the lowest ranks, which go first, so a whole word
    always wins over the pieces that `FIRST_WORDS` would cut out of its middle.
    """
    space = "\u0120"
    words = [space + word for group in WORDS.values() for word in group.split()] + FIRST_WORDS.split()
    pairs = [(word[:end], word[end]) for word in words for end in range(1, len(word))]
    return list(dict.fromkeys(pairs))  # common beginnings once


def bpe_vocabulary() -> dict[str, int]:
    """Id of every BPE entry: 256 bytes, then one per merge."""
    entries = byte_alphabet() + [left + right for left, right in merges()]
    return {entry: place for place, entry in enumerate(entries)}


def special_ids() -> dict[str, int]:
    """Id of every added token, directly after the BPE entries."""
    first = len(bpe_vocabulary())
    return {text: first + place for place, (text, _) in enumerate(ADDED_TOKENS)}


def _flags(special: bool) -> dict[str, bool]:
    """How an added token is matched: literally, before normalisation, anywhere in the text."""
    return {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": special}


def tokenizer_json() -> dict[str, Any]:
    """Content of tokenizer.json."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": SPLIT_PATTERN}, "behavior": "Isolated", "invert": False}
    ids = special_ids()
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": ids[text], "content": text, **_flags(special)} for text, special in ADDED_TOKENS],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": bpe_vocabulary(),
            "merges": [f"{left} {right}" for left, right in merges()],
        },
    }


def tokenizer_config() -> dict[str, Any]:
    """Content of tokenizer_config.json. The chat template stands in its own file, not here."""
    ids = special_ids()
    return {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": {
            str(ids[text]): {"content": text, **_flags(special)} for text, special in ADDED_TOKENS
        },
        "additional_special_tokens": [text for text, special in ADDED_TOKENS[1:] if special],
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 4096,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }


def chat_template() -> str:
    """Text of the chat template: renders byte for byte what the released template renders.

    Every tag carries trim markers on both sides, so nothing of the layout is rendered, whatever the engine
    strips by itself; a line break that belongs to the prompt is written inside a string.
    """
    return CHAT_TEMPLATE

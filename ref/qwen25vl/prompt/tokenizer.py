"""Section 04 - tokenizer: which ids stand for a text, and which text stands for ids?"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen25vl.errors import BadInput
from qwen25vl.json_file import json_object
from qwen25vl.wording import shown

if TYPE_CHECKING:
    import tokenizers

REPLACEMENT = "\ufffd"
"""What bytes that are no UTF-8 decode to."""

LARGEST_TOKENIZER_BYTES = 100_000_000
"""A larger tokenizer.json is refused unread; the released one has 7,031,645 bytes."""

ADVICE = "take the files of one released checkpoint"
"""What to do about files that do not go together, or are not of this model."""

ID_LIMIT = 2**32
"""Ids are unsigned 32-bit numbers in the compiled tokenizer."""


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A checkpoint's tokenizer: byte-level byte-pair encoding, and added tokens, matched literally.

    Spec:     spec/04-prompt.md (P13, P14, P15, P16, P18)
    """

    backend: "tokenizers.Tokenizer"
    """The compiled tokenizer that tokenizer.json describes."""

    def encode(self, text: str) -> list[int]:
        """Ids of a text; nothing is added at either end.

        (P13) take out the added tokens, (P14) compose the rest, (P15) cut it into pieces, (P16) merge the
        bytes of each.

        Returns:  one id for each added token in the text, the BPE ids of what lies between
        Raises:   BadInput: the text holds half of a surrogate pair, which has no UTF-8 bytes
        """
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as fault:
            raise BadInput(
                f"the text holds half of a surrogate pair at character {fault.start}; "
                "remove it, or decode the text with surrogates joined"
            ) from fault
        with _faults_as("the tokenizer failed on this text ({}); shorten it, or take the released tokenizer.json"):
            return list(self.backend.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """Text of ids: the bytes of all tokens in a row, read as UTF-8.

        Args:
            ids: one without a token (a padding row of the embedding) has no text.
            skip_special_tokens: leave out the added tokens that are flagged special.

        Returns:  the text, with U+FFFD in place of bytes that are no UTF-8
        Raises:   BadInput: an id is negative, or beyond 32 bits
        """
        plain = [int(token_id) for token_id in ids]
        for token_id in plain:
            if not 0 <= token_id < ID_LIMIT:
                raise BadInput(f"a token id must lie between 0 and {ID_LIMIT - 1}, got {token_id}")
        with _faults_as("the tokenizer failed on these ids ({}); take the released tokenizer.json"):
            return self.backend.decode(plain, skip_special_tokens=skip_special_tokens)  # (P18)

    def token(self, token_id: int) -> str:
        """Text of an added token, or the byte signs of a BPE entry (a space shows as U+0120)."""
        text = self.backend.id_to_token(token_id) if 0 <= token_id < ID_LIMIT else None
        if text is None:
            raise BadInput(f"no token has the id {token_id}; ids run from 0 to {self.vocab_size - 1}")
        return text

    def id(self, token: str) -> int:
        """Id of one token, written as `token` returns it."""
        with _faults_as(f"the tokenizer cannot look {shown(token)} up ({{}}); give the text of a token"):
            found = self.backend.token_to_id(token)
        if found is None:
            raise BadInput(f"the tokenizer has no token {token[:60]!r}; give one of its vocabulary")
        return found

    @property
    def vocab_size(self) -> int:
        """Tokens that exist; the embedding may have more rows."""
        return self.backend.get_vocab_size(with_added_tokens=True)


def load_tokenizer(directory: str | Path) -> Tokenizer:
    """The tokenizer of a checkpoint directory: tokenizer.json, completed by tokenizer_config.json.

    Raises:   BadInput: tokenizer.json is missing or malformed, or a token cannot be given its id
    Source:   transformers 5.23.0 tokenization_utils_base.py, _from_pretrained
    Spec:     spec/04-prompt.md (P17)
    """
    import tokenizers  # takes longer to import than the rest of the package

    path = Path(directory) / "tokenizer.json"
    if not path.is_file():
        raise BadInput(f"{path} does not exist; give the directory of a checkpoint with its tokenizer.json")
    if path.stat().st_size > LARGEST_TOKENIZER_BYTES:  # (C29)
        raise BadInput(f"{path} is larger than {LARGEST_TOKENIZER_BYTES} bytes; download it again")
    with _faults_as(f"{path} is no tokenizer.json that can be read ({{}}); download it again"):
        backend = tokenizers.Tokenizer.from_file(str(path))
    if not isinstance(backend.model, tokenizers.models.BPE):
        raise BadInput(f"{path} must hold a tokenizer of type BPE, got {type(backend.model).__name__}; {ADVICE}")
    config = path.with_name("tokenizer_config.json")
    listed = _listed_tokens(config) if config.is_file() else []
    present = {token.content for token in backend.get_added_tokens_decoder().values()}
    missing = [entry for entry in listed if entry["content"] not in present]
    if missing:  # (P17)
        backend = _completed(path, missing)
    for entry in listed:
        with _faults_as(f"{config} lists a token that cannot be looked up ({{}}); {ADVICE}"):
            found = backend.token_to_id(entry["content"])
        if found != entry["id"]:
            raise BadInput(
                f"{config} gives {shown(entry['content'])} the id {entry['id']}, but with {path.name} it gets "
                f"{found}; use the two files of one checkpoint"
            )
    return Tokenizer(backend)


def complete_text(tokenizer: Tokenizer, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
    """Text of ids without a character at the end whose bytes have not all arrived.

    For streaming: the result for some ids is always the beginning of the result for more of them.

    Spec:     spec/04-prompt.md (P19)
    """
    text = tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)
    return text.removesuffix(REPLACEMENT)  # (P19) one sign, however many bytes of a character are there


def _listed_tokens(config: Path) -> list[dict[str, Any]]:
    """The tokens of `added_tokens_decoder`, in the form in which tokenizer.json lists its own."""
    entries = json_object(config).get("added_tokens_decoder", {})
    try:
        return [
            {
                "id": int(token_id),
                "content": str(entry["content"]),
                "special": bool(entry.get("special", False)),
                "normalized": bool(entry.get("normalized", not entry.get("special", False))),
                **{flag: bool(entry.get(flag, False)) for flag in ("single_word", "lstrip", "rstrip")},
            }
            for token_id, entry in entries.items()
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as fault:
        raise BadInput(
            f"{config}: added_tokens_decoder must map ids to {{'content': text, ...}} ({fault!r}); "
            "download it again"
        ) from fault


def _completed(path: Path, missing: list[dict[str, Any]]) -> "tokenizers.Tokenizer":
    """(P17) tokenizer.json with more added tokens, in the order of their ids.

    The compiled tokenizer numbers added tokens one after the other, whatever ids their entries hold.
    """
    import tokenizers

    content = json_object(path, largest_bytes=LARGEST_TOKENIZER_BYTES)
    content["added_tokens"] = sorted(
        [*content.get("added_tokens", []), *missing], key=lambda entry: int(entry["id"])
    )
    with _faults_as(f"{path} cannot be completed from tokenizer_config.json ({{}}); download both again"):
        return tokenizers.Tokenizer.from_str(json.dumps(content))


@contextlib.contextmanager
def _faults_as(sentence: str) -> Iterator[None]:
    """Turn whatever the compiled tokenizer raises into a refusal; its panics derive from BaseException alone."""
    try:
        yield
    except BaseException as fault:
        if not isinstance(fault, Exception) and type(fault).__name__ != "PanicException":
            raise
        reason = " ".join(str(fault).split())[:200]
        raise BadInput(reason.join(sentence.rsplit("{}", 1))) from fault

"""Known bugs of the tokenizer (section 04)."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from qwen25vl.port.mutants.mutant import Swap, known_bug
from qwen25vl.prompt.tokenizer import Tokenizer

if TYPE_CHECKING:
    import tokenizers

MARKERS = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")
"""What stands around and for media."""

FIRST_RELEASED_ID = 151643
"""Id of the first added token, `<|endoftext|>`, in every release."""

Content = dict[str, Any]
"""A tokenizer.json."""


def other_content(change: Callable[[Content], Content]) -> Swap:
    """Let text be encoded by another tokenizer.json: `change` gives the keys that differ."""
    made: dict[int, tokenizers.Tokenizer] = {}

    def encode(tokenizer: Tokenizer, text: str) -> list[int]:
        import tokenizers

        backend = tokenizer.backend
        if id(backend) not in made:
            content = json.loads(backend.to_str())
            made[id(backend)] = tokenizers.Tokenizer.from_str(json.dumps(content | change(content)))
        return list(made[id(backend)].encode(text, add_special_tokens=False).ids)

    return Swap("prompt.tokenizer.Tokenizer.encode", lambda right: encode)


def added_tokens_but(*left_out: str) -> Callable[[Content], Content]:
    """Let some added tokens be no tokens; all others keep their ids."""

    def change(content: Content) -> Content:
        added = content["added_tokens"]
        return {
            "added_tokens": [
                token | {"content": f"\0{token['id']}"} if token["content"] in left_out else token
                for token in added
            ]
        }

    return change


@known_bug(
    "pad-token-split",
    mechanism="tokenizer",
    clauses=("P13",),
    symptom="No place for the picture is found: an error about features and tokens, or an answer that ignores it.",
    cause="The markers are not known as added tokens, or special tokens are not looked for in the prompt, so that "
    "`<|image_pad|>` is plain text of several ids.",
    hidden_by="Every prompt without a picture.",
    fix="Take the added tokens of tokenizer.json out of the text first, literally; each is one id.",
)
def pad_token_split() -> Iterator[Swap]:
    yield other_content(added_tokens_but(*MARKERS))


@known_bug(
    "added-token-missing",
    mechanism="tokenizer",
    clauses=("P17",),
    symptom="`<|image_pad|>` is plain text, and `<|video_pad|>` and all behind it have an id that is one too low.",
    cause="Only tokenizer.json is read, and its list lacks a token that tokenizer_config.json has; the library "
    "numbers added tokens in their order, whatever id stands beside them.",
    hidden_by="Text alone. The released files of this model list all 22 tokens in both places; those of other "
    "members of the family do not.",
    fix="Add what stands only in `added_tokens_decoder` with the id that is given there, and compare all ids.",
    threads=("crusoecloud/fastokens#36",),
)
def added_token_missing() -> Iterator[Swap]:
    def change(content: Content) -> Content:
        return {
            "added_tokens": [token for token in content["added_tokens"] if token["content"] != "<|image_pad|>"]
        }

    yield other_content(change)


@known_bug(
    "special-ids-hard-coded",
    mechanism="tokenizer",
    clauses=("P13",),
    symptom="None with a release; with another vocabulary special tokens are unknown rows of the embedding.",
    cause="Special tokens are a table in the code, from 151643 on, beside a vocabulary that is read from a file.",
    hidden_by="Every release. In `tiny` the same tokens begin at 499.",
    fix="Read the ids from tokenizer.json.",
)
def special_ids_hard_coded() -> Iterator[Swap]:
    def by(right: Callable[..., list[int]]) -> Callable[..., list[int]]:
        def encode(tokenizer: Tokenizer, text: str) -> list[int]:
            first = tokenizer.backend.get_vocab_size(with_added_tokens=False)
            return [i if i < first else FIRST_RELEASED_ID + i - first for i in right(tokenizer, text)]

        return encode

    yield Swap("prompt.tokenizer.Tokenizer.encode", by)


@known_bug(
    "blanks-swallowed",
    mechanism="tokenizer",
    clauses=("P15",),
    symptom="Slightly worse answers to code, tables and indented text: runs of blanks have other ids.",
    cause="The split pattern lacks `\\s+(?!\\S)`, often because the expressions of the language know no "
    "look-ahead; a run of blanks is then one piece, and the word behind it has no blank.",
    hidden_by="Text with single blanks.",
    fix="Of a run of blanks in front of a word leave the last one to the word.",
)
def blanks_swallowed() -> Iterator[Swap]:
    def change(content: Content) -> Content:
        split, byte_level = content["pre_tokenizer"]["pretokenizers"]
        pattern = split["pattern"]["Regex"].replace(r"|\s+(?!\S)", "")
        changed = split | {"pattern": {"Regex": pattern}}
        return {"pre_tokenizer": content["pre_tokenizer"] | {"pretokenizers": [changed, byte_level]}}

    yield other_content(change)


@known_bug(
    "text-not-composed",
    mechanism="tokenizer",
    clauses=("P14",),
    symptom="Words with accents that are typed as separate characters, such as file names of macOS, and Korean of "
    "single letters are read worse.",
    cause="The normaliser of tokenizer.json, NFC, is not carried over.",
    hidden_by="ASCII, and text that is composed already, as most of it is.",
    fix="Bring what lies between the added tokens to Unicode normal form C.",
)
def text_not_composed() -> Iterator[Swap]:
    yield other_content(lambda content: {"normalizer": None})


@known_bug(
    "merge-across-cut",
    mechanism="tokenizer",
    clauses=("P15", "P16"),
    symptom="Some words have other ids than the model was trained with; answers are a little worse.",
    cause="Merges run over the whole text, without the split pattern.",
    hidden_by="Text in which no merge of the vocabulary crosses a cut: most short prompts.",
    fix="Cut the text by the split pattern of tokenizer.json, and merge within each piece.",
)
def merge_across_cut() -> Iterator[Swap]:
    yield other_content(lambda content: {"pre_tokenizer": content["pre_tokenizer"]["pretokenizers"][1]})


@known_bug(
    "longest-match",
    mechanism="tokenizer",
    clauses=("P16",),
    symptom="Some words have other ids than the model was trained with; answers are a little worse.",
    cause="Pieces are looked up from the left, the longest entry first, since the list of merges is not there or "
    "not read.",
    hidden_by="Most words: both rules agree on them.",
    fix="Join the neighbouring pair whose merge has the lowest rank, until none is left.",
)
def longest_match() -> Iterator[Swap]:
    def change(content: Content) -> Content:
        model = {"type": "WordPiece", "vocab": content["model"]["vocab"], "continuing_subword_prefix": ""}
        return {"model": model | {"unk_token": "", "max_input_chars_per_word": 1_000_000}}

    yield other_content(change)


@known_bug(
    "unknown-character-dropped",
    mechanism="tokenizer",
    clauses=("P16",),
    symptom="Rare characters, emoji and some scripts are not seen by the model.",
    cause="The vocabulary is looked up by characters, and there is no way back to bytes.",
    hidden_by="ASCII.",
    fix="Start each piece as its UTF-8 bytes; each of the 256 has an entry.",
)
def unknown_character_dropped() -> Iterator[Swap]:
    def by(right: Callable[..., list[int]]) -> Callable[..., list[int]]:
        def encode(tokenizer: Tokenizer, text: str) -> list[int]:
            return right(tokenizer, "".join(sign for sign in text if len(right(tokenizer, sign)) == 1))

        return encode

    yield Swap("prompt.tokenizer.Tokenizer.encode", by)


@known_bug(
    "special-in-text-escaped",
    mechanism="tokenizer",
    clauses=("P13",),
    symptom="A prompt that was written by hand, markers and all, is read as plain text; what users type differs "
    "from upstream where it holds a marker.",
    cause="Text that does not come from the template is encoded without special tokens, as protection against "
    "what users type.",
    hidden_by="Text without markers.",
    fix="Look for added tokens in all text. Who wants the protection removes markers before, and says so.",
)
def special_in_text_escaped() -> Iterator[Swap]:
    def change(content: Content) -> Content:
        special = [token["content"] for token in content["added_tokens"] if token["special"]]
        return added_tokens_but(*special)(content)

    def by(right: Callable[..., list[int]]) -> Callable[..., list[int]]:
        typed = other_content(change).by(right)

        def encode(tokenizer: Tokenizer, text: str) -> list[int]:
            is_of_template = text.startswith("<|im_start|>")
            return right(tokenizer, text) if is_of_template else typed(tokenizer, text)

        return encode

    yield Swap("prompt.tokenizer.Tokenizer.encode", by)


@known_bug(
    "decoded-id-by-id",
    mechanism="tokenizer",
    clauses=("P18", "P19"),
    symptom="Emoji and rare characters in answers are shown as U+FFFD signs, often while an answer is streamed.",
    cause="Each new id is decoded alone, and the texts are joined.",
    hidden_by="Answers in Latin letters, and all characters that have an entry of their own.",
    fix="Join the bytes of all ids, then read them as UTF-8; while streaming hold back an unfinished character.",
)
def decoded_id_by_id() -> Iterator[Swap]:
    def by(right: Callable[..., str]) -> Callable[..., str]:
        def decode(tokenizer: Tokenizer, ids: Sequence[int], **settings: Any) -> str:
            return "".join(right(tokenizer, [token_id], **settings) for token_id in ids)

        return decode

    yield Swap("prompt.tokenizer.Tokenizer.decode", by)

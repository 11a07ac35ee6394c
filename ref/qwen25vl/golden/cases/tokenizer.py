"""Section 15 - tokenizer cases: which ids stand for texts that a tokenizer may well get wrong?

The ids are those of the checkpoint that the corpus is made with; the texts are chosen so that the tokenizer of
`tiny` and the released one can both be seen to fail.
"""

from collections.abc import Iterator

from qwen25vl.golden.case import Lab, Part, count_part, text_part
from qwen25vl.golden.registry import case

MARKERS = "<|vision_start|><|vision_end|><|vision_pad|><|image_pad|><|video_pad|>"
"""The five markers of media, end to end."""


def encoded_parts(lab: Lab, text: str) -> Iterator[Part]:
    """Give a text, its ids, and the text that these stand for."""
    tokenizer = lab.processor.tokenizer
    ids = tokenizer.encode(text)
    yield text_part("inputs.text", text, "the text, UTF-8")
    yield count_part("outputs.ids", ids, "tokens", "its ids; nothing is added at either end")
    yield text_part("outputs.text", tokenizer.decode(ids), "the text of these ids, UTF-8")


@case(
    family="tokenizer",
    tier="unit",
    section="04",
    clauses=("P13",),
    kills=("pad-token-split", "added-token-missing", "special-ids-hard-coded"),
    note="With these five wrong, no picture is found in a prompt. Plain text shows nothing. In `tiny` they have "
    "other ids than in a release, so ids that are written into the code fail.",
    flags=("text",),
)
def vision_markers_are_one_id_each(lab: Lab) -> Iterator[Part]:
    """The five markers around pictures and videos are found literally and are one id each."""
    yield from encoded_parts(lab, MARKERS)


@case(
    family="tokenizer",
    tier="unit",
    section="04",
    clauses=("P13", "P16"),
    kills=("special-in-text-escaped", "merge-across-cut"),
    note="Letters touch the markers on both sides; one marker is misspelt and one cut off, and both are plain "
    "text. it'system and x'version are cut behind 's and 've, in front of whose rest a merge would run on.",
    flags=("text",),
)
def special_tokens_in_a_text_are_one_id(lab: Lab) -> Iterator[Part]:
    """Special tokens that a user types become their ids, and merges stop at them and at every cut."""
    text = "a<|im_end|>b<|im_start|>system\n<tool_call>x</tool_call> <|IM_END|> <|im_end it'system x'version"
    yield from encoded_parts(lab, text)


@case(
    family="tokenizer",
    tier="unit",
    section="04",
    clauses=("P16", "P18"),
    kills=("unknown-character-dropped",),
    note="Four-byte characters, joiners, a script without spaces, one from right to left, a control character. A "
    "character without an entry of its own is several ids.",
    flags=("text",),
)
def characters_without_an_entry_become_bytes(lab: Lab) -> Iterator[Part]:
    """Every character of every script becomes ids, byte by byte where nothing merges, and comes back."""
    scripts = "naïve Ελλάς Привет 中文字 日本語かな 한국어 العربية हिन्दी 𓂀"
    signs = "\U0001f468\u200d\U0001f469\u200d\U0001f467 𝔘 \x07 \u2028 ½²"
    yield from encoded_parts(lab, f"{scripts} {signs}")


@case(
    family="tokenizer",
    tier="unit",
    section="04",
    clauses=("P15",),
    kills=("blanks-swallowed",),
    note="Runs of blanks before words, signs, digits, line breaks and the end; tabs and a no-break space among "
    "them. Text with single blanks hides where a run is cut.",
    flags=("text",),
)
def runs_of_blanks_leave_one_to_the_word(lab: Lab) -> Iterator[Part]:
    """Of a run of blanks the last goes to the word behind it; line breaks take what stands before them."""
    text = "a   red  box, 2024   is  3.14159;\n\n  the\t\timage \r\n \u00a0\u00a0a ...\n\n\nend   "
    yield from encoded_parts(lab, text)


@case(
    family="tokenizer",
    tier="unit",
    section="04",
    clauses=("P14",),
    kills=("text-not-composed",),
    note="Letter and accent apart and together, two accents in either order, a Korean syllable of three parts, "
    "the sign of angstrom, and a ligature, which must stay.",
    flags=("text",),
)
def two_spellings_of_a_character_have_the_same_ids(lab: Lab) -> Iterator[Part]:
    """Text is brought to normal form C before it is cut, and no further."""
    text = "e\u0301 \u00e9 a\u0323\u0302 a\u0302\u0323 \u1112\u1161\u11ab \u212b \ufb01"
    yield from encoded_parts(lab, text)


@case(
    family="tokenizer",
    tier="unit",
    section="04",
    clauses=("P16",),
    kills=("longest-match",),
    note="Words whose longest first entry is not what merging by rank gives: in `tiny` asystem and usystem, in "
    "the release Affects, Batches, ATEN and more. Most words come out the same by either rule.",
    flags=("text",),
)
def the_merge_of_lowest_rank_comes_first(lab: Lab) -> Iterator[Part]:
    """Neighbours merge by rank, whatever longer entry the vocabulary has."""
    yield from encoded_parts(lab, "asystem usystem asy Affects Batches ATEN Census")


@case(
    family="tokenizer",
    tier="unit",
    section="04",
    clauses=("P18",),
    kills=("decoded-id-by-id",),
    note="A hieroglyph has no entry of its own; its ids, the last left out, stand before a letter. Bytes of "
    "several ids are one character, or none. Latin text decodes the same id by id.",
    flags=("text",),
)
def bytes_of_neighbouring_ids_are_read_together(lab: Lab) -> Iterator[Part]:
    """Ids are decoded as one row of bytes; what is no UTF-8 becomes U+FFFD, a half character one of them."""
    tokenizer = lab.processor.tokenizer
    ids = tokenizer.encode("a𓂀中b")
    torn = [*tokenizer.encode("𓂀")[:-1], *tokenizer.encode("b")]
    yield count_part("inputs.ids", ids, "tokens", "ids of a letter, a hieroglyph, an ideograph and a letter")
    yield count_part("inputs.torn_ids", torn, "tokens", "ids of the hieroglyph but for the last, then a letter")
    yield text_part("outputs.text", tokenizer.decode(ids), "the text of the former, UTF-8")
    yield text_part("outputs.torn_text", tokenizer.decode(torn), "the text of the latter, UTF-8")

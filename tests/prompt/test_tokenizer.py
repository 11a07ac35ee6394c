"""Section 04: which ids stand for a text, and which text stands for ids."""

import json
import subprocess
import sys
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompt_cases as cases
from qwen25vl.errors import BadInput
from qwen25vl.prompt.tokenizer import complete_text, load_tokenizer

EMOJI = "\U0001f600"
"""Four bytes in UTF-8, each a token of its own in `tiny`."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return cases.write_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def tokenizer(tiny):
    return load_tokenizer(tiny)


@pytest.fixture(scope="module")
def released_dir(data_dir):
    return data_dir / "qwen2.5-vl-7b-instruct"


@pytest.fixture(scope="module")
def released(released_dir):
    return load_tokenizer(released_dir)


def signs(tokenizer, text):
    return [tokenizer.token(token_id) for token_id in tokenizer.encode(text)]


@given(before=cases.texts, after=cases.texts)
def test_p13_an_added_token_in_the_text_is_one_id_wherever_it_stands(tokenizer, before, after):
    for token in ("<|im_start|>", "<|image_pad|>", "<tool_call>"):
        ids = tokenizer.encode(before + token + after)
        assert ids == [*tokenizer.encode(before), tokenizer.id(token), *tokenizer.encode(after)]


def test_p13_an_added_token_is_matched_to_the_letter(tokenizer):
    assert tokenizer.id("<|im_start|>") not in tokenizer.encode("<|IM_START|> <| im_start |> <|im_start")


def test_p14_two_spellings_of_one_character_have_the_same_ids(tokenizer):
    assert tokenizer.encode("e\u0301") == tokenizer.encode("\u00e9")
    assert signs(tokenizer, "\ufb01") == ["ï", "¬", "ģ"]  # a ligature stays: NFC, not NFKC


def test_p15_digits_stand_alone(tokenizer):
    assert signs(tokenizer, "a 2024") == ["a", "Ġ", "2", "0", "2", "4"]


def test_p15_the_last_blank_before_a_word_belongs_to_the_word(tokenizer):
    assert signs(tokenizer, "a   red") == ["a", "Ġ", "Ġ", "Ġred"]


def test_p15_a_merge_never_crosses_a_cut(tokenizer):
    assert signs(tokenizer, "-system") == ["-", "system"]
    assert signs(tokenizer, "'system") == ["'", *"system"]  # cut behind "'s", as if it were a contraction


def pairwise_merged(word: str, ranks: dict[tuple[str, str], int]) -> list[str]:
    """Byte-pair encoding of one piece, written from the clause."""
    pieces = list(word)
    while True:
        ranked = [(ranks[pair], at) for at, pair in enumerate(pairwise(pieces)) if pair in ranks]
        if not ranked:
            return pieces
        _, at = min(ranked)
        pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]


@given(word=st.text(alphabet="asystemuriPVcYou", min_size=1, max_size=14), space=st.booleans())
def test_p16_the_pair_of_lowest_rank_merges_first_and_the_leftmost_of_equals(tokenizer, word, space):
    ranks = {pair: rank for rank, pair in enumerate(cases.tiny_builder().merges())}
    blank = "Ġ" if space else ""
    assert signs(tokenizer, " " * space + word) == pairwise_merged(blank + word, ranks)


def test_p16_a_longer_match_does_not_win_over_a_lower_rank(tokenizer):
    # From the left the longest entry is "as"; but "s y" of "system" has the lower rank.
    assert signs(tokenizer, "asy") == ["a", "sy"]


@given(text=cases.texts)
def test_p16_nothing_is_added_at_either_end(tokenizer, text):
    assert tokenizer.encode("") == []
    assert tokenizer.decode(tokenizer.encode(text)) == unicodedata.normalize("NFC", text)


def without_tokens(tiny, folder, *names):
    """A copy of `tiny` in which these added tokens stand only in tokenizer_config.json."""
    content = json.loads((tiny / "tokenizer.json").read_text(encoding="utf-8"))
    content["added_tokens"] = [entry for entry in content["added_tokens"] if entry["content"] not in names]
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "tokenizer_config.json").write_bytes((tiny / "tokenizer_config.json").read_bytes())
    return folder


@pytest.mark.parametrize("missing", [("<|image_pad|>",), ("<|repo_name|>", "<|file_sep|>"), ("<|endoftext|>",)])
def test_p17_a_token_only_in_tokenizer_config_gets_its_id_there(tiny, tokenizer, tmp_path, missing):
    mended = load_tokenizer(without_tokens(tiny, tmp_path, *missing))
    assert mended.vocab_size == tokenizer.vocab_size
    for token in cases.tiny_builder().special_ids():
        text = f"a{token}b"
        assert mended.encode(text) == tokenizer.encode(text)
        for skip in (False, True):  # the flag came along
            ids = tokenizer.encode(text)
            assert mended.decode(ids, skip_special_tokens=skip) == tokenizer.decode(ids, skip_special_tokens=skip)


def test_p17_a_token_that_would_get_another_id_is_refused(tiny, tmp_path):
    without_tokens(tiny, tmp_path, "<|image_pad|>")
    config = json.loads((tiny / "tokenizer_config.json").read_text(encoding="utf-8"))
    del config["added_tokens_decoder"]["511"]  # now nobody has 511, and the tokens behind it would move up
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(BadInput, match=r"<\|video_pad\|>. the id 512, but with tokenizer.json it gets 511"):
        load_tokenizer(tmp_path)


def test_p17_a_config_of_another_checkpoint_is_refused(tiny, tmp_path):
    content = json.loads((tiny / "tokenizer_config.json").read_text(encoding="utf-8"))
    content["added_tokens_decoder"] = {"151643": content["added_tokens_decoder"]["499"]}
    (tmp_path / "tokenizer.json").write_bytes((tiny / "tokenizer.json").read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(BadInput, match=r"the id 151643, but with tokenizer\.json it gets 499"):
        load_tokenizer(tmp_path)


def test_p17_tokenizer_config_may_be_absent(tiny, tokenizer, tmp_path):
    (tmp_path / "tokenizer.json").write_bytes((tiny / "tokenizer.json").read_bytes())
    assert load_tokenizer(tmp_path).encode("<|im_end|>") == tokenizer.encode("<|im_end|>")


def test_p18_bytes_of_neighbouring_tokens_are_read_together(tokenizer):
    ids = tokenizer.encode(EMOJI)
    assert len(ids) == 4
    assert tokenizer.decode(ids) == EMOJI
    assert tokenizer.decode([*ids[:3], *tokenizer.encode("a")]) == "\ufffda"


def test_p18_special_tokens_are_left_out_on_request_and_other_added_tokens_stay(tokenizer):
    ids = tokenizer.encode("<|im_start|>a <tool_call>b<|im_end|>")
    assert tokenizer.decode(ids) == "<|im_start|>a <tool_call>b<|im_end|>"
    assert tokenizer.decode(ids, skip_special_tokens=True) == "a <tool_call>b"


def test_p18_an_id_without_a_token_has_no_text(tokenizer):
    assert tokenizer.decode([tokenizer.vocab_size, *tokenizer.encode("a"), 2**31]) == "a"


def test_p19_an_emoji_appears_when_its_last_byte_has_arrived(tokenizer):
    ids = tokenizer.encode(f"a{EMOJI}b")
    texts = [complete_text(tokenizer, ids[:end]) for end in range(len(ids) + 1)]
    assert texts == ["", "a", "a", "a", "a", f"a{EMOJI}", f"a{EMOJI}b"]


@given(ids=st.lists(st.one_of(st.integers(0, 255), st.integers(0, 522)), max_size=12), skip=st.booleans())
def test_p19_streamed_text_only_grows_even_over_bytes_that_are_no_text(tokenizer, ids, skip):
    shown = ""
    for end in range(len(ids) + 1):
        text = complete_text(tokenizer, ids[:end], skip_special_tokens=skip)
        assert text.startswith(shown)
        shown = text
    whole = tokenizer.decode(ids, skip_special_tokens=skip)
    assert whole.startswith(shown)
    assert len(whole) - len(shown) <= 1


def test_a_token_and_its_id_name_each_other(tokenizer):
    assert tokenizer.vocab_size == 521
    assert [tokenizer.id(tokenizer.token(token_id)) for token_id in range(521)] == list(range(521))


@pytest.mark.data
def test_p16_matches_ids_that_others_recorded(data_dir, released):
    recorded = json.loads((data_dir / "recorded" / "tokenizer.json").read_text(encoding="utf-8"))
    for case in recorded["hf_transformers_test_tokenizer_integration"]:
        assert released.encode(case["text"]) == case["ids"]
    case = recorded["hf_qwen2_5_vl_first17"]
    assert released.encode(case["text"]) == case["ids"]


@pytest.mark.data
def test_p13_the_released_special_tokens_have_the_ids_of_the_config(data_dir, released, released_dir):
    config = json.loads((released_dir / "config.json").read_text(encoding="utf-8"))
    assert released.encode("<|vision_start|><|image_pad|><|video_pad|><|vision_end|>") == [
        config[name]
        for name in ("vision_start_token_id", "image_token_id", "video_token_id", "vision_end_token_id")
    ]
    assert released.vocab_size == 151665
    assert released.decode([151665, 152063]) == ""  # rows of the embedding without a token


@pytest.mark.oracle
@given(text=cases.texts)
def test_p13_to_p16_match_upstream(tiny, tokenizer, text):
    import oracle

    assert tokenizer.encode(text) == oracle.hf_tokenizer_ids(tiny, text)


@pytest.mark.oracle
@given(ids=st.lists(st.integers(0, 522), max_size=12), skip=st.booleans())
def test_p18_matches_upstream(tiny, tokenizer, ids, skip):
    import oracle

    want = oracle.hf_decoded(tiny, ids, skip_special_tokens=skip)
    assert tokenizer.decode(ids, skip_special_tokens=skip) == want


@pytest.mark.oracle
@pytest.mark.parametrize("missing", ["<|image_pad|>", "<|file_sep|>"])
def test_p17_matches_upstream(tiny, tmp_path, missing):
    import oracle

    folder = without_tokens(tiny, tmp_path, missing)
    text = "".join(cases.tiny_builder().special_ids())
    assert load_tokenizer(folder).encode(text) == oracle.hf_tokenizer_ids(folder, text)


@pytest.mark.oracle
@pytest.mark.data
@given(text=cases.texts)
def test_p13_to_p16_match_upstream_with_the_released_files(released_dir, released, text):
    import oracle

    assert released.encode(text) == oracle.hf_tokenizer_ids(released_dir, text)


def test_importing_the_room_does_not_import_the_slow_libraries():
    code = (
        "import sys, qwen25vl.prompt.tokenizer, qwen25vl.prompt.template;"
        "sys.exit(bool({'tokenizers', 'jinja2'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_half_of_a_surrogate_pair_is_refused(tokenizer):
    with pytest.raises(BadInput, match="half of a surrogate pair at character 1"):
        tokenizer.encode("a\ud83d")


@pytest.mark.parametrize("token_id", [-1, 521, 2**32])
def test_a_token_that_does_not_exist_is_refused(tokenizer, token_id):
    with pytest.raises(BadInput, match=f"no token has the id {token_id}; ids run from 0 to 520"):
        tokenizer.token(token_id)


def test_an_id_that_does_not_exist_is_refused(tokenizer):
    with pytest.raises(BadInput, match=r"has no token .<\|audio\|>."):
        tokenizer.id("<|audio|>")


@pytest.mark.parametrize("token_id", [-1, 2**32])
def test_an_impossible_id_is_refused(tokenizer, token_id):
    with pytest.raises(BadInput, match="must lie between 0 and 4294967295"):
        tokenizer.decode([5, token_id])


def test_a_missing_tokenizer_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"tokenizer.json does not exist; give the directory"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\xfe"])
def test_a_malformed_tokenizer_is_refused(tmp_path, content):
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(BadInput, match="that can be read"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not valid JSON"),
        ('{"added_tokens_decoder": []}', "must map ids to"),
        ('{"added_tokens_decoder": {"one": {"content": "a"}}}', "must map ids to"),
        ('{"added_tokens_decoder": {"1": {}}}', "must map ids to"),
        ('{"added_tokens_decoder": {"1": "a"}}', "must map ids to"),
    ],
)
def test_a_malformed_tokenizer_config_is_refused(tiny, tmp_path, content, says):
    (tmp_path / "tokenizer.json").write_bytes((tiny / "tokenizer.json").read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(content, encoding="utf-8")
    with pytest.raises(BadInput, match=says):
        load_tokenizer(tmp_path)

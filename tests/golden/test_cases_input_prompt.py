"""Section 15: tokenizer and template cases see each mistake that they claim to see, planted here one by one."""

import json
from dataclasses import replace

import pytest
import tokenizers

from golden_cases import case_arrays, kills_of, text_of, tiny_lab
from qwen25vl.golden.case import Lab
from qwen25vl.processor import read_processor


@pytest.fixture(scope="module", params=["tiny", "released"])
def lab(request):
    """A lab with the tokenizer and the template of `tiny`, and one with those of the release."""
    tiny = tiny_lab()
    if request.param == "tiny":
        return tiny
    released = request.getfixturevalue("data_dir") / "qwen2.5-vl-7b-instruct"
    processor = read_processor(released)
    network = replace(tiny.model.network, config=processor.config)  # its weights are not looked at
    return Lab(replace(tiny.model, processor=processor, network=network))


@pytest.fixture(scope="module")
def content(lab):
    """The tokenizer.json of that lab."""
    return json.loads(lab.processor.tokenizer.backend.to_str())


def ids_of(content, text, **changes):
    """Encode with a tokenizer that differs from the right one in some of its parts."""
    backend = tokenizers.Tokenizer.from_str(json.dumps(content | changes))
    return backend.encode(text, add_special_tokens=False).ids


def without_pattern(content, piece):
    """A split pattern that lacks one alternative."""
    split, byte_level = content["pre_tokenizer"]["pretokenizers"]
    pattern = split["pattern"]["Regex"]
    assert piece in pattern
    changed = split | {"pattern": {"Regex": pattern.replace(piece, "")}}
    return content["pre_tokenizer"] | {"pretokenizers": [changed, byte_level]}


def longest_matches(content, text):
    """Take the longest entry at every place, word by word."""
    vocabulary, ids = content["model"]["vocab"], []
    for word in text.replace(" ", " Ġ").split(" "):
        while word:
            length = next(n for n in range(len(word), 0, -1) if word[:n] in vocabulary)
            ids.append(vocabulary[word[:length]])
            word = word[length:]
    return ids


def wrong_ids(bug, content, text):
    """Ids of a text by a tokenizer with a bug."""
    kept = content["added_tokens"]
    return {
        "pad-token-split": lambda: ids_of(content, text, added_tokens=[]),
        "special-ids-hard-coded": lambda: [151652, 151653, 151654, 151655, 151656],
        "added-token-missing": lambda: ids_of(
            content, text, added_tokens=[token for token in kept if token["content"] != "<|image_pad|>"]
        ),
        "special-in-text-escaped": lambda: ids_of(
            content, text, added_tokens=[token for token in kept if token["content"] != "<|im_end|>"]
        ),
        "merge-across-cut": lambda: ids_of(
            content, text, pre_tokenizer=content["pre_tokenizer"]["pretokenizers"][1]
        ),
        "unknown-character-dropped": lambda: ids_of(content, text.encode("ascii", "ignore").decode()),
        "blanks-swallowed": lambda: ids_of(content, text, pre_tokenizer=without_pattern(content, r"|\s+(?!\S)")),
        "text-not-composed": lambda: ids_of(content, text, normalizer=None),
        "longest-match": lambda: longest_matches(content, text),
    }[bug]()


@pytest.mark.parametrize(("name", "bug"), kills_of("tokenizer"))
def test_a_wrong_tokenizer_gives_other_ids(name, bug, lab, content):
    arrays = case_arrays(name, lab)
    if bug == "decoded-id-by-id":
        decode = lab.processor.tokenizer.decode
        assert "".join(decode([i]) for i in arrays["inputs.ids"].tolist()) != text_of(arrays["outputs.text"])
        return
    text, right = text_of(arrays["inputs.text"]), arrays["outputs.ids"].tolist()
    assert ids_of(content, text) == right
    if bug == "special-ids-hard-coded" and lab.config.image_token_id == 151655:
        assert right == [151652, 151653, 151654, 151655, 151656]  # where they belong
        return
    assert wrong_ids(bug, content, text) != right


def test_p13_five_markers_are_five_ids_of_the_config(lab):
    arrays = case_arrays("vision_markers_are_one_id_each", lab)
    config, pad = lab.config, lab.processor.tokenizer.id("<|vision_pad|>")
    around = [config.vision_start_token_id, config.vision_end_token_id]
    assert arrays["outputs.ids"].tolist() == [*around, pad, config.image_token_id, config.video_token_id]


def test_p14_two_spellings_have_equal_ids_and_a_ligature_stays(lab):
    ids = case_arrays("two_spellings_of_a_character_have_the_same_ids", lab)
    text = text_of(ids["outputs.text"])
    assert text == "\u00e9 \u00e9 \u1ead \u1ead \ud55c \u00c5 \ufb01"


def test_p18_a_character_that_is_cut_off_is_one_sign(lab):
    arrays = case_arrays("bytes_of_neighbouring_ids_are_read_together", lab)
    assert text_of(arrays["outputs.torn_text"]) == "\ufffdb"
    assert len(arrays["inputs.torn_ids"]) > 1


# ------------------------------------------------------------------------------------------- templates

LONGER = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
PLACES = {
    "image": "<|vision_start|><|image_pad|><|vision_end|>",
    "video": "<|vision_start|><|video_pad|><|vision_end|>",
}


def rendered(messages, *, numbered=False, opened=True, bug=""):
    """Write a prompt from the clauses, or with a bug."""
    default = LONGER if bug == "default-system-of-text-model" else "You are a helpful assistant."
    line = "" if bug == "template-line-breaks" else "\n"
    joiner = "\n" if bug == "parts-joined-by-newline" else ""
    counts = {"image": 0, "video": 0}
    given = messages[0]["role"] == "system" and bug != "default-system-always"
    prompt = "" if given or bug == "no-default-system" else f"<|im_start|>system{line}{default}<|im_end|>{line}"
    for message in messages:
        if bug == "vision-id-per-message":
            counts = {"image": 0, "video": 0}
        parts = message["content"]
        parts = [{"type": "text", "text": parts}] if isinstance(parts, str) else parts
        if bug == "text-before-image":
            parts = sorted(parts, key=lambda part: part["type"] != "text")
        if bug == "pictures-before-videos":
            parts = sorted(parts, key=lambda part: part["type"] == "video")
        pieces = []
        for part in parts:
            kind = part["type"]
            if kind == "text":
                pieces.append(part["text"])
                continue
            counts[kind] += 1
            number = sum(counts.values()) if bug == "vision-id-shared-counter" else counts[kind]
            word = {"image": "Picture", "video": "Video"}[kind]
            pieces.append(f"{word} {number}: " * numbered + PLACES[kind])
        prompt += f"<|im_start|>{message['role']}{line}{joiner.join(pieces)}<|im_end|>{line}"
    return prompt + f"<|im_start|>assistant{line}" * opened


def rendering_of(name):
    """What the template was asked for besides."""
    return dict(
        numbered=name == "pictures_and_videos_are_numbered_apart",
        opened=name != "a_given_system_message_replaces_the_default",
    )


TEMPLATES = [pair for pair in kills_of("template") if pair[0] != "each_pad_takes_as_many_places_as_merged_tokens"]


@pytest.mark.parametrize(("name", "bug"), TEMPLATES)
def test_a_wrong_template_gives_another_prompt_and_other_ids(name, bug, lab):
    arrays = case_arrays(name, lab)
    messages, prompt = json.loads(text_of(arrays["inputs.messages"])), text_of(arrays["outputs.prompt"])
    assert rendered(messages, **rendering_of(name)) == prompt
    wrong = rendered(messages, **rendering_of(name), bug=bug)
    assert wrong != prompt
    assert lab.processor.tokenizer.encode(wrong) != arrays["outputs.ids"].tolist()


def test_p6_a_conversation_without_a_system_message_is_this_text(lab):
    prompt = text_of(case_arrays("a_missing_system_message_is_filled_in", lab)["outputs.prompt"])
    assert prompt == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nWhat is red?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    ("bug", "counts"),
    [
        ("", (10, 12, 6)),
        ("pads-not-merged", (40, 48, 24)),
        ("pictures-before-videos", (10, 6, 12)),
        ("vision-markers-repeated", (10, 12, 6)),
        ("pad-ids-hard-coded", (10, 12, 6)),
    ],
)
def test_p20_pads_take_the_places_of_merged_tokens_and_no_others(bug, counts, lab):
    arrays = case_arrays("each_pad_takes_as_many_places_as_merged_tokens", lab)
    encode, prompt = lab.processor.tokenizer.encode, text_of(arrays["inputs.prompt"])
    first, second, third = counts
    image, video = "<|image_pad|>", "<|video_pad|>"
    expected = [image * first, video * second, image * third]
    if bug == "vision-markers-repeated":
        expected[1] = video * 6 + "<|vision_end|><|vision_start|>" + video * 6
    halves = prompt.replace(video, image).split(image)
    text = "".join(half + pads for half, pads in zip(halves, [*expected, ""], strict=True))
    ids = encode(text)
    if bug == "pad-ids-hard-coded":
        fixed = {lab.config.image_token_id: 151655, lab.config.video_token_id: 151656}
        ids = [fixed.get(i, i) for i in ids]
    is_right = bug == "" or (bug == "pad-ids-hard-coded" and lab.config.image_token_id == 151655)
    assert (ids == arrays["outputs.ids"].tolist()) == is_right

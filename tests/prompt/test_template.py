"""Section 04: which text a conversation becomes."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompt_cases as cases
from qwen25vl.errors import BadInput
from qwen25vl.prompt.layout import expanded_ids
from qwen25vl.prompt.template import qwen_prompt, read_template, rendered_prompt
from qwen25vl.prompt.tokenizer import load_tokenizer

HELLO = [{"role": "user", "content": "Hello"}]
IMAGE = {"type": "image", "image": "a.png"}
VIDEO = {"type": "video", "video": "a.mp4"}
MARKED_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
MARKED_VIDEO = "<|vision_start|><|video_pad|><|vision_end|>"


def turn(*parts):
    return {"role": "user", "content": list(parts)}


@pytest.fixture(scope="module", params=["built", "tiny", "7b", "32b"])
def template(request):
    """Every copy of the template at hand: ours and, with the external data, the released ones."""
    if request.param == "built":
        return cases.tiny_builder().chat_template()
    if request.param == "tiny":
        return read_template(request.getfixturevalue("tiny_dir"))
    return read_template(request.getfixturevalue("data_dir") / f"qwen2.5-vl-{request.param}-instruct")


def test_p6_a_conversation_without_a_system_message_gets_the_default_one():
    assert qwen_prompt(HELLO, add_generation_prompt=False) == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
    )


def test_p6_a_system_message_replaces_the_default_one_only_in_first_place():
    system = {"role": "system", "content": "Be brief."}
    first = qwen_prompt([system, *HELLO])
    assert first.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user")
    second = qwen_prompt([*HELLO, system])
    assert second.startswith("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n")
    assert second.count("<|im_start|>system") == 2


def test_p7_a_message_is_framed_by_its_role_and_line_breaks():
    answer = {"role": "assistant", "content": " Hi \n"}
    assert qwen_prompt([{"role": "system", "content": ""}, answer], add_generation_prompt=False) == (
        "<|im_start|>system\n<|im_end|>\n<|im_start|>assistant\n Hi \n<|im_end|>\n"
    )


def test_p8_parts_follow_each_other_with_nothing_between():
    prompt = qwen_prompt([turn(IMAGE, IMAGE, {"type": "text", "text": "Compare."}, VIDEO)])
    assert f"<|im_start|>user\n{MARKED_IMAGE}{MARKED_IMAGE}Compare.{MARKED_VIDEO}<|im_end|>\n" in prompt


def test_p9_numbers_run_over_the_whole_conversation_apart_for_images_and_videos():
    prompt = qwen_prompt([turn(IMAGE, VIDEO), turn(IMAGE, VIDEO)], add_vision_id=True)
    marks = [f"Picture 1: {MARKED_IMAGE}", f"Video 1: {MARKED_VIDEO}", f"Picture 2: {MARKED_IMAGE}"]
    assert f"user\n{marks[0]}{marks[1]}<|im_end|>\n<|im_start|>user\n{marks[2]}Video 2: {MARKED_VIDEO}" in prompt
    assert "Picture" not in qwen_prompt([turn(IMAGE)])


def test_p10_the_generation_prompt_opens_an_answer_and_does_not_close_it():
    open_ended = qwen_prompt(HELLO)
    assert open_ended == qwen_prompt(HELLO, add_generation_prompt=False) + "<|im_start|>assistant\n"


@given(messages=cases.conversations, ask=st.booleans(), number=st.booleans())
def test_p6_to_p10_the_written_out_template_equals_the_one_of_the_checkpoint(template, messages, ask, number):
    options = {"add_generation_prompt": ask, "add_vision_id": number}
    assert rendered_prompt(messages, template=template, **options) == qwen_prompt(messages, **options)


FILES = (
    ("processor_config.json", json.dumps({"chat_template": "from processor_config.json"})),
    ("chat_template.json", json.dumps({"chat_template": "from chat_template.json"})),
    ("chat_template.jinja", "from chat_template.jinja"),
    ("tokenizer_config.json", json.dumps({"chat_template": "from tokenizer_config.json"})),
)
"""Places of a template, the strongest first."""


@pytest.mark.parametrize("strongest", range(len(FILES)))
def test_p11_of_several_files_the_one_that_upstream_takes_wins(tmp_path, strongest):
    for name, content in FILES[strongest:]:
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_template(tmp_path) == f"from {FILES[strongest][0]}"


def test_p11_a_file_without_a_template_is_passed_over(tmp_path):
    (tmp_path / "processor_config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "chat_template.jinja").write_text("ours", encoding="utf-8")
    assert read_template(tmp_path) == "ours"


@pytest.mark.parametrize(
    "several",
    [
        {"rag": "other", "default": "ours"},
        [{"name": "rag", "template": "other"}, {"name": "default", "template": "ours"}],
    ],
)
def test_p11_of_several_templates_in_one_file_the_default_is_taken(tmp_path, several):
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": several}), encoding="utf-8")
    assert read_template(tmp_path) == "ours"


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("{% if true %}\nyes\n{% endif %}\nend", "yes\nend"),  # the line break after a tag goes
        ("  {% if true %}yes{% endif %}", "yes"),  # the blanks before a tag go
        ("{{ {'a': '<b>'} | tojson }}", '{"a": "<b>"}'),  # no HTML escapes
        ("{{ 'ü' | tojson }}", '"ü"'),
        ("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
        ("{% generation %}{{ messages[0]['content'] }}{% endgeneration %}", "Hello"),
        ("{{ strftime_now('%Y') | length }}", "4"),
        ("{{ tools is none }} {{ documents is none }}", "True True"),
        ("{{ unheard_of }}.", "."),  # an unknown name is empty
    ],
)
def test_p12_the_environment_is_that_of_upstream(template, prompt):
    assert rendered_prompt(HELLO, template=template) == prompt


def test_p12_the_template_sees_plain_values_only():
    message = turn({"type": "image", "image": np.zeros((2, 2)), "crop": (1, 2.5, None, True)})
    template = "{{ messages[0]['content'][0]['image'] }} {{ messages[0]['content'][0]['crop'] }}"
    assert rendered_prompt([message], template=template) == "<ndarray> [1, 2.5, None, True]"


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{% if %}", "TemplateSyntaxError"),
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages.append(1) }}", "SecurityError"),
        ("{{ ''.__class__.__mro__ }}", "SecurityError"),
        ("{{ messages[0]['content'] + 1 }}", "TypeError"),
        ("{{ nothing.at.all }}", "UndefinedError"),
    ],
)
def test_p12_a_template_that_fails_is_bad_input(template, says):
    with pytest.raises(BadInput, match=says):
        rendered_prompt(HELLO, template=template)


@pytest.mark.oracle
@given(messages=cases.conversations, ask=st.booleans(), number=st.booleans())
def test_p12_matches_upstream(template, messages, ask, number):
    import oracle

    options = {"add_generation_prompt": ask, "add_vision_id": number}
    want = oracle.hf_chat_template(template, messages, **options)
    assert rendered_prompt(messages, template=template, **options) == want


@pytest.mark.oracle
@pytest.mark.parametrize("strongest", range(3))  # upstream's processor does not look into tokenizer_config.json
def test_p11_matches_upstream(tmp_path, strongest):
    import oracle

    for name, content in FILES[strongest:]:
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_template(tmp_path) == oracle.hf_template(tmp_path)


@pytest.mark.oracle
@pytest.mark.data
def test_p20_the_whole_way_from_messages_to_ids_matches_upstream(data_dir):
    import oracle

    directory = data_dir / "qwen2.5-vl-7b-instruct"
    images = [np.full((height, width, 3), 90, np.uint8) for height, width in ((56, 140), (84, 56), (28, 28))]
    messages = [
        turn({"type": "text", "text": "First "}, IMAGE, IMAGE),
        {"role": "assistant", "content": "Grey, 12 of them."},
        turn(IMAGE, {"type": "text", "text": "And this?"}),
    ]
    want, tokens = oracle.hf_processor_ids(directory, messages, images)
    tokenizer = load_tokenizer(directory)
    got = expanded_ids(
        tokenizer.encode(rendered_prompt(messages, template=read_template(directory))),
        image_tokens=tokens,
        video_tokens=[],
        image_token_id=tokenizer.id("<|image_pad|>"),
        video_token_id=tokenizer.id("<|video_pad|>"),
    )
    assert got.tolist() == want


def test_a_directory_without_a_template_is_refused(tmp_path):
    with pytest.raises(BadInput, match="has no chat template; add"):
        read_template(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("chat_template.json", b"{", "is not valid JSON"),
        ("chat_template.json", b"[]", "must hold a JSON object, got a list"),
        ("chat_template.json", b'{"chat_template": 7}', "chat_template must be a string"),
        (
            "tokenizer_config.json",
            b'{"chat_template": [{"name": "rag", "template": ""}]}',
            "one named 'default'",
        ),
        ("chat_template.jinja", b"\xff", "no text that can be read"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=says):
        read_template(tmp_path)

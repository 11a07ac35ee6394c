"""Section 04: which text a conversation becomes."""

import json
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import prompt_cases as cases
import qwen25vl.prompt.template as template_module
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


def nested(depth):
    value = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [28, 29])
def test_p26_messages_nested_too_deeply_are_refused(depth):
    """The list of messages, a message, its content and a part are the first four levels."""
    messages = [turn({"type": "text", "text": "Hello", "more": nested(depth)})]
    if depth == 28:
        assert "Hello" in rendered_prompt(messages, template=cases.tiny_builder().chat_template())
    else:
        with pytest.raises(BadInput, match="nested deeper than 32, or hold themselves; flatten them"):
            rendered_prompt(messages, template="x")


def test_p26_messages_that_hold_themselves_are_refused():
    part = {"type": "text", "text": "Hello"}
    part["more"] = {"again": part}
    with pytest.raises(BadInput, match="hold themselves"):
        rendered_prompt([turn(part)], template="x")


REACHING = (
    "{% include '/etc/passwd' %}",
    "{% include ['a', 'b'] ignore missing %}{{ 1 / 0 }}",
    "{% import '/etc/passwd' as x %}",
    "{% from '/etc/passwd' import x %}",
    "{% extends '/etc/passwd' %}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ '' | attr('__class__') | attr('__mro__') }}",
    "{{ ['__class__'] | map('attr', '__mro__') | list }}",
    "{{ messages | map(attribute='__class__.__mro__') | list }}",
    "{{ '{0.__class__.__mro__}'.format(1) }}",
    "{{ ('{0.__class__.__mro__}' | string).format(1) }}",
    "{% set f = '{0.__class__.__mro__}'.format %}{{ f(1) }}",
    "{{ '{x.__class__.__mro__}'.format_map({'x': 1}) }}",
    "{{ raise_exception.__globals__ }}",
    "{{ strftime_now.__globals__['__builtins__']['open']('/etc/passwd').read() }}",
    "{{ self.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}{{ namespace.__init__.__globals__ }}",
    "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "{{ range.__self__ }}",
    "{{ open('/etc/passwd').read() }}",
    "{{ messages.__class__.__base__.__subclasses__() }}",
    "{% for x in [].__iter__().__reduce__() %}{{ x }}{% endfor %}",
)
"""Ways of a hostile template to the file system, or to the objects from which it can be reached."""


@pytest.mark.parametrize("template", REACHING)
def test_p24_a_template_reaches_nothing_but_its_values(template):
    try:
        prompt = rendered_prompt(HELLO, template=template)
    except BadInput as refusal:
        text = str(refusal)
        assert "the chat template failed" in text
        assert "\n" not in text
    else:
        text = prompt
    assert "root:" not in text
    assert "<class 'object'>" not in text
    assert "<built-in" not in text
    assert "os.wrap_close" not in text


def test_p24_a_template_changes_nothing_outside():
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
    for change in ("messages.append(1)", "messages[0].update(role='x')", "messages[0].content.clear()"):
        with pytest.raises(BadInput, match="SecurityError"):
            rendered_prompt(messages, template="{{ " + change + " }}")
    assert messages == [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]


@pytest.fixture
def quick_limits(monkeypatch):
    """A second and 200 MB."""
    monkeypatch.setattr(template_module, "SECONDS", 1)
    monkeypatch.setattr(template_module, "MEMORY_BYTES", 200_000_000)


ENDLESS = (
    "{% for i in range(10**9) %}{% endfor %}",  # jinja's own limit: 100,000 numbers
    "{% for i in range(99999) %}{% for i in range(99999) %}{% endfor %}{% endfor %}",
    "{{ 'a' * 10**9 }}",
    "{{ 10 ** (10 ** 10) }}",
    "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    "{{ '%999999999d' % 1 }}",
    "{{ '{:999999999}'.format(1) }}",
    "{{ 'a' | center(10**9) }}",
    "{{ (['a' * 10**6] * 10**5) | join }}",
    "{{ ('a' * 10**5).replace('a', 'a' * 10**5) }}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{{ lipsum(n=10**9) }}",
)
"""Ways to run for ever, or to fill the memory."""


@pytest.mark.parametrize("template", ENDLESS, ids=range(len(ENDLESS)))
def test_p25_a_template_cannot_run_for_ever_nor_fill_the_memory(quick_limits, template):
    with pytest.raises(BadInput, match=r"the chat template failed on these messages \(.*\); change") as refusal:
        rendered_prompt(HELLO, template=template)
    assert len(str(refusal.value)) < 400
    assert "\n" not in str(refusal.value)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit the memory of a process")
def test_p25_memory_is_limited_where_time_is_not_what_runs_out(quick_limits):
    with pytest.raises(BadInput, match="MemoryError"):
        rendered_prompt(HELLO, template="{{ ('a' * 400000000) | length }}")


def test_p25_a_template_that_is_ended_says_which_limits_there_are(quick_limits):
    with pytest.raises(BadInput, match=r"\(it took more than 1 s or 190 MiB\)"):
        rendered_prompt(HELLO, template=ENDLESS[1])


def test_p25_a_prompt_of_any_length_that_could_be_meant_is_rendered(monkeypatch):
    assert len(rendered_prompt(HELLO, template="{{ 'a' * 10**6 }}")) == 10**6
    monkeypatch.setattr(template_module, "LONGEST_PROMPT", 999_999)
    with pytest.raises(BadInput, match="a prompt of 1000000 characters"):
        rendered_prompt(HELLO, template="{{ 'a' * 10**6 }}")


def test_p25_a_large_template_is_not_read(tmp_path):
    (tmp_path / "chat_template.jinja").write_text("x" * 1_000_001)
    with pytest.raises(BadInput, match=r"chat_template.jinja is larger than 1000000 bytes"):
        read_template(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("x" * 1_000_000)
    assert len(read_template(tmp_path)) == 1_000_000


def test_p25_known_templates_run_here_and_others_apart(template, monkeypatch):
    def apart(*anything):
        raise ValueError("apart")

    monkeypatch.setattr(template_module, "_rendered_apart", apart)
    assert rendered_prompt(HELLO, template=template) == qwen_prompt(HELLO)
    with pytest.raises(BadInput, match=r"\(apart\)"):
        rendered_prompt(HELLO, template=template + " ")


@given(messages=cases.conversations, ask=st.booleans())
@settings(max_examples=5)
def test_p25_in_a_process_of_its_own_a_template_gives_the_same_text(messages, ask):
    template = cases.tiny_builder().chat_template() + "{# another #}"
    want = qwen_prompt(messages, add_generation_prompt=ask)
    assert rendered_prompt(messages, template=template, add_generation_prompt=ask) == want


def test_p25_a_process_that_cannot_start_is_no_traceback(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(BadInput, match="no process could be started for it"):
        rendered_prompt(HELLO, template="x")


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

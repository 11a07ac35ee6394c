"""Maps in a file: a porter's own names become parts, and every mistake is told with its place."""

import re

import numpy as np
import pytest

from networks import UNEVEN
from port.dumps_of_others import parts_of
from qwen25vl.errors import BadInput
from qwen25vl.port.maps.name_map import name_map
from qwen25vl.port.maps.template import possible


@pytest.fixture
def mapping(tmp_path):
    """Return a function that reads a map."""

    def read(text, config=UNEVEN):
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return name_map(str(path), config=config)

    return read


@pytest.fixture
def steps(mapping):
    """Return a function that puts an array through the steps of a map."""

    def put(text, array, *, to="vision.out", config=UNEVEN):
        (made,) = parts_of(
            mapping(f'[[map]]\nfrom = "x"\nto = "{to}"\nsteps = {text}', config), {"x": array}
        ).values()
        return made

    return put


@pytest.fixture
def refusal(mapping):
    """Return a function that reads a map which must be refused, and returns the sentence."""

    def read(text):
        with pytest.raises(BadInput) as caught:
            mapping(text)
        sentence = str(caught.value)
        assert "mine.toml" in sentence
        assert "\n" not in sentence
        return sentence

    return read


QKV = r"""
[[map]]
from = 'enc\.(\d+)\.qkv'
to = "vision.blocks.{1:02d}.attn.k"
steps = [{ split = { axis = 1, part = 1, of = 3 } }, { reshape = ["P", "N", "d"] }]

[[map]]
from = 'dec\.(?P<layer>\d+)\.([qkv])(?:_proj)?'
to = "language.blocks.{1:02d}.attn.{2}"
declared = false
"""


def test_numbers_and_texts_of_a_name_go_into_the_id(mapping):
    mapped, unknown = mapping(QKV).mapped(["enc.7.qkv", "dec.11.v_proj", "dec.003.q", "enc.7.qkv.bias", "dec.1.w"])
    assert [(one.part, one.sources) for one in mapped] == [
        ("vision.blocks.07.attn.k", ("enc.7.qkv",)),
        ("language.blocks.11.attn.v", ("dec.11.v_proj",)),
        ("language.blocks.03.attn.q", ("dec.003.q",)),
    ]
    assert unknown == ["enc.7.qkv.bias", "dec.1.w"]


def test_steps_are_taken_in_their_order(mapping):
    D, N, d = 32, 4, 8
    x = np.arange(6 * 3 * D, dtype=np.float32).reshape(6, 3 * D)
    found = parts_of(mapping(QKV), {"enc.1.qkv": x})
    np.testing.assert_array_equal(found["vision.blocks.01.attn.k"], x[:, D : 2 * D].reshape(6, N, d))


def test_a_map_declares_what_its_entries_can_make(mapping):
    read = mapping(QKV)
    assert read.declares("vision.blocks.31.attn.k")
    assert read.declares("rows.00.vision.blocks.31.attn.k")
    assert not read.declares("vision.blocks.31.attn.q")
    assert not read.declares("language.blocks.00.attn.q")  # it says `declared = false`
    declared = mapping(QKV.replace("declared = false", ""))
    assert declared.declares("language.blocks.00.attn.q")
    assert not declared.declares("language.blocks.00.attn.probs")


def test_two_halves_are_added(mapping):
    read = mapping('[[map]]\nfrom = ["conv0", "conv1"]\nto = "vision.patch_embed.out"\ncombine = "sum"')
    a, b = np.arange(6.0).reshape(2, 3), np.ones((2, 3))
    np.testing.assert_array_equal(parts_of(read, {"conv1": b, "conv0": a})["vision.patch_embed.out"], a + b)
    assert read.mapped(["conv1"]) == ([], [])  # it is known, and no part without the other half
    with pytest.raises(BadInput, match=r"of conv0 \[2, 3\], conv1 \[1, 3\]: arrays of different shapes"):
        parts_of(read, {"conv0": a, "conv1": b[:1]})


def test_pieces_are_joined_in_the_order_of_the_file_block_by_block(mapping):
    read = mapping(
        "[[map]]\nfrom = ['h(\\d+)\\.hi', 'h(\\d+)\\.lo']\nto = \"vision.blocks.{1:02d}.mlp.out\"\n"
        "combine = { concat = 1 }"
    )
    dump = {
        f"h{i}.{half}": np.full((2, 1), i + tenth) for i in (0, 1) for half, tenth in (("lo", 0.5), ("hi", 0.0))
    }
    found = parts_of(read, dump)
    assert found["vision.blocks.00.mlp.out"].tolist() == [[0.0, 0.5]] * 2
    assert found["vision.blocks.01.mlp.out"].tolist() == [[1.0, 1.5]] * 2


def test_of_two_entries_for_a_part_the_first_counts(mapping):
    read = mapping('[[map]]\nfrom = "b"\nto = "logits"\n[[map]]\nfrom = "a"\nto = "logits"')
    (one,), unknown = read.mapped(["a", "b"])
    assert (one.sources, unknown) == (("b",), [])


def test_prompts_of_a_batch_can_be_named_in_the_id(mapping):
    read = mapping('[[map]]\nfrom = "(\\\\d+)/scores"\nto = "rows.{1:02d}.logits"')
    (one,), _ = read.mapped(["3/scores"])
    assert one.part == "rows.03.logits"
    assert read.declares("rows.01.logits")


X = np.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[]", X),
        ("[{ transpose = [2, 0, 1] }]", X.transpose(2, 0, 1)),
        ("[{ take = { axis = 1, index = -1 } }]", X[:, -1]),
        ("[{ split = { axis = 2, part = 1, of = 2 } }]", X[:, :, 2:]),
        ("[{ split = { axis = -1, part = 1, sizes = [1, 2, 1] } }]", X[:, :, 1:3]),
        ("[{ reshape = [1, 6, 4] }, { squeeze = 0 }]", X.reshape(6, 4)),
        ("[{ reshape = [-1] }, { reshape = [4, 6] }]", X.reshape(4, 6)),
    ],
)
def test_each_step_does_what_it_says(text, wanted, steps):
    np.testing.assert_array_equal(steps(text, X), wanted)


@pytest.mark.parametrize(
    ("to", "shape", "sides"),
    [
        ("vision.blocks.01.attn.q", '["P", "N", "d"]', (3, 4, 8)),
        ("vision.blocks.01.mlp.act", '["P", "F"]', (3, 11)),
        ("vision.merger.hidden", '["M", "4D"]', (3, 128)),
        ("vision.out", '["M", "E"]', (3, 72)),
        ("language.blocks.01.attn.k", '["L", "K", "d"]', (3, 2, 12)),
        ("language.blocks.01.mlp.act", '["L", "F"]', (3, 19)),
        ("language.blocks.01.attn.probs", '["N", 3, "L"]', (6, 3, 5)),
        ("logits", '["L", "V"]', (3, 37)),
    ],
)
def test_letters_of_a_shape_are_the_numbers_of_the_tower(to, shape, sides, steps):
    x = np.arange(float(np.prod(sides)))
    assert steps(f"[{{ reshape = {shape} }}]", x, to=to).shape == sides


def test_without_a_config_letters_are_not_guessed(steps):
    text = '[{ reshape = ["P", "N", "d"] }]'
    with pytest.raises(BadInput, match="config of the model is not known"):
        steps(text, X, to="vision.blocks.01.attn.q", config=None)
    assert steps("[{ reshape = [6, 4] }]", X, config=None).shape == (6, 4)


@pytest.mark.parametrize(
    ("text", "array", "told"),
    [
        ("[{ reshape = [5, 5] }]", X, "cannot reshape"),
        ("[{ transpose = [1, 0] }]", X, "axes don't match"),
        ("[{ split = { axis = 1, part = 0, of = 2 } }]", X, "an axis of 3 cannot be split into 2"),
        ("[{ split = { axis = 3, part = 0, of = 2 } }]", X, "it has no axis 3"),
        ("[{ split = { axis = 1, part = 0, sizes = [2, 2] } }]", X, r"is not the sum of the sizes \[2, 2\]"),
        ("[{ take = { axis = 0, index = 2 } }]", X, "there is no entry 2 of axis 0"),
        ("[{ squeeze = 0 }]", X, "cannot select an axis to squeeze"),
    ],
)
def test_an_array_that_does_not_fit_is_told_with_its_name_and_shape(text, array, told, steps):
    with pytest.raises(BadInput, match=rf"vision.out of x \[2, 3, 4\]: .*{told}"):
        steps(text, array)


GOOD = '[[map]]\nfrom = "a"\nto = "logits"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "must hold"),
        ("[[maps]]\nfrom = 1", "must hold"),
        ("map = 3", "must hold"),
        ("[[map]\n", "no valid TOML"),
        ("map = [3]", "entry 1 .* needs from and to"),
        (GOOD + '[[map]]\nfrom = "a"', "entry 2 .* needs from and to"),
        (GOOD + 'too = "b"', "needs from and to"),
        ('[[map]]\nfrom = 3\nto = "logits"', "regular expression"),
        ('[[map]]\nfrom = []\nto = "logits"', "regular expression"),
        ('[[map]]\nfrom = "("\nto = "logits"', r"entry 1 .*\(.* is no regular expression"),
        ('[[map]]\nfrom = "a"\nto = "logit"', "'logit' is no id that `qwen25vl names` lists"),
        ('[[map]]\nfrom = "a"\nto = 3', "to must be a text"),
        ('[[map]]\nfrom = "a"\nto = "vision.blocks.{1:02d}.norm1"', "asks for group 1, and 'a' has 0"),
        ('[[map]]\nfrom = "(a)"\nto = "vision.blocks.{1:2d}.norm1"', "a brace of"),
        ('[[map]]\nfrom = "(b|c)"\nto = "vision.blocks.00.{1}"', "is no id that"),
        (GOOD + 'declared = "no"', "declared true or false"),
        (GOOD + 'combine = "sum"', "combine goes with a list"),
        ('[[map]]\nfrom = ["a", "b"]\nto = "logits"', "combine goes with a list"),
        ('[[map]]\nfrom = ["a", "b"]\nto = "logits"\ncombine = "mean"', "combine must be"),
        ('[[map]]\nfrom = ["a", "b"]\nto = "logits"\ncombine = { concat = "0" }', "must be a whole number"),
        (GOOD + "steps = 3", "steps must be a list"),
        (GOOD + 'steps = ["transpose"]', "a step is a table of one key"),
        (GOOD + "steps = [{ flip = 0 }]", "a step is a table of one key"),
        (GOOD + "steps = [{ squeeze = 0, transpose = [0] }]", "a step is a table of one key"),
        (GOOD + "steps = [{ reshape = 3 }]", "reshape needs a list"),
        (GOOD + 'steps = [{ reshape = ["L", -1] }]', "more than one side open"),
        (GOOD + 'steps = [{ reshape = ["Q"] }]', "a side is a number"),
        (GOOD + "steps = [{ reshape = [0] }]", "a side is a number"),
        (GOOD + "steps = [{ reshape = [true] }]", "a side must be a whole number"),
        (GOOD + "steps = [{ transpose = [0, 0] }]", "each axis from 0 on once"),
        (GOOD + 'steps = [{ transpose = ["0"] }]', "must be a whole number"),
        (GOOD + "steps = [{ split = { axis = 0, part = 2, of = 2 } }]", "a part from 0 on below 2"),
        (GOOD + "steps = [{ split = { axis = 0, part = 0 } }]", "split needs axis, part, and of or sizes"),
        (GOOD + 'steps = [{ split = { axis = 0, part = 0, sizes = ["L", 1] } }]', "numbers as sizes"),
        (GOOD + "steps = [{ split = { axis = 0, part = 0, sizes = 3 } }]", "split needs axis, part"),
        (GOOD + "steps = [{ take = { axis = 0 } }]", "take needs axis and index"),
        (GOOD + "steps = [{ squeeze = 0.5 }]", "must be a whole number"),
    ],
)
def test_a_mistake_is_told_with_file_and_entry(text, told, refusal):
    sentence = refusal(text)
    assert re.search(told, sentence), sentence


def test_what_is_no_map_is_told(tmp_path):
    with pytest.raises(BadInput, match="there is no map tflite; give ours, hf, gguf or the path of a TOML file"):
        name_map("tflite")
    with pytest.raises(BadInput, match=r"absent.toml cannot be read"):
        name_map(str(tmp_path / "absent.toml"))
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="no valid TOML"):
        name_map(str(binary))
    large = tmp_path / "large.toml"
    large.write_text("#" * 1_000_001)
    with pytest.raises(BadInput, match="larger than"):
        name_map(str(large))


@pytest.mark.parametrize(
    ("source", "texts", "others"),
    [
        ("(q|k)", ["q", "k"], ["v", ""]),
        (r"\((a|b)\)", ["a"], ["(a)"]),
        ("(?:x)(q|k)", ["q"], ["x", "v"]),
        ("(?P<one>[qk])", ["q"], ["v"]),
        ("[(]([)a]+)", [")a"], ["b", "("]),
        ("[^])](a)", ["a"], ["b"]),
        ("((q)|(k))", ["q"], ["v"]),
        (r"([\]a])", ["]", "a"], ["b"]),
        (r"(?=x)(?!y)(?<!z)(a)", ["a"], ["x"]),
    ],
)
def test_a_group_of_an_expression_says_which_texts_are_possible(source, texts, others):
    pattern = possible("vision.blocks.00.attn.{1}", re.compile(source))
    assert all(pattern.fullmatch(f"vision.blocks.00.attn.{text}") for text in texts)
    assert not any(pattern.fullmatch(f"vision.blocks.00.attn.{text}") for text in others)

"""Parameters by part: every tensor in one of them, and the totals that the releases are known by."""

import pytest
from hypothesis import given

from qwen25vl.checkpoint.census import parameter_counts
from qwen25vl.checkpoint.names import expected_shapes
from qwen25vl.checkpoint.parts import PARTS, part_sizes
from qwen25vl.config import QWEN25_VL_3B, QWEN25_VL_7B, QWEN25_VL_32B, QWEN25_VL_72B
from strategies import configs


# The 7B totals are published for its checkpoint's tensors (8.292B, 676.6M and 7.616B), and the 32B text total
# equals that of Qwen2.5-32B; the others follow from the shapes of their config.json.
@pytest.mark.parametrize(
    ("config", "vision", "text"),
    [
        (QWEN25_VL_3B, 668_684_288, 3_085_938_688),
        (QWEN25_VL_7B, 676_550_144, 7_615_616_512),
        (QWEN25_VL_32B, 688_841_984, 32_763_876_352),
        (QWEN25_VL_72B, 704_573_696, 72_706_203_648),
    ],
)
def test_c19_the_parts_of_a_release_add_up(config, vision, text):
    sizes = part_sizes(expected_shapes(config))
    assert sum(size.parameters for size in sizes if size.tower == "vision") == vision
    assert sum(size.parameters for size in sizes if size.tower == "text") == text


@given(config=configs())
def test_c20_every_tensor_is_in_one_part_and_a_tied_head_is_empty(config):
    shapes = expected_shapes(config)
    sizes = part_sizes(shapes)
    assert [(size.tower, size.part) for size in sizes] == [(tower, part) for tower, part, _ in PARTS]
    assert sum(size.tensors for size in sizes) == len(shapes)
    assert sum(size.parameters for size in sizes) == sum(parameter_counts(shapes).values())
    head = sizes[-1]
    vocabulary = config.text.vocab_size * config.text.hidden_size
    assert head.part == "head"
    assert head.parameters == (0 if config.tie_word_embeddings else vocabulary)


@given(config=configs())
def test_a_part_holds_what_it_is_called(config):
    sizes = {size.part: size for size in part_sizes(expected_shapes(config))}
    vision, text = config.vision, config.text
    assert sizes["patch embedding"].parameters == vision.hidden_size * vision.patch_dim
    assert sizes["embedding"].parameters == text.vocab_size * text.hidden_size
    assert sizes["final norm"].parameters == text.hidden_size
    assert sizes["vision blocks"].tensors == 12 * vision.depth
    assert sizes["decoder blocks"].tensors == 12 * text.num_hidden_layers
    assert sizes["merger"].tensors == 5


def test_a_tensor_of_no_part_is_refused():
    with pytest.raises(ValueError, match=r"wonder\.weight belongs to no part"):
        part_sizes({"wonder.weight": (6,)})

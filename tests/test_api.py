"""The public interface: names, signatures, shapes, types, and that nothing is remembered between two calls."""

import inspect
import os
import shutil
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import numpy as np
import pytest

import qwen25vl
from qwen25vl.errors import BadInput
from strategies import with_ids

ROOT = Path(qwen25vl.__file__).parents[1]
PICTURES = [np.random.default_rng(i).integers(0, 256, (56 + 28 * i, 84, 3), dtype=np.uint8) for i in range(2)]


def asking(*parts) -> list[dict[str, object]]:
    """One user turn; arrays are pictures, strings are text."""
    return [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": part}
                for part in parts
            ],
        }
    ]


@pytest.fixture(scope="module")
def model():
    return qwen25vl.load()


@pytest.fixture(scope="module")
def inputs(model):
    return model.prepare(asking(PICTURES[0], "What is this?"))


# ------------------------------------------------------------------------------ names, signatures


def test_the_public_names_are_these():
    assert set(qwen25vl.__all__) == {
        "BadInput",
        "Generation",
        "Inputs",
        "Model",
        "Output",
        "Processor",
        "Tap",
        "__version__",
        "load",
        "load_processor",
    }
    for name in qwen25vl.__all__:
        assert hasattr(qwen25vl, name)


PREPARE = {
    **dict.fromkeys(["min_pixels", "max_pixels", "total_pixels", "fps", "nframes", "profile"]),
    "padding_side": "left",
}
RENDER = {"add_vision_id": False, "add_generation_prompt": True}


@pytest.mark.parametrize(
    ("function", "positional", "keywords"),
    [
        (qwen25vl.load, {"path": "tiny"}, {"precision": "float32", "kernels": "reference", "allow_nan": False}),
        (qwen25vl.load_processor, {"path": "tiny"}, {}),
        (qwen25vl.Processor.render, {"self": ..., "messages": ...}, RENDER),
        (qwen25vl.Processor.prepare, {"self": ..., "messages": ...}, {**PREPARE, **RENDER}),
        (qwen25vl.Model.prepare, {"self": ..., "messages": ...}, {**PREPARE, **RENDER}),
        (qwen25vl.Model.forward, {"self": ..., "inputs": ...}, {"taps": None, "chunk": None, "after": None}),
        (
            qwen25vl.Model.generate,
            {"self": ..., "inputs": ...},
            {
                "max_new_tokens": 128,
                "greedy": False,
                "seed": 0,
                **dict.fromkeys(["temperature", "top_k", "top_p", "min_p", "repetition_penalty"]),
                "num_return_sequences": 1,
                **dict.fromkeys(["taps", "on_step", "chunk", "after"]),
            },
        ),
    ],
)
def test_signatures_and_defaults_are_fixed(function, positional, keywords):
    found = inspect.signature(function).parameters
    assert [*found] == [*positional, *keywords]
    for name, parameter in found.items():
        want = {**positional, **keywords}[name]
        assert parameter.default is inspect.Parameter.empty if want is ... else parameter.default == want
        assert (parameter.kind is inspect.Parameter.KEYWORD_ONLY) == (name in keywords)


@pytest.mark.parametrize("kind", [qwen25vl.Inputs, qwen25vl.Output, qwen25vl.Generation, qwen25vl.Model])
def test_results_are_frozen(kind):
    some = object.__new__(kind)
    with pytest.raises(FrozenInstanceError):
        setattr(some, fields(kind)[0].name, None)


# ------------------------------------------------------------------------------- shapes and types


@pytest.mark.parametrize("pictures", [0, 1, 2])
def test_inputs_have_the_shapes_and_types_of_the_contract(model, pictures):
    inputs = model.prepare(asking(*PICTURES[:pictures], "Hello"))
    L = inputs.ids.shape[1]
    P = sum((4 + 2 * i) * 6 for i in range(pictures))  # patches: a side of 56 + 28 i pixels, and one of 84
    want = {
        "ids": ((1, L), np.int64),
        "mask": ((1, L), np.bool_),
        "image_rows": ((P, 1176), np.float32),
        "image_grids": ((pictures, 3), np.int64),
        "video_rows": ((0, 1176), np.float32),
        "video_grids": ((0, 3), np.int64),
        "second_per_grid": ((0,), np.float64),
        "positions": ((3, 1, L), np.int64),
        "delta": ((1,), np.int64),
    }
    assert {name: (getattr(inputs, name).shape, getattr(inputs, name).dtype) for name in want} == want
    assert len(inputs.text) == 1
    assert inputs.text[0].count("<|image_pad|>") == pictures
    assert np.sum(inputs.ids == model.config.image_token_id) == P // 4


@pytest.mark.parametrize("name", ["tiny", "tiny-untied"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_forward_scores_every_row_for_every_token_in_the_precision(name, precision):
    model = qwen25vl.load(name, precision=precision)
    inputs = model.prepare(asking(PICTURES[0], "Hello"))
    output = model.forward(inputs)
    L = inputs.ids.shape[1]
    assert output.logits.shape == (1, L, model.config.text.vocab_size)
    assert output.logits.dtype == precision
    assert output.cache.length == L
    assert np.all(np.isfinite(output.logits))


def test_float32_is_float64_to_its_accuracy_but_not_the_same(model, inputs):
    narrow = model.forward(inputs).logits
    wide = qwen25vl.load(precision="float64").forward(inputs).logits
    worst = np.max(np.abs(narrow - wide))
    # Nine blocks of some ten sums each, of 173 products at most: that float32 is in use shows above its unit
    # (2**-24 of the largest score), and that nothing is wrong below a thousand of them.
    unit = 2.0**-24 * np.max(np.abs(wide))
    assert unit < worst < 1000 * unit


def test_a_path_of_either_type_is_a_checkpoint(tiny_dir, model, inputs):
    want = model.forward(inputs).logits
    for path in (tiny_dir, str(tiny_dir)):
        np.testing.assert_array_equal(qwen25vl.load(path).forward(inputs).logits, want)


def test_taps_are_filled_by_a_forward_pass_and_change_nothing(model, inputs):
    tap = qwen25vl.Tap(pattern="*")
    logits = model.forward(inputs, taps=tap).logits
    np.testing.assert_array_equal(logits, model.forward(inputs).logits)
    np.testing.assert_array_equal(tap["logits"], logits[0])
    np.testing.assert_array_equal(tap["language.positions"], inputs.positions[:, 0])
    assert tap["vision.blocks.02.attn.q_rope"].shape == (24, 2, 20)


# ------------------------------------------------------------------------------------- generation


def test_generate_equals_repeated_forward(inputs):
    model = qwen25vl.load(precision="float64")
    answer = model.generate(inputs, max_new_tokens=5, greedy=True)[0]
    ids = []
    for logprob in answer.logprobs:
        scores = model.forward(with_ids(inputs, ids) if ids else inputs).logits[0, -1]
        ids.append(int(np.argmax(scores)))
        log_sum = np.log(np.sum(np.exp(scores - scores.max()))) + scores.max()
        # The step's scores come from the cache: other matrix sizes, so other orders of sums of some hundred
        # products, through nine blocks.
        assert abs(logprob - (scores[ids[-1]] - log_sum)) <= 1e-11 * np.max(np.abs(scores))
    assert answer.ids == ids


def test_an_answer_says_its_text_and_why_it_ended(model, inputs):
    for length in (1, 3):
        (answer,) = model.generate(inputs, max_new_tokens=length)
        assert len(answer.ids) == len(answer.logprobs) <= length
        assert answer.stop == ("eos" if answer.ids[-1] in model.stop_ids else "length")
        assert answer.text == model.processor.tokenizer.decode(answer.ids, skip_special_tokens=True)
        assert all(logprob <= 0 for logprob in answer.logprobs)


def test_an_answer_ends_at_any_stop_id_which_is_its_last(tiny_dir, tmp_path, model, inputs):
    ids = model.generate(inputs, max_new_tokens=4, greedy=True)[0].ids
    shutil.copytree(tiny_dir, tmp_path / "model")
    eos = model.config.eos_token_id
    (tmp_path / "model" / "generation_config.json").write_text(f'{{"eos_token_id": [{eos}, {ids[1]}]}}')
    (answer,) = qwen25vl.load(tmp_path / "model").generate(inputs, max_new_tokens=4, greedy=True)
    first = ids.index(ids[1])
    assert answer.ids == ids[: first + 1]
    assert answer.stop == "eos"


def test_each_token_is_announced_before_the_next_is_computed(model, inputs):
    steps = []

    class Enough(Exception):
        pass

    def listen(step):
        steps.append(step.id)
        if len(steps) == 2:
            raise Enough

    with pytest.raises(Enough):
        model.generate(inputs, max_new_tokens=10**9, on_step=listen)
    assert steps == model.generate(inputs, max_new_tokens=2)[0].ids


def test_nothing_is_remembered_between_two_prompts(model, inputs):
    other = model.prepare(asking("Name", PICTURES[1], PICTURES[0], "a colour."))
    assert other.delta != inputs.delta
    first, first_logits = model.generate(inputs, max_new_tokens=4), model.forward(inputs).logits
    between = model.generate(other, max_new_tokens=4)
    assert model.generate(inputs, max_new_tokens=4) == first
    np.testing.assert_array_equal(model.forward(inputs).logits, first_logits)
    assert qwen25vl.load().generate(other, max_new_tokens=4) == between


def test_inputs_are_not_changed_by_a_run(model, inputs):
    before = {
        field.name: getattr(inputs, field.name).copy()
        for field in fields(inputs)
        if isinstance(getattr(inputs, field.name), np.ndarray)
    }
    model.generate(inputs, max_new_tokens=2)
    for name, array in before.items():
        np.testing.assert_array_equal(getattr(inputs, name), array)


# --------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"path": "nope"}, "no checkpoint directory 'nope'"),
        ({"precision": "float8"}, "unknown precision 'float8'; choose one of float64, float32"),
        ({"kernels": "fast"}, "unknown kernels 'fast'"),
    ],
)
def test_load_refuses_what_it_does_not_know(arguments, says):
    with pytest.raises(BadInput, match=says):
        qwen25vl.load(**arguments)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be a whole number from 1 to .*, got 0"),
        ({"max_new_tokens": -1}, "max_new_tokens must be a whole number from 1 to .*, got -1"),
    ],
)
def test_generate_refuses_what_it_cannot_do(model, inputs, arguments, says):
    with pytest.raises(BadInput, match=says):
        model.generate(inputs, **arguments)


def test_bad_input_is_a_value_error():
    assert issubclass(BadInput, ValueError)


# -------------------------------------------------------------------------------------- importing


def imported_by(code: str) -> set[str]:
    """Run code in a fresh process, and return the modules that it left imported."""
    listing = "import sys; print(*sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{code}\n{listing}"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
        timeout=60,
        text=True,
    )
    return set(finished.stdout.split())


@pytest.mark.parametrize("code", ["import qwen25vl", "import qwen25vl.cli.main"])
def test_the_import_takes_along_nothing_heavy(code):
    heavy = {
        "torch",
        "transformers",
        "tokenizers",
        "safetensors",
        "jinja2",
        "tqdm",
        "matplotlib",
        "av",
        "imageio",
        "numba",
        "beartype",
    }
    modules = imported_by(code)
    assert "qwen25vl.api" in modules
    assert not modules & heavy


def test_a_run_imports_what_it_needs_and_never_the_oracle():
    modules = imported_by("from qwen25vl.cli.main import main; main(['run', 'x', '--max-new-tokens', '1'])")
    assert {"tokenizers", "jinja2"} <= modules
    assert not modules & {"torch", "transformers", "matplotlib", "tqdm"}

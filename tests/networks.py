"""Models of random weights, made without PyTorch: clause tests run where the oracle is not installed."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from qwen25vl.checkpoint.directory import Checkpoint
from qwen25vl.checkpoint.names import expected_shapes
from qwen25vl.checkpoint.safetensors import StoredTensor
from qwen25vl.checkpoint.weights import Weights
from qwen25vl.config import Config, TextConfig, VisionConfig
from qwen25vl.generate.answer import Step, answer_steps
from qwen25vl.generate.settings import GREEDY
from qwen25vl.inputs import Inputs
from qwen25vl.model import Network, prefill, vocabulary_scores
from qwen25vl.ops import reference_ops
from qwen25vl.precision import FLOAT64, Precision
from qwen25vl.tap import SILENT, Tap
from strategies import SPECIAL_IDS, made_inputs

WIDE = reference_ops(FLOAT64)
"""The reference functions in float64."""

UNEVEN = Config(
    vision=VisionConfig(
        depth=3,
        hidden_size=32,
        intermediate_size=11,
        num_heads=4,
        patch_px=3,
        temporal_patch_f=2,
        merge_p=2,
        window_px=13,  # two merged tokens of 6 pixels, and one pixel that counts for nothing
        full_attention_blocks=(1,),
        out_hidden_size=72,
        tokens_per_second=3,
    ),
    text=TextConfig(
        vocab_size=37,
        hidden_size=72,
        intermediate_size=19,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        mrope_section=(1, 2, 3),
        rope_theta=1e4,
    ),
    tie_word_embeddings=False,
    **SPECIAL_IDS,
)
"""A small model in which no two dimensions are equal."""


def weights_of(arrays: Mapping[str, np.ndarray]) -> Weights:
    """A scope that holds just these arrays, as float64 or float32 as they are."""
    kinds = {np.dtype(np.float64): "F64", np.dtype(np.float32): "F32"}
    (dtype,) = {array.dtype for array in arrays.values()}
    tensors = {name: StoredTensor(name, kinds[dtype], array.shape, array) for name, array in arrays.items()}
    return Weights(Checkpoint(tensors=tensors, files=()), dtype)


def random_arrays(shapes: Mapping[str, tuple[int, ...]], *, seed: int) -> dict[str, np.ndarray]:
    """Float64 values for tensors by name, of which every one matters: no zero bias, no gain of one."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, shape in shapes.items():
        values = rng.standard_normal(shape)
        if "norm" in name or "ln_q" in name:
            values = 1 + 0.3 * values
        elif name.endswith("bias"):
            values = 0.2 * values
        elif "embed_tokens" not in name:
            values = 1.5 * values / np.sqrt(np.prod(shape[1:]))
        arrays[name] = values
    return arrays


def random_network(config: Config, *, seed: int = 0, precision: Precision = FLOAT64) -> Network:
    """A whole model of random weights."""
    stored = weights_of(random_arrays(expected_shapes(config), seed=seed))
    weights = Weights(stored.checkpoint, precision.dtype, rounded=precision.rounded)
    return Network(config, weights, reference_ops(precision))


def with_tensor(network: Network, name: str, array: np.ndarray) -> Network:
    """The same model with one tensor replaced, by its full name."""
    tensors = dict(network.weights.checkpoint.tensors)
    tensors[name] = StoredTensor(name, "F64", array.shape, array)
    return replace(network, weights=replace(network.weights, checkpoint=Checkpoint(tensors, ())))


def still_and_clip(config: Config = UNEVEN) -> Inputs:
    """A prompt with text, a picture, text, a video and text."""
    m = config.vision.merge_p
    ids = [20, 5, *[8] * 15, 6, 21, 5, *[9] * 12, 6, 22]
    rng = np.random.default_rng(0)
    return made_inputs(config, ids, [(1, 5 * m, 3 * m)], [(2, 2 * m, 3 * m)], [4 / 3], rng)


def every_tap(inputs: Inputs, network: Network) -> Tap:
    """Run a prompt and keep everything that it reports, the logits too."""
    tap = Tap()
    hidden, _ = prefill(inputs, network, tap=tap)
    tap("logits", vocabulary_scores(hidden, network))
    return tap


def greedy_steps(
    inputs: Inputs,
    network: Network,
    *,
    stop_ids: tuple[int, ...],
    max_new_tokens: int,
    tap: Tap = SILENT,
) -> Iterator[Step]:
    """Run a prompt and decode its answer, the best-scored token each time; with no tokenizer."""
    hidden, cache = prefill(inputs, network, tap=tap)
    yield from answer_steps(
        hidden[-1],
        cache,
        inputs.ids[0],
        network,
        delta=int(inputs.delta[0]),
        settings=GREEDY,
        stop_ids=stop_ids,
        max_new_tokens=max_new_tokens,
    )

"""The one file of the tests that knows PyTorch and transformers: everything the tests compare with.

Written for transformers 5.23.0 on torch 2.13.0; names that moved between neighbouring versions are looked
up, not imported by symbol. Where torch sees a GPU the models run on it, else on the CPU.
"""

import contextlib
import copy
import functools
import json
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import transformers
from packaging.version import Version
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from transformers import vision_utils
from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl as upstream
from transformers.models.qwen2_vl import image_processing_pil_qwen2_vl as upstream_pictures
from transformers.utils.chat_template_utils import render_jinja_template

from checkpoint_files import new_name
from networks import random_arrays, weights_of
from qwen25vl.checkpoint.directory import Checkpoint
from qwen25vl.checkpoint.names import expected_shapes
from qwen25vl.checkpoint.weights import Weights
from qwen25vl.config import Config, TextConfig, VisionConfig
from qwen25vl.config_json import read_config
from qwen25vl.inputs import Inputs
from qwen25vl.layers.rotary import inverse_frequencies

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
"""Where whole models run. Single functions run on the CPU: they are small, and compared to the last bit."""

VERSIONS = f"transformers {transformers.__version__}, torch {torch.__version__}, on {DEVICE}"
"""For the message of a failure."""

# A float32 product is one: no TF32 on a GPU, no bfloat16 pieces on a CPU, and sums of 16-bit products in float32.
# Both ways of saying so are needed. In torch 2.11 the newer one alone leaves cuDNN's convolution in TF32.
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
if hasattr(torch.backends, "fp32_precision"):  # since torch 2.9
    torch.backends.fp32_precision = "ieee"


def versions() -> dict[str, str]:
    """What the comparison is made with: libraries, the device, its arithmetic."""
    return {
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if DEVICE == "cuda" else "CPU",
        "CPU": f"{torch.backends.cpu.get_cpu_capability()}, threads: {torch.get_num_threads()}",
    }


def since(version: str) -> bool:
    """Whether the installed transformers is this version or later."""
    return Version(transformers.__version__) >= Version(version)


# ------------------------------------------------------------------- a GPU for machines that have none


class _Pretended(torch.Tensor):
    """Says that it lies on another device; what it holds lies here."""

    @staticmethod
    def __new__(cls, held: Any) -> Any:
        layout = {"strides": held.stride(), "storage_offset": held.storage_offset()}
        made = torch.Tensor._make_wrapper_subclass(cls, held.shape, dtype=held.dtype, device="meta", **layout)
        made.held = held
        return made

    def tolist(self) -> Any:
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed_here(function, args, kwargs or {})


def _held(value: Any) -> Any:
    return value.held if isinstance(value, _Pretended) else value


MIXING = ("aten::copy_", "aten::_to_copy", "aten::index", "aten::index_put_")
"""What a GPU, too, does with tensors of both devices: moving, and indexing by a tensor of the CPU."""


def _computed_here(function: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """Compute with what is held; the result lies where a GPU would have it."""
    tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
    there = any(isinstance(tensor, _Pretended) for tensor in tensors)
    if there and function.name().split(".")[0] not in MIXING:
        for tensor in tensors:
            if tensor.dim() and not isinstance(tensor, _Pretended):
                raise RuntimeError(f"{function} was given tensors of two devices")
    if kwargs.get("device") is not None:
        there = torch.device(kwargs["device"]).type == "meta"
        kwargs = {**kwargs, "device": "cpu"}
    known = {id(_held(tensor)): tensor for tensor in tensors}  # what is changed in place stays itself
    result = function(*tree_map(_held, args), **tree_map(_held, kwargs))

    def wrapped(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return known[id(value)] if id(value) in known else _Pretended(value)

    return tree_map(wrapped, result) if there else result


class _Computing(TorchDispatchMode):
    """For tensors that are made on a device: no argument of theirs lies there."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed_here(function, args, kwargs or {})


class _Making(TorchFunctionMode):
    """`torch.tensor` asks nobody before it makes one."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        device = (kwargs or {}).get("device")
        if function is torch.tensor and device is not None and torch.device(device).type == "meta":
            return torch.tensor(*tree_map(_held, args), **{**kwargs, "device": "cpu"}).to("meta")
        return function(*args, **kwargs or {})


@contextlib.contextmanager
def pretended_gpu() -> Iterator[None]:
    """Run whole models on a device that computes as the CPU does, but refuses what a GPU would refuse.

    That is an operation on tensors of two devices, and NumPy's look into its memory. How a GPU rounds, and
    which operations it lacks, cannot be seen.
    """
    # A module that changes type puts new numbers into its old parameters; a pretended one would not notice.
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with mock.patch.dict(globals(), DEVICE="meta"), _Making(), _Computing():
            yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)


# --------------------------------------------------------------------------------------- models


def upstream_config(config: Config) -> Any:
    """Translate our config into transformers' nested form."""
    v, t = config.vision, config.text
    return transformers.Qwen2_5_VLConfig(
        text_config=dict(
            vocab_size=t.vocab_size,
            hidden_size=t.hidden_size,
            intermediate_size=t.intermediate_size,
            num_hidden_layers=t.num_hidden_layers,
            num_attention_heads=t.num_attention_heads,
            num_key_value_heads=t.num_key_value_heads,
            max_position_embeddings=t.max_position_embeddings,
            rms_norm_eps=t.rms_norm_eps,
            rope_theta=t.rope_theta,
            rope_scaling={"type": "mrope", "mrope_section": list(t.mrope_section)},
            use_sliding_window=False,
            tie_word_embeddings=config.tie_word_embeddings,
            bos_token_id=None,
            eos_token_id=config.eos_token_id,
        ),
        vision_config=dict(
            depth=v.depth,
            hidden_size=v.hidden_size,
            intermediate_size=v.intermediate_size,
            num_heads=v.num_heads,
            in_channels=v.in_channels,
            patch_size=v.patch_px,
            temporal_patch_size=v.temporal_patch_f,
            spatial_merge_size=v.merge_p,
            window_size=v.window_px,
            fullatt_block_indexes=list(v.full_attention_blocks),
            out_hidden_size=v.out_hidden_size,
            tokens_per_second=v.tokens_per_second,
        ),
        tie_word_embeddings=config.tie_word_embeddings,
        image_token_id=config.image_token_id,
        video_token_id=config.video_token_id,
        vision_start_token_id=config.vision_start_token_id,
        vision_end_token_id=config.vision_end_token_id,
        attn_implementation="eager",
    )


def random_model(config: Config, *, seed: int, dtype: str = "float64") -> Any:
    """Make an upstream model whose every weight matters: no zero bias, no gain of one."""
    return model_of(weights_of(random_arrays(expected_shapes(config), seed=seed)), config, dtype=dtype)


def model_of(weights: Weights, config: Config, *, dtype: str) -> Any:
    """Make an upstream model of our weights."""
    model = transformers.Qwen2_5_VLForConditionalGeneration(upstream_config(config)).eval()
    with torch.no_grad():
        for name, parameter in _released_state(model).items():
            parameter.copy_(torch.from_numpy(np.array(weights[name])))
    return recast(_with_our_frequencies(model, config), dtype=dtype).to(DEVICE)


def recast(model: Any, *, dtype: str) -> Any:
    """Give a model another type, in place, as upstream loads one: frequencies have 32 bits at least."""
    frequencies = {name: buffer.clone() for name, buffer in model.named_buffers() if name.endswith("inv_freq")}
    model.to(getattr(torch, dtype))
    for name, kept in frequencies.items():
        owner, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(owner), leaf, kept.double() if dtype == "float64" else kept.float())
    return model


def _with_our_frequencies(model: Any, config: Config) -> Any:
    """Put the correctly rounded frequencies in: torch's power is a unit off at a few (clause N8).

    `test_n8_...` compares the frequencies themselves.
    """
    v, t = config.vision, config.text
    for module, width, theta in (
        (model.model.visual.rotary_pos_emb, v.head_dim // 2, v.rope_theta),
        (model.model.language_model.rotary_emb, t.head_dim, t.rope_theta),
    ):
        ours = torch.from_numpy(inverse_frequencies(width=width, theta=theta))
        assert torch.allclose(module.inv_freq, ours, rtol=3e-7, atol=0)
        module.inv_freq = ours.clone()
    return model


def upstream_frequencies(config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Return upstream's own float32 frequencies: vision, language."""
    ours = upstream_config(config)
    vision = upstream.Qwen2_5_VLVisionRotaryEmbedding(ours.vision_config).inv_freq
    language = upstream.Qwen2_5_VLRotaryEmbedding(ours.text_config).inv_freq
    return vision.numpy(), language.numpy()


def checkpoint_of(model: Any) -> Checkpoint:
    """Give our side the very same weights, without a detour over the disk."""
    state = _released_state(model).items()
    return weights_of({name: tensor.detach().cpu().numpy() for name, tensor in state}).checkpoint


# ---------------------------------------------------------------------------------- forward pass


class _WideTorch:
    """Stands in for `torch` inside upstream's modules: what they call float32 is float64."""

    float32 = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


@contextlib.contextmanager
def widened_islands() -> Iterator[None]:
    """Let upstream compute in float64 where it insists on float32: norms, softmax, rotary angles."""
    with (
        mock.patch.object(upstream, "torch", _WideTorch()),
        mock.patch.object(torch.Tensor, "float", torch.Tensor.double),
    ):
        yield


def upstream_taps(model: Any, inputs: Inputs, *, widened: bool) -> dict[str, np.ndarray]:
    """Run upstream on a prompt, our positions passed in, and record every tap of ours."""
    recorder = _Recorder(model)
    with contextlib.ExitStack() as stack:
        if widened:
            stack.enter_context(widened_islands())
        stack.enter_context(recorder.listening())
        stack.enter_context(torch.no_grad())
        output = model(**upstream_arguments(model, inputs), use_cache=False)
    recorder.keep("logits", output.logits[0])
    return recorder.taps


def upstream_arguments(model: Any, inputs: Inputs) -> dict[str, Any]:
    """Translate our inputs into the arguments of upstream's forward."""
    arguments = {
        "input_ids": torch.from_numpy(inputs.ids),
        "attention_mask": torch.from_numpy(inputs.mask.astype(np.int64)),
        "position_ids": torch.from_numpy(inputs.positions),
    }
    if len(inputs.image_grids):
        arguments["pixel_values"] = torch.from_numpy(inputs.image_rows)
        arguments["image_grid_thw"] = torch.from_numpy(inputs.image_grids)
    if len(inputs.video_grids):
        arguments["pixel_values_videos"] = torch.from_numpy(inputs.video_rows)
        arguments["video_grid_thw"] = torch.from_numpy(inputs.video_grids)
    return {name: tensor.to(DEVICE) for name, tensor in arguments.items()}


class _Recorder:
    """Hooks on upstream's modules and wrappers around its functions, under our tap ids.

    Upstream encodes pictures and videos in two calls, we in one: what both calls report is joined.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.parts: dict[str, list[np.ndarray]] = defaultdict(list)
        self.scope = ""

    @property
    def taps(self) -> dict[str, np.ndarray]:
        return {name: self._joined(name, parts) for name, parts in self.parts.items()}

    @staticmethod
    def _joined(name: str, parts: list[np.ndarray]) -> np.ndarray:
        if name.endswith("_starts"):  # each call counts from 0
            ends = np.cumsum([0] + [part[-1] for part in parts[:-1]])
            return np.concatenate([[0]] + [part[1:] + end for part, end in zip(parts, ends, strict=True)])
        if name == "vision.window_order":
            firsts = np.cumsum([0] + [len(part) for part in parts[:-1]])
            return np.concatenate([part + first for part, first in zip(parts, firsts, strict=True)])
        axis = -1 if name.startswith("vision.") and name.endswith(".probs") else 0
        return np.concatenate(parts, axis=axis)

    def keep(self, name: str, tensor: Any) -> None:
        tensor = tensor.detach().cpu()
        narrow = tensor.dtype in (torch.bfloat16, torch.float16)  # NumPy has no bfloat16
        self.parts[name].append(np.array((tensor.to(torch.float32) if narrow else tensor).numpy()))

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for patch in self._function_patches():
                stack.enter_context(patch)
            for handle in self._module_hooks():
                stack.callback(handle.remove)
            yield

    def _module_hooks(self) -> Iterator[Any]:
        visual, language = self.model.model.visual, self.model.model.language_model
        yield self._after(visual.patch_embed, "vision.patch_embed.out")
        yield from self._rotary_hook(visual.rotary_pos_emb, None)
        yield from self._rotary_hook(language.rotary_emb, "language.rope")
        for i, block in enumerate(visual.blocks):
            scope = f"vision.blocks.{i:02d}"
            yield self._scope(block, scope)
            yield from self._block_hooks(scope, block, block.norm1, block.norm2, block.attn, block.attn.proj)
        for i, block in enumerate(language.layers):
            scope = f"language.blocks.{i:02d}"
            yield self._scope(block, scope)
            norm1, norm2, attn = block.input_layernorm, block.post_attention_layernorm, block.self_attn
            yield from self._block_hooks(scope, block, norm1, norm2, attn, attn.o_proj)
        merger = visual.merger
        for module, name in ((merger.ln_q, "norm"), (merger.mlp[0], "hidden"), (merger.mlp[1], "act")):
            yield self._after(module, f"vision.merger.{name}")
        yield self._after(merger, "vision.merger.out")
        yield visual.register_forward_hook(lambda m, a, out: self.keep("vision.out", out.pooler_output))
        yield language.register_forward_pre_hook(self._language_inputs, with_kwargs=True)
        yield self._after(language.norm, "language.norm.out")

    def _language_inputs(self, module: Any, args: Any, kwargs: Any) -> None:
        self.keep("language.embed.out", kwargs["inputs_embeds"][0])
        self.keep("language.positions", kwargs["position_ids"][:, 0])

    def _rotary_hook(self, module: Any, name: str | None) -> Iterator[Any]:
        def hook(module: Any, args: Any, out: Any) -> None:
            if name is not None:
                self.keep(f"{name}.cos", out[0][0])
                self.keep(f"{name}.sin", out[1][0])

        yield module.register_forward_hook(hook)

    def _scope(self, block: Any, scope: str) -> Any:
        def hook(module: Any, args: Any) -> None:
            self.scope = scope

        return block.register_forward_pre_hook(hook)

    def _block_hooks(self, scope: str, block: Any, norm1: Any, norm2: Any, attn: Any, proj: Any) -> Iterator[Any]:
        yield self._after(norm1, f"{scope}.norm1")
        yield self._after(attn, f"{scope}.attn.out")
        yield norm2.register_forward_pre_hook(lambda m, a: self.keep(f"{scope}.resid_mid", self._rows(a[0])))
        yield self._after(norm2, f"{scope}.norm2")
        yield self._after(block.mlp.gate_proj, f"{scope}.mlp.gate")
        yield self._after(block.mlp.up_proj, f"{scope}.mlp.up")
        yield block.mlp.down_proj.register_forward_pre_hook(
            lambda m, a: self.keep(f"{scope}.mlp.act", self._rows(a[0]))
        )
        yield self._after(block.mlp, f"{scope}.mlp.out")
        yield self._after(block, f"{scope}.resid_post")

    def _after(self, module: Any, name: str) -> Any:
        def hook(module: Any, args: Any, out: Any) -> None:
            self.keep(name, self._rows(out[0] if isinstance(out, tuple) else out))

        return module.register_forward_hook(hook)

    @staticmethod
    def _rows(tensor: Any) -> Any:
        """Drop the batch axis of the decoder; the vision encoder has none."""
        return tensor[0] if tensor.ndim == 3 else tensor

    def _function_patches(self) -> Iterator[Any]:
        def wrap(name: str, report: Callable[[Any, Any], None]) -> Any:
            original = getattr(upstream, name)

            def wrapper(*args: Any, **kwargs: Any) -> Any:
                result = original(*args, **kwargs)
                report(args, result)
                return result

            return mock.patch.object(upstream, name, wrapper)

        def vision_rotation(args: Any, result: Any) -> None:
            for name, tensor in (
                ("q", args[0]),
                ("k", args[1]),
                ("q_rope", result[0]),
                ("k_rope", result[1]),
            ):
                self.keep(f"{self.scope}.attn.{name}", tensor)
            if self.scope == "vision.blocks.00":
                self.keep("vision.rope.cos", args[2])
                self.keep("vision.rope.sin", args[3])

        def text_rotation(args: Any, result: Any) -> None:
            for name, tensor in (
                ("q", args[0]),
                ("k", args[1]),
                ("q_rope", result[0]),
                ("k_rope", result[1]),
            ):
                self.keep(f"{self.scope}.attn.{name}", tensor[0].transpose(0, 1))

        def attended(args: Any, result: Any) -> None:
            probs = result[1][0]
            if self.scope.startswith("vision"):  # one call per segment
                probs = probs.flatten(1)
            self.keep(f"{self.scope}.attn.probs", probs)
            self.keep(f"{self.scope}.attn.v", args[3][0].transpose(0, 1))
            self.keep(f"{self.scope}.attn.mixed", result[0][0])

        yield wrap("apply_rotary_pos_emb_vision", vision_rotation)
        yield wrap("apply_rotary_pos_emb", text_rotation)
        yield wrap("eager_attention_forward", attended)
        yield wrap("get_vision_window_index", self._window_report)
        yield wrap("get_vision_attention_seqlens", lambda a, r: self.keep("vision.frame_starts", r[0]))

    def _window_report(self, args: Any, result: Any) -> None:
        self.keep("vision.window_order", result[0])
        self.keep("vision.window_starts", result[1])


# ---------------------------------------------------------------------------- functions, one by one


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """torch's linear layer."""
    return torch.nn.functional.linear(*_tensors(x, weight), None if bias is None else _tensors(bias)[0]).numpy()


def rms_norm(x: np.ndarray, weight: np.ndarray, *, eps: float) -> np.ndarray:
    """Upstream's norm, in the type of `x`."""
    norm = upstream.Qwen2_5_VLRMSNorm(len(weight), eps=eps)
    _fill(norm, {"weight": weight})
    return _widened(norm, x)


def activation(name: str, x: np.ndarray) -> np.ndarray:
    """The function that upstream's configs or modules name."""
    if name == "gelu":  # as the merger builds it
        return torch.nn.GELU()(*_tensors(x)).numpy()
    return transformers.activations.ACT2FN[name](*_tensors(x)).numpy()


def softmax(scores: np.ndarray) -> np.ndarray:
    """torch's softmax over the last axis."""
    return torch.nn.functional.softmax(*_tensors(scores), dim=-1).numpy()


def rotary_powers(*, width: int, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """Upstream's `base ** (arange / dim)`, and the reciprocals that it keeps."""
    power = theta ** (torch.arange(0, width, 2, dtype=torch.float) / width)
    return power.numpy(), (1.0 / power).numpy()


def rotated(x: np.ndarray, cos: np.ndarray, sin: np.ndarray, tower: str) -> np.ndarray:
    """Upstream's rotation of one array of heads, in the type of `x`."""
    heads, turns = _tensors(x)[0], _tensors(cos, sin)
    with widened_islands() if x.dtype == np.float64 else contextlib.nullcontext():
        if tower == "vision":
            return upstream.apply_rotary_pos_emb_vision(heads, heads, *turns)[0].numpy()
        batch = heads[None].transpose(1, 2)
        turned, _ = upstream.apply_rotary_pos_emb(batch, batch, *(turn[None] for turn in turns))
        return turned[0].transpose(0, 1).numpy()


def attention(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, *, allowed: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Upstream's eager attention over one segment: mixed values, probabilities."""
    module = mock.Mock(num_key_value_groups=q.shape[1] // k.shape[1], training=False)
    mask = None if allowed is None else torch.from_numpy(np.where(allowed, 0.0, -np.inf))
    heads = [tensor.transpose(0, 1)[None] for tensor in _tensors(q, k, v)]
    with widened_islands():
        mixed, probs = upstream.eager_attention_forward(module, *heads, mask, scaling=q.shape[2] ** -0.5)
    return mixed[0].numpy(), probs[0].numpy()


def gated_mlp(x: np.ndarray, arrays: dict[str, np.ndarray], *, bias: bool) -> np.ndarray:
    """The MLP of the vision blocks, where biased, or of the decoder's."""
    sizes = mock.Mock(hidden_size=x.shape[1], intermediate_size=len(arrays["up_proj.weight"]), hidden_act="silu")
    module = upstream.Qwen2_5_VLMLP(sizes, bias=True) if bias else upstream.Qwen2MLP(sizes)
    _fill(module, arrays)
    return _widened(module, x)


def patch_embedding(rows: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Upstream's convolution, in the type of `weight`."""
    D, C, frames, px, _ = weight.shape
    module = upstream.Qwen2_5_VisionPatchEmbed(px, frames, C, D)
    _fill(module, {"proj.weight": weight})
    return _widened(module, rows)


def merged_tokens(x: np.ndarray, arrays: dict[str, np.ndarray], *, merge_p: int) -> np.ndarray:
    """Upstream's merger."""
    module = upstream.Qwen2_5_VLPatchMerger(len(arrays["mlp.2.bias"]), x.shape[1], merge_p)
    _fill(module, arrays)
    return _widened(module, x)


def patch_coordinates(grids: np.ndarray, *, merge_p: int) -> np.ndarray:
    """Row and column of every patch."""
    return vision_utils.get_vision_position_ids(torch.from_numpy(grids), merge_p).numpy()


def vision_rotation(coordinates: np.ndarray, config: VisionConfig) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines of the vision encoder in float64, from our float32 frequencies."""
    module = upstream.Qwen2_5_VLVisionRotaryEmbedding(upstream_config(Config(vision=config)).vision_config)
    module.inv_freq = torch.from_numpy(inverse_frequencies(width=config.head_dim // 2, theta=config.rope_theta))
    return _rotation(module, coordinates)


def mrope_rotation(positions: np.ndarray, config: TextConfig) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines of the decoder in float64, from our float32 frequencies."""
    vision = VisionConfig(out_hidden_size=config.hidden_size)
    ids = dict.fromkeys(
        ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id", "eos_token_id"), 0
    )
    module = upstream.Qwen2_5_VLRotaryEmbedding(upstream_config(Config(vision, config, **ids)).text_config)
    module.inv_freq = torch.from_numpy(inverse_frequencies(width=config.head_dim, theta=config.rope_theta))
    cos, sin = _rotation(module, positions[:, None])
    return cos[0], sin[0]


def window_order(grids: np.ndarray, config: VisionConfig) -> tuple[np.ndarray, np.ndarray]:
    """Order of the merged tokens, and the boundaries in patches; `grids` in patches too."""
    order, starts = vision_utils.get_vision_window_index(
        torch.from_numpy(grids), config.merge_p, config.window_px, config.patch_px
    )
    return order.numpy(), starts.numpy()


def frame_starts(grids: np.ndarray) -> np.ndarray:
    """Boundaries of full attention."""
    return vision_utils.get_vision_cu_seqlens(torch.from_numpy(grids)).numpy()


def authors_time(T: int, *, second_per_grid: float, tokens_per_second: int) -> np.ndarray:
    """The temporal positions of transformers 4.49.0 to 4.51.3 and of the authors' own code, as they wrote them."""
    return (torch.arange(T) * second_per_grid * tokens_per_second).long().numpy()


def frame_indices(first: int, last: int, count: int) -> np.ndarray:
    """The frame numbers of qwen-vl-utils, as it writes them."""
    return torch.linspace(first, last, count).round().long().numpy()


def fused_multiply_add() -> bool:
    """Whether this machine's torch rounds `a * b + c` once: linspace shows it."""
    return torch.backends.cpu.get_cpu_capability() != "DEFAULT"


def resized_by_torch(frame: np.ndarray, *, height_px: int, width_px: int) -> np.ndarray:
    """A frame resampled as torchvision does it with antialias: float32, rounded to bytes at the end."""
    planes = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
    size = (height_px, width_px)
    out = torch.nn.functional.interpolate(planes, size=size, mode="bicubic", antialias=True, align_corners=False)
    return out.round().clamp(0, 255).to(torch.uint8)[0].permute(1, 2, 0).numpy()


def _tensors(*arrays: np.ndarray) -> list[Any]:
    return [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]


def _fill(module: Any, arrays: dict[str, np.ndarray]) -> None:
    """Give a module these parameters, all of them, and their type."""
    kind = next(iter(arrays.values())).dtype
    module.to(getattr(torch, str(kind))).load_state_dict(
        {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}, strict=True
    )


def _widened(module: Any, x: np.ndarray) -> np.ndarray:
    """Run a module; where it is float64 its float32 steps are widened."""
    wide = next(module.parameters()).dtype == torch.float64
    with torch.no_grad(), widened_islands() if wide else contextlib.nullcontext():
        return module(*_tensors(x)).numpy()


def _rotation(module: Any, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Run a rotary module in float64."""
    module.inv_freq = module.inv_freq.double()
    wide = torch.zeros(1, dtype=torch.float64)
    with mock.patch.object(torch, "float", torch.float64), widened_islands():
        cos, sin = module(wide, torch.from_numpy(positions))
    return cos.numpy(), sin.numpy()


# ------------------------------------------------------------------------- positions, generation


def upstream_positions(
    config: Config,
    ids: np.ndarray,
    mask: np.ndarray,
    image_grids: np.ndarray,
    video_grids: np.ndarray,
    second_per_grid: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return upstream's positions and delta of prompts with pictures (it deviates for video).

    It leaves 0 in padding, and counts delta from the length without padding.
    """
    stand_in = mock.Mock(config=upstream_config(config))
    model = upstream.Qwen2_5_VLModel
    stand_in.get_vision_position_ids = lambda *a, **k: model.get_vision_position_ids(stand_in, *a, **k)
    kinds = np.where(ids == config.image_token_id, 1, 0) + np.where(ids == config.video_token_id, 2, 0)
    positions, delta = model.get_rope_index(
        stand_in,
        torch.from_numpy(ids),
        torch.from_numpy(kinds),
        image_grid_thw=torch.from_numpy(image_grids),
        video_grid_thw=torch.from_numpy(video_grids),
        second_per_grid_ts=torch.from_numpy(second_per_grid),
        attention_mask=torch.from_numpy(mask.astype(np.int64)),
    )
    return positions.numpy(), delta[:, 0].numpy()


def upstream_greedy(model: Any, inputs: Inputs, *, max_new_tokens: int, stop_ids: tuple[int, ...]) -> list[int]:
    """Let upstream's own loop decode greedily, cache and positions its own."""
    arguments = upstream_arguments(model, inputs)
    del arguments["position_ids"]
    config = model.config
    ids = arguments["input_ids"]
    arguments["mm_token_type_ids"] = (ids == config.image_token_id).int() + 2 * (
        ids == config.video_token_id
    ).int()
    generated = model.generate(
        **arguments,
        max_new_tokens=max_new_tokens,
        do_sample=False,
        eos_token_id=list(stop_ids),
        pad_token_id=stop_ids[0],
    )
    return generated[0, inputs.ids.shape[1] :].tolist()


def opened_model(directory: Path, *, dtype: str) -> Any:
    """Let upstream open a checkpoint directory; every tensor of it must find its place."""
    model, report = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained(
        directory, dtype=getattr(torch, dtype), attn_implementation="eager", output_loading_info=True
    )
    assert not any(report.values()), report
    return _with_our_frequencies(model, read_config(directory)).eval().to(DEVICE)


# --------------------------------------------------------------------------------------- checkpoints


def _random_upstream(config: Config, *, dtype: str, seed: int = 0) -> Any:
    """An upstream model, every parameter random in `dtype`."""
    torch.manual_seed(seed)
    model = transformers.Qwen2_5_VLForConditionalGeneration(upstream_config(config))
    model.to(getattr(torch, dtype))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


def _released_state(model: Any) -> dict[str, Any]:
    """Its tensors by released name; a tied matrix once."""
    state = model.state_dict()
    if model.config.tie_word_embeddings:
        del state["lm_head.weight"]
    return {
        name.replace("model.visual.", "visual.").replace("model.language_model.", "model."): tensor
        for name, tensor in state.items()
    }


def upstream_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of the model that upstream builds."""
    return {name: tuple(t.shape) for name, t in _released_state(_random_upstream(config, dtype="float32")).items()}


def saved_checkpoint(
    directory: Path, config: Config, *, dtype: str, layout: str, max_shard_size: str
) -> dict[str, np.ndarray]:
    """Save a random model as upstream does; its tensors as float32, by released name.

    transformers 5 writes the released names by itself. The new layout, which 4.52 and later 4.x wrote, is
    made by renaming.
    """
    model = _random_upstream(config, dtype=dtype)
    model.save_pretrained(directory, max_shard_size=max_shard_size)
    if layout == "new":
        _rename_files(directory)
    return {name: tensor.float().cpu().numpy() for name, tensor in _released_state(model).items()}


def _rename_files(directory: Path) -> None:
    """Put every file of a checkpoint into the new layout."""
    for path in directory.glob("*.safetensors"):
        tensors = {new_name(name): tensor.clone() for name, tensor in load_file(path).items()}
        path.unlink()
        save_file(tensors, path)
    index = directory / "model.safetensors.index.json"
    if index.exists():
        document = json.loads(index.read_text())
        document["weight_map"] = {new_name(name): file for name, file in document["weight_map"].items()}
        index.write_text(json.dumps(document))


def loaded_checkpoint(directory: Path) -> dict[str, np.ndarray]:
    """Load a checkpoint with upstream, refusing what it would let pass; its tensors by released name."""
    model, info = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained(
        directory, output_loading_info=True
    )
    assert not any(info.values()), info
    return {name: tensor.float().cpu().numpy() for name, tensor in _released_state(model).items()}


def loaded_head(directory: Path) -> tuple[np.ndarray, bool]:
    """The output matrix that upstream would use, and whether it is the embedding itself."""
    model = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained(directory)
    head, embedding = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    return head.detach().float().cpu().numpy(), head is embedding


def saved_config(directory: Path, config: Config) -> dict[str, Any]:
    """Save config.json as upstream does, nested and without what equals its defaults; what it wrote."""
    upstream_config(config).save_pretrained(directory)
    return dict(json.loads((directory / "config.json").read_text()))


def class_defaults() -> dict[str, dict[str, Any]]:
    """What upstream takes for each key that a config.json leaves out."""
    return upstream_reading({"model_type": "qwen2_5_vl"})


def upstream_reading(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What upstream understands a config.json to say: `root`, `text` and `vision`, by its own keys."""
    read = transformers.Qwen2_5_VLConfig.from_dict(copy.deepcopy(dict(document)))
    eos = transformers.GenerationConfig.from_model_config(read).eos_token_id
    return {
        "root": {**read.to_dict(), "eos_token_id": eos},
        "text": read.text_config.to_dict(),
        "vision": read.vision_config.to_dict(),
    }


# ------------------------------------------------------------------------------------------ pictures


def smart_resize(height, width, *, factor, min_pixels, max_pixels):
    """`(height, width)` of the pinned transformers: profile hf."""
    return upstream_pictures.smart_resize(height, width, factor, min_pixels, max_pixels)


def _pil_processor(**settings):
    return upstream_pictures.Qwen2VLImageProcessorPil(**settings)


def pil_processor_rows(images, **settings):
    """Rows `[P, D]` and grids `[n, 3]` of the PIL image processor; `images`: paths, Pillow images, arrays."""
    out = _pil_processor(**settings)(images=images, return_tensors="np")
    return np.asarray(out["pixel_values"]), np.asarray(out["image_grid_thw"])


def pil_processor_rgb(image):
    """The bytes `[height, width, 3]` that the PIL image processor works on, before resizing."""
    (channels_first,) = _pil_processor()._prepare_image_like_inputs([image], do_convert_rgb=True)
    return np.moveaxis(channels_first, 0, -1)


def save_processor_config(directory, **settings):
    """Write processor_config.json the way a transformers 5 processor nests its image processor."""
    nested = upstream_pictures.Qwen2VLImageProcessorPil(**settings).to_dict()
    (directory / "processor_config.json").write_text(json.dumps({"image_processor": nested}))


def save_preprocessor_config(directory, **settings):
    """Write preprocessor_config.json as transformers 5 saves an image processor alone."""
    _pil_processor(**settings).save_pretrained(directory)


# ------------------------------------------------------------------------------------------- prompts


def hf_template(directory: Path) -> str:
    """Return the chat template that upstream's processor takes from a directory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        template = transformers.Qwen2_5_VLProcessor.get_processor_dict(str(directory))[0]["chat_template"]
    assert isinstance(template, str)
    return template


def hf_chat_template(
    template: str, messages: Sequence[Any], *, add_generation_prompt: bool, add_vision_id: bool
) -> str:
    """Return upstream's rendering of one conversation."""
    rendered, _ = render_jinja_template(
        conversations=[list(messages)],
        chat_template=template,
        add_generation_prompt=add_generation_prompt,
        add_vision_id=add_vision_id,
    )
    return str(rendered[0])


def hf_tokenizer_ids(directory: Path, text: str) -> list[int]:
    """Return the ids of upstream's tokenizer, loaded from the same directory."""
    return list(_tokenizer(directory)(text)["input_ids"])


def hf_decoded(directory: Path, ids: Sequence[int], *, skip_special_tokens: bool) -> str:
    """Return the text of upstream's tokenizer for ids."""
    return str(_tokenizer(directory).decode(list(ids), skip_special_tokens=skip_special_tokens))


def hf_processor_ids(
    directory: Path, messages: Sequence[Any], images: Sequence[np.ndarray]
) -> tuple[list[int], list[int]]:
    """Return the ids of a prompt with images from upstream's whole processor, and each image's tokens."""
    processor = _processor(directory)
    text = processor.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
    batch = processor(text=[text], images=[Image.fromarray(image) for image in images], return_tensors="np")
    merge_unit = processor.image_processor.merge_size**2
    return batch["input_ids"][0].tolist(), (batch["image_grid_thw"].prod(axis=1) // merge_unit).tolist()


def _processor(directory: Path) -> Any:
    """Build upstream's processor without its video half, which needs torchvision."""
    with mock.patch.object(transformers.Qwen2_5_VLProcessor, "check_argument_for_proper_class", return_value=None):
        return transformers.Qwen2_5_VLProcessor(
            image_processor=upstream_pictures.Qwen2VLImageProcessorPil.from_pretrained(str(directory)),
            tokenizer=_tokenizer(directory),
            video_processor=mock.Mock(spec=[]),
            chat_template=hf_template(directory),
        )


@functools.cache
def _tokenizer(directory: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(str(directory))


# ------------------------------------------------------------------------------------------ batches


def upstream_batch_logits(model: Any, inputs: Inputs) -> np.ndarray:
    """Run a padded batch in one call, our positions passed in, and return all logits [B, L, V]."""
    with widened_islands(), torch.no_grad():
        return model(**upstream_arguments(model, inputs), use_cache=False).logits.cpu().numpy()


# ------------------------------------------------------------------------------------------ generation


def hf_rule(name: str, value: float, scores: np.ndarray, seen: Sequence[int] = ()) -> np.ndarray:
    """Return scores `[V]` behind one of upstream's rules, in the type that they come in."""
    made = {
        "temperature": transformers.TemperatureLogitsWarper,
        "top_k": transformers.TopKLogitsWarper,
        "top_p": transformers.TopPLogitsWarper,
        "min_p": transformers.MinPLogitsWarper,
        "repetition_penalty": transformers.RepetitionPenaltyLogitsProcessor,
    }[name](value)
    return made(torch.tensor([list(seen)], dtype=torch.int64), torch.from_numpy(scores[np.newaxis]))[0].numpy()


def hf_rules(settings: Mapping[str, Any], scores: np.ndarray, seen: Sequence[int]) -> np.ndarray:
    """Return scores `[V]` behind all the rules that upstream makes of settings, in its order."""
    config = transformers.GenerationConfig(**settings)
    config.update(**config._get_default_generation_params(), defaults_only=True)
    stand_in = mock.Mock(config=mock.Mock(is_encoder_decoder=False))
    stand_in._merge_criteria_processor_list = lambda defaults, own: defaults
    rules = transformers.GenerationMixin._get_logits_processor(stand_in, config, input_ids_seq_length=len(seen))
    return rules(torch.tensor([list(seen)]), torch.from_numpy(scores[np.newaxis].copy()))[0].numpy()


def hf_generation_defaults() -> dict[str, Any]:
    """Return what upstream takes for each setting that a generation_config.json leaves out."""
    return dict(transformers.GenerationConfig()._get_default_generation_params())


def hf_read_generation_config(directory: Path) -> dict[str, Any]:
    """Return what upstream reads from a directory's generation_config.json, its defaults filled in."""
    config = transformers.GenerationConfig.from_pretrained(directory)
    config.update(**config._get_default_generation_params(), defaults_only=True)
    return dict(config.to_dict())


def upstream_answer(
    model: Any,
    inputs: Inputs,
    *,
    max_new_tokens: int,
    stop_ids: tuple[int, ...],
    forced: Sequence[int] = (),
    **settings: Any,
) -> tuple[list[int], np.ndarray]:
    """Let upstream's own loop decode: the new ids, and the scores `[steps, V]` behind its rules.

    Args:
        forced: what its draws give, one after the other; nothing else of the loop is changed.
    """
    arguments = upstream_arguments(model, inputs)
    del arguments["position_ids"]
    ids, config = arguments["input_ids"], model.config
    arguments["mm_token_type_ids"] = (ids == config.image_token_id).int() + 2 * (
        ids == config.video_token_id
    ).int()
    draws = iter(forced)
    drawn = mock.patch.object(
        torch,
        "multinomial",
        lambda probs, num_samples: torch.tensor([[next(draws)]], device=probs.device),
    )
    with drawn, widened_islands():
        out = model.generate(
            **arguments,
            max_new_tokens=max_new_tokens,
            eos_token_id=list(stop_ids),
            pad_token_id=stop_ids[0],
            return_dict_in_generate=True,
            output_scores=True,
            **settings,
        )
    return out.sequences[0, inputs.ids.shape[1] :].tolist(), torch.cat(out.scores).cpu().numpy()


# ------------------------------------------------------------------------------- bfloat16 and float16


def sixteen_bit_model(config: Config, *, seed: int, dtype: str) -> Any:
    """`random_model` in bfloat16 or float16."""
    return in_sixteen_bits(random_model(config, seed=seed, dtype="float32"), config, dtype=dtype)


def in_sixteen_bits(model: Any, config: Config, *, dtype: str) -> Any:
    """A copy of a model in bfloat16 or float16, its frequencies in float32: as `from_pretrained` leaves them.

    Converting a whole model, as torch does, converts these two buffers as well.
    """
    return with_float32_frequencies(copy.deepcopy(model).to(getattr(torch, dtype)), config)


def with_float32_frequencies(model: Any, config: Config) -> Any:
    """The same model with the correctly rounded float32 frequencies, whatever its type."""
    v, t = config.vision, config.text
    for module, width, theta in (
        (model.model.visual.rotary_pos_emb, v.head_dim // 2, v.rope_theta),
        (model.model.language_model.rotary_emb, t.head_dim, t.rope_theta),
    ):
        module.inv_freq = torch.from_numpy(inverse_frequencies(width=width, theta=theta)).to(DEVICE)
    return model


class _FineRecorder(_Recorder):
    """Records the activated gate as well, which is no tap of ours: it is a place where upstream rounds."""

    def _module_hooks(self) -> Iterator[Any]:
        yield from super()._module_hooks()
        towers = {"vision": self.model.model.visual.blocks, "language": self.model.model.language_model.layers}
        for tower, blocks in towers.items():
            for i, block in enumerate(blocks):
                yield self._after(block.mlp.act_fn, f"{tower}.blocks.{i:02d}.mlp.silu")


def sixteen_bit_taps(model: Any, inputs: Inputs) -> dict[str, np.ndarray]:
    """Every tap of ours in upstream's own 16 bits, as float32 arrays, and `mlp.silu` of each block."""
    recorder = _FineRecorder(model)
    with recorder.listening(), torch.no_grad():
        output = model(**upstream_arguments(model, inputs), use_cache=False)
    recorder.keep("logits", output.logits[0])
    return recorder.taps


def cast(x: np.ndarray, dtype: str) -> np.ndarray:
    """torch's conversion to a 16-bit type, and back to float32."""
    return torch.from_numpy(x).to(getattr(torch, dtype)).float().numpy()


def attention_of_both_kinds(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, *, causal: bool, dtype: str
) -> tuple[np.ndarray, np.ndarray]:
    """Mixed values of upstream's eager attention and of its sdpa, of one segment, in a 16-bit type."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    kind = getattr(torch, dtype)
    module = mock.Mock(num_key_value_groups=q.shape[1] // k.shape[1], training=False, is_causal=causal)
    heads = [tensor.transpose(0, 1)[None].to(kind) for tensor in _tensors(q, k, v)]
    scaling = q.shape[2] ** -0.5
    mask = torch.full((len(q), len(k)), torch.finfo(kind).min, dtype=kind).triu(1)[None, None] if causal else None
    with torch.no_grad():
        eager, _ = upstream.eager_attention_forward(module, *heads, mask, scaling=scaling)
        sdpa, _ = sdpa_attention_forward(module, *heads, None, scaling=scaling, is_causal=causal)
    return eager[0].float().numpy(), sdpa[0].float().numpy()


def scale_parameters(model: Any, name: str, factor: float) -> None:
    """Multiply one parameter of an upstream model, in its own type."""
    with torch.no_grad():
        dict(model.named_parameters())[name].mul_(factor)


# ------------------------------------------------------------------------------------------ capture


def random_model_with_attention(config: Config, *, seed: int, dtype: str, attention: str) -> Any:
    """`random_model` whose attention is computed in another way: `eager` or `sdpa`."""
    return with_attention(random_model(config, seed=seed, dtype=dtype), attention)


def with_attention(model: Any, attention: str) -> Any:
    """The same model, which computes attention in another way: `eager` or `sdpa`."""
    model.set_attn_implementation(attention)
    return model

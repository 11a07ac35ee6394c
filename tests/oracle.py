"""The one file of the tests that knows PyTorch and transformers: everything the tests compare with.

Written for transformers 5.23.0 on torch 2.13.0; names that moved between neighbouring versions are looked
up, not imported by symbol. Where torch sees a GPU the models run on it, else on the CPU.
"""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import transformers
from transformers import vision_utils
from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl as upstream

from qwen25vl.checkpoint.directory import Checkpoint
from qwen25vl.checkpoint.safetensors import StoredTensor
from qwen25vl.config import Config, TextConfig, VisionConfig
from qwen25vl.config_json import read_config
from qwen25vl.inputs import Inputs
from qwen25vl.layers.rotary import inverse_frequencies

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
VERSIONS = f"transformers {transformers.__version__}, torch {torch.__version__}, on {DEVICE}"


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
    model = transformers.Qwen2_5_VLForConditionalGeneration(upstream_config(config)).eval()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            values = rng.standard_normal(tuple(parameter.shape))
            if "norm" in name or "ln_q" in name:
                values = 1 + 0.3 * values
            elif name.endswith("bias"):
                values = 0.2 * values
            elif "embed_tokens" not in name:
                values = 1.5 * values / np.sqrt(np.prod(parameter.shape[1:]))
            parameter.copy_(torch.from_numpy(values))
    return _with_our_frequencies(model, config).to(device=DEVICE, dtype=getattr(torch, dtype))


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
    tensors = {}
    for name, tensor in model.state_dict().items():
        released = name.replace("model.visual.", "visual.").replace("model.language_model.", "model.")
        if released == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        array = tensor.detach().cpu().numpy()
        kind = {"float64": "F64", "float32": "F32"}[str(array.dtype)]
        tensors[released] = StoredTensor(name=released, dtype=kind, shape=array.shape, raw=array)
    return Checkpoint(tensors=tensors, files=())


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

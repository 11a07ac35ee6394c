"""Section 15 - capture: what does a transformers model compute, under our names?

Forward hooks record what the modules of a `Qwen2_5_VLForConditionalGeneration` take and return; the map `hf` says
which tap each is. PyTorch is loaded when it is called for: nothing else of this package needs it.
"""

import contextlib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qwen25vl.config import Config
from qwen25vl.config_json import parse_config
from qwen25vl.errors import BadInput
from qwen25vl.inputs import Inputs
from qwen25vl.port.captured import NARROW, Captured, save_capture
from qwen25vl.port.maps.hf import hf_map
from qwen25vl.port.maps.rules import NameMap
from qwen25vl.tap import Tap
from qwen25vl.tap_names import data_order

__all__ = ["Captured", "capture", "save_capture"]

MODEL_CLASS = "Qwen2_5_VLForConditionalGeneration"
"""What a model is, or is made from."""


def capture(
    model: Any, inputs: Inputs | Mapping[str, Any], *, taps: str = "insides", use_cache: bool = False
) -> Captured:
    """Run a transformers model on one prompt and record what it computes.

    Args:
        model: a `Qwen2_5_VLForConditionalGeneration` of transformers, on any device and of any type.
        inputs: what `prepare` returned; positions are passed in then. Or the arguments of the model's forward, as
            transformers' processor returns them. One prompt, without padding.
        taps: a level, or a glob over whole ids. Only taps that a hook on a module can see are there: no rotated
            queries and keys, no window order; probabilities of the language model with eager attention alone.
        use_cache: whether the model makes a cache; it changes no number.

    Raises:
        BadInput: if PyTorch is missing, the model is another, there are several prompts, or no tap is selected.

    Spec: spec/15-golden-values.md
    """
    torch = _torch()
    config = _config(model)
    recorder = _Recorder(hf_map(config), Tap(taps))
    arguments = {"use_cache": use_cache, **_arguments(torch, model, inputs)}
    with recorder.listening(model), torch.no_grad():
        model(**arguments)
    captured = recorder.captured()
    if not captured:
        raise BadInput(f"no tap that a hook sees matches {taps!r}; `qwen25vl names --to hf` lists them")
    return captured


@dataclass(frozen=True, eq=False)
class _Recorder:
    """Keeps what hooks see, by the names of the map `hf`."""

    mapping: NameMap
    tap: Tap
    seen: dict[str, list[np.ndarray]] = field(default_factory=dict)
    """Two arrays where pictures and videos went through the vision encoder."""
    types: dict[str, str] = field(default_factory=dict)
    wanted: dict[str, bool] = field(default_factory=dict)

    @contextlib.contextmanager
    def listening(self, model: Any) -> Iterator[None]:
        """Hang hooks on all modules; take them off whatever happens."""
        with contextlib.ExitStack() as stack:
            for path, module in model.named_modules():
                if path:
                    handle = module.register_forward_hook(self._hook(path), with_kwargs=True)
                    stack.callback(handle.remove)
            yield

    def _hook(self, path: str) -> Any:
        """Return what listens to one module."""

        def hook(module: Any, args: Sequence[Any], kwargs: Mapping[str, Any], output: Any) -> None:
            given = [*args, *kwargs.values()]
            self._keep(f"{path}.input", given[0] if given else None)
            for key, value in kwargs.items():
                self._keep(f"{path}.input.{key}", value)
            self._keep(path, output)

        return hook

    def _keep(self, name: str, value: Any) -> None:
        """Keep a tensor, or each of several, if its name means a part that is wanted."""
        if isinstance(value, Mapping):
            for key, member in value.items():
                self._keep(f"{name}.{key}", member)
        elif isinstance(value, tuple | list):
            for i, member in enumerate(value):
                self._keep(f"{name}.{i}", member)
        elif hasattr(value, "detach") and self._wants(name):
            dtype = str(value.dtype).removeprefix("torch.")
            tensor = value.detach().cpu()
            self.types[name] = dtype
            array = np.array((tensor.float() if dtype in NARROW else tensor).numpy())  # a copy: it may change
            self.seen.setdefault(name, []).append(array)

    def _wants(self, name: str) -> bool:
        """Whether the name means a part that is wanted."""
        if name not in self.wanted:
            parts, _ = self.mapping.mapped([name])
            self.wanted[name] = any(self.tap.wants(part.part) for part in parts)
        return self.wanted[name]

    def captured(self) -> Captured:
        """Return what was kept, as parts of ours."""
        mapped, _ = self.mapping.mapped(list(self.seen))
        found = {one.part: one for one in mapped if self.tap.wants(one.part)}
        arrays, dtypes = {}, {}
        for part in sorted(found, key=data_order):
            one = found[part]
            arrays[part] = one.make([_joined(name, self.seen[name]) for name in one.sources])
            dtype = self.types[one.sources[0]]
            dtypes[part] = dtype if dtype in NARROW else arrays[part].dtype.name
        return Captured(arrays, dtypes)


def _joined(name: str, pieces: Sequence[np.ndarray]) -> np.ndarray:
    """Join what the calls for pictures and for videos report: rows behind rows; boundaries count on."""
    if len(pieces) == 1 or not name.endswith(".cu_seqlens"):
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    ends = np.cumsum([0, *(piece[-1] for piece in pieces[:-1])])
    return np.concatenate([pieces[0][:1], *(piece[1:] + end for piece, end in zip(pieces, ends, strict=True))])


def _torch() -> Any:
    """Load PyTorch."""
    try:
        return importlib.import_module("torch")
    except ImportError:
        raise BadInput("capturing a transformers model needs PyTorch; install torch and transformers") from None


def _config(model: Any) -> Config:
    """Return the config of a model, after a look at what it is."""
    if MODEL_CLASS not in [kind.__name__ for kind in type(model).__mro__]:
        raise BadInput(
            f"got a {type(model).__name__}; give a {MODEL_CLASS} of transformers itself, out of any wrapper"
        )
    return parse_config(model.config.to_dict())


def _arguments(torch: Any, model: Any, inputs: Inputs | Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the model's forward, on its device."""
    arguments = _tensors(torch, inputs) if isinstance(inputs, Inputs) else dict(inputs)
    ids, mask = arguments.get("input_ids"), arguments.get("attention_mask")
    if ids is None or len(ids) != 1 or (mask is not None and mask.ndim == 2 and not bool(mask.all())):
        count = "no input_ids" if ids is None else f"{len(ids)} prompts" if len(ids) != 1 else "padding"
        raise BadInput(f"got {count}; capture one prompt at a time, without padding")
    return {name: value.to(model.device) if hasattr(value, "to") else value for name, value in arguments.items()}


def _tensors(torch: Any, inputs: Inputs) -> dict[str, Any]:
    """Return our inputs under transformers' names, as tensors."""
    arrays = {
        "input_ids": inputs.ids,
        "attention_mask": inputs.mask.astype(np.int64),
        "position_ids": inputs.positions,
    }
    if len(inputs.image_grids):
        arrays |= {"pixel_values": inputs.image_rows, "image_grid_thw": inputs.image_grids}
    if len(inputs.video_grids):
        arrays |= {"pixel_values_videos": inputs.video_rows, "video_grid_thw": inputs.video_grids}
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}

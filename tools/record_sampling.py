"""Record which frames and which frame size qwen-vl-utils chooses, in each version whose rules have a profile.

    python tools/record_sampling.py WHEELS > tests/media/recorded/qwen_vl_utils.json

WHEELS is a folder with the wheels qwen_vl_utils-{0.0.8,0.0.10,0.0.11,0.0.14}-py3-none-any.whl. Their own code
runs; only what opens files (decord) and resamples (torchvision) is replaced by stand-ins that note the
arguments. It needs torch, and nothing of this project, so nothing of this project can leak into what is recorded.
"""

import datetime
import importlib
import json
import logging
import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch

VERSIONS = ("0.0.8", "0.0.10", "0.0.11", "0.0.14")
"""In order of age."""

SAMPLINGS: tuple[tuple[int, float, dict[str, Any]], ...] = (
    # frames and rate of the file, and what is asked for
    *((132, 25.0, {"fps": fps}) for fps in (0.1, 0.5, 1, 1.5, 2, 3, 4, 24, 25, 30)),
    *((132, 25.0, {"nframes": n}) for n in (1, 2, 3, 5, 7, 10, 131, 132, 133)),
    (132, 25.0, {"fps": 8, "max_frames": 10}),
    (132, 25.0, {"fps": 8, "max_frames": 9}),
    (132, 25.0, {"fps": 1, "min_frames": 9}),
    (132, 25.0, {"fps": 100, "max_frames": 400}),
    (132, 25.0, {"video_start": 1.0, "video_end": 3.0}),
    (132, 25.0, {"video_start": 2.03}),
    (132, 25.0, {"video_end": 2.03, "nframes": 6}),
    (132, 25.0, {"video_end": 9.0}),
    (132, 25.0, {"video_start": 3.0, "video_end": 3.02}),
    (132, 25.0, {"video_start": 6.0}),
    (47, 23.976, {"fps": 3}),  # 5.88: down is 4, the nearest is 6
    (125, 25.0, {"fps": 1}),  # 5.0: half way between 4 and 6
    (175, 25.0, {"fps": 1}),  # 7.0: half way between 6 and 8
    (7, 30000 / 1001, {}),
    (5, 25.0, {}),
    (4, 25.0, {}),
    (3, 25.0, {}),
    (2, 25.0, {}),
    (1, 25.0, {}),
    (9, 25.0, {"fps": 25}),
    (9000, 29.97, {"max_frames": 24}),
    (108000, 30.0, {"max_frames": 64}),
    (108000, 30.0, {"nframes": 768}),
    (17125, 25.0, {"nframes": 696}),
)
"""Around every limit, and where float32 shows."""

SIZES: tuple[tuple[int, int, int, dict[str, Any]], ...] = (
    # frames, height, width, and what is asked for
    *((n, 720, 1280, {}) for n in (4, 6, 64, 150, 170, 300, 768)),
    *((n, 1080, 1920, {}) for n in (2, 200, 768)),
    (32, 100, 60, {}),
    (32, 2000, 300, {}),
    (300, 333, 777, {}),
    (10, 720, 1280, {"max_pixels": 200_000}),
    (10, 720, 1280, {"max_pixels": 900_000}),
    (768, 720, 1280, {"max_pixels": 900_000}),
    (10, 720, 1280, {"min_pixels": 700_000}),
    (10, 200, 300, {"min_pixels": 3136}),
    (10, 720, 1280, {"total_pixels": 1_000_000}),
    (10, 720, 1280, {"total_pixels": 1_000_003, "min_pixels": 3136}),
    (14, 1000, 777, {"total_pixels": 1_777_777, "min_pixels": 3136}),
    (10, 720, 1280, {"min_pixels": 50_000, "max_pixels": 60_000}),
)
"""Around every limit; a share of the total that is no whole number among them."""


class Reader:
    """Stands for decord's: a film of which only length and rate are known."""

    film: tuple[int, float] = (0, 0.0)
    asked: tuple[int, ...] = ()

    def __init__(self, path: str) -> None:
        """Open nothing."""

    def __len__(self) -> int:
        """Frames of the film."""
        return Reader.film[0]

    def get_avg_fps(self) -> float:
        """Frames per second of the film."""
        return Reader.film[1]

    def get_batch(self, indices: list[int]) -> Any:
        """Note the frame numbers."""
        Reader.asked = tuple(indices)
        return types.SimpleNamespace(asnumpy=lambda: np.zeros((len(indices), 1, 1, 3), np.uint8))


def stand_ins() -> list[tuple[int, int]]:
    """Put stand-ins where qwen-vl-utils looks for its helpers; return the list in which sizes are noted."""
    sizes: list[tuple[int, int]] = []

    def resize(video: torch.Tensor, size: list[int], **_: Any) -> torch.Tensor:
        sizes.append((size[0], size[1]))
        return torch.zeros(1)

    functional = types.SimpleNamespace(resize=resize)
    transforms = types.ModuleType("torchvision.transforms")
    vars(transforms).update(functional=functional, InterpolationMode=types.SimpleNamespace(BICUBIC=None))
    vision = types.ModuleType("torchvision")
    vars(vision).update(io=None, transforms=transforms, __version__="0.0")
    decord = types.ModuleType("decord")
    vars(decord).update(VideoReader=Reader)
    sys.modules |= {
        "torchvision": vision,
        "torchvision.transforms": transforms,
        "decord": decord,
        "requests": types.ModuleType("requests"),
    }
    return sizes


def recorded_sampling(upstream: Any, frames: int, fps: float, asked: dict[str, Any]) -> Any:
    """Frame numbers and, from 0.0.10 on, the rate; None where it refuses."""
    Reader.film = frames, fps
    try:
        answer = upstream._read_video_decord({"video": "film", **asked})
    except (ValueError, NotImplementedError, ZeroDivisionError):
        return None
    rate = answer[-1] if isinstance(answer, tuple) else None
    return {"indices": [int(index) for index in Reader.asked], "sampled_fps": rate}


def recorded_size(
    upstream: Any, sizes: list[tuple[int, int]], frames: int, height: int, width: int, asked: dict[str, Any]
) -> list[int] | None:
    """Height and width that a frame is resized to; None where it refuses."""
    film = torch.zeros(1).expand(frames, 3, height, width)
    sizes.clear()
    answers = {"0.0.8": film, "0.0.10": (film, 2.0), "0.0.11": (film, 2.0), "0.0.14": (film, {}, 2.0)}
    upstream.VIDEO_READER_BACKENDS["decord"] = lambda asked: answers[upstream.version_here]
    try:
        upstream.fetch_video({"video": "film", **asked})
    except (ValueError, AssertionError):
        return None
    return list(sizes[0])


def main() -> None:
    """Print the recording."""
    os.environ["FORCE_QWENVL_VIDEO_READER"] = "decord"
    logging.disable()
    sizes = stand_ins()
    samplings = [{"frames": n, "fps": fps, "asked": asked, "versions": {}} for n, fps, asked in SAMPLINGS]
    frame_sizes = [{"frames": n, "height": h, "width": w, "asked": a, "versions": {}} for n, h, w, a in SIZES]
    for version in VERSIONS:
        wheel = Path(sys.argv[1]) / f"qwen_vl_utils-{version}-py3-none-any.whl"
        sys.path.insert(0, str(wheel))
        for name in [name for name in sys.modules if name.startswith("qwen_vl_utils")]:
            del sys.modules[name]
        upstream = importlib.import_module("qwen_vl_utils.vision_process")
        if Path(str(upstream.__file__)).parents[1] != wheel:
            raise SystemExit(f"{upstream.__file__} was imported, not {wheel}")
        vars(upstream)["version_here"] = version
        for case, (n, fps, asked) in zip(samplings, SAMPLINGS, strict=True):
            case["versions"][version] = recorded_sampling(upstream, n, fps, asked)
        for case, (n, h, w, asked) in zip(frame_sizes, SIZES, strict=True):
            case["versions"][version] = recorded_size(upstream, sizes, n, h, w, asked)
        sys.path.remove(str(wheel))
    head = {
        "generated_by": "tools/record_sampling.py; do not edit",
        "command": "python tools/record_sampling.py WHEELS > tests/media/recorded/qwen_vl_utils.json",
        "source": "qwen_vl_utils vision_process: _read_video_decord and fetch_video, with stand-ins for decord",
        "torch": f"{torch.__version__} on {torch.backends.cpu.get_cpu_capability()}",
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
    }
    for name, cases in (("samplings", samplings), ("sizes", frame_sizes)):
        for case in cases:  # versions that agree share one entry
            grouped: dict[str, list[str]] = {}
            for version, answer in case["versions"].items():
                grouped.setdefault(json.dumps(answer), []).append(version)
            case["versions"] = {", ".join(names): json.loads(answer) for answer, names in grouped.items()}
        head[name] = "\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n"
    body = [
        f' "{key}": [{value}]' if key in ("samplings", "sizes") else f' "{key}": {json.dumps(value)}'
        for key, value in head.items()
    ]
    print("{\n" + ",\n".join(body) + "\n}")


if __name__ == "__main__":
    main()

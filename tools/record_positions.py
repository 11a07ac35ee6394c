"""Record positions of transformers 4.51.3, the last release whose video positions are the authors' own.

Run it in an environment of its own; the project's has a later version, which deviates (spec/09-mrope.md):

    pip install torch==2.13.0 && pip install transformers==4.51.3
    python tools/record_positions.py > tests/language/recorded/positions_4_51_3.json

It needs nothing of this project, so nothing of this project can leak into what is recorded.
"""

import datetime
import json
import types
from typing import Any

import torch
import transformers
from transformers import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLForConditionalGeneration

PINNED = "4.51.3"
"""The version this file is named after."""

IDS = {"start": 5, "end": 6, "image": 8, "video": 9, "text": 20, "pad": 3}
"""Small ids keep the recording short; positions do not depend on their values."""

MERGE_P = 2
"""Side of a merge block, in patches."""

Part = tuple[Any, ...]
"""("text", count), ("image", Hm, Wm) or ("video", T, Hm, Wm, frames per second)."""


def text(count: int) -> Part:
    """Name some text."""
    return ("text", count)


def image(height_m: int, width_m: int) -> Part:
    """Name a picture by its size in merged tokens."""
    return ("image", height_m, width_m)


def video(rows: int, height_m: int, width_m: int, fps: float) -> Part:
    """Name a video by its rows of time, its size in merged tokens and the rate of its frames."""
    return ("video", rows, height_m, width_m, fps)


RATES = (0.5, 1, 1.5, 2, 3, 4, 24)
"""At 2 nothing shows, at 24 all times of a short clip are 0; 1.5, 3 and 4 tell the versions apart."""

CASES: dict[str, dict[str, Any]] = {
    **{f"video at {fps} fps": {"rows": [[text(3), video(6, 2, 3, fps), text(2)]]} for fps in RATES},
    **{
        f"video at {fps} fps, 5 a second": {"rows": [[text(2), video(7, 1, 2, fps), text(2)]], "tps": 5}
        for fps in RATES
    },
    "25 fps, 5 a second: the order of two products": {"rows": [[text(2), video(12, 1, 1, 25), text(1)]], "tps": 5},
    "1.5 fps, 3 a second: float32 reaches 28": {"rows": [[text(1), video(8, 1, 1, 1.5), text(1)]], "tps": 3},
    "29.97 fps": {"rows": [[text(1), video(20, 1, 1, 30000 / 1001), text(1)]]},
    "6 of 132 frames at 25 fps": {"rows": [[text(4), video(3, 4, 7, 6 / 132 * 25), text(5)]]},
    "video first": {"rows": [[video(3, 2, 2, 1.5), text(3)]]},
    "video last": {"rows": [[text(5), video(4, 3, 5, 1)]]},
    "one row of time": {"rows": [[text(2), video(1, 3, 2, 0.5), text(2)]]},
    "odd sizes, wide": {"rows": [[text(2), video(3, 3, 5, 3), text(2)]]},
    "odd sizes, tall": {"rows": [[text(2), video(3, 7, 1, 3), text(2)]]},
    "larger than it is long": {"rows": [[text(2), video(2, 1, 9, 4), text(2)]]},
    "two videos, two rates": {"rows": [[text(2), video(3, 2, 2, 1), text(1), video(4, 2, 3, 4), text(2)]]},
    "two videos, neighbours": {"rows": [[text(1), video(2, 2, 2, 1.5), video(3, 1, 3, 0.5), text(1)]]},
    "image, video, image": {"rows": [[text(2), image(2, 5), text(1), video(3, 2, 3, 1.5), image(3, 1), text(2)]]},
    "video, image": {"rows": [[video(4, 1, 2, 3), text(2), image(5, 2), text(1)]], "tps": 5},
    "images only": {"rows": [[text(2), image(2, 5), text(2), image(5, 2), text(1)]]},
    "left padding": {"rows": [[text(2), video(3, 2, 2, 1.5), text(2)], [text(4)]], "side": "left"},
    "right padding": {"rows": [[text(2), video(3, 2, 2, 1.5), text(2)], [text(4)]], "side": "right"},
    "text row first, left": {"rows": [[text(3)], [text(1), video(2, 2, 3, 3), text(4)]], "side": "left"},
    "padding on every row, left": {"rows": [[text(3), video(2, 1, 3, 1)], [text(5)]], "side": "left", "more": 3},
    "padding on every row, right": {"rows": [[text(3), video(2, 1, 3, 1)], [text(5)]], "side": "right", "more": 3},
    "grids run on through the batch": {
        "rows": [
            [text(1), image(1, 2), video(2, 2, 1, 1.5), text(1)],
            [video(3, 1, 2, 4), text(2), image(2, 2)],
            [text(2)],
            [image(3, 1), text(1), video(2, 1, 1, 0.5), text(2)],
        ],
        "side": "left",
    },
    "the same, padded right, 5 a second": {
        "rows": [
            [text(1), image(1, 2), video(2, 2, 1, 1.5), text(1)],
            [video(3, 1, 2, 4), text(2), image(2, 2)],
            [text(2)],
            [image(3, 1), text(1), video(2, 1, 1, 0.5), text(2)],
        ],
        "side": "right",
        "tps": 5,
    },
    "text only, left": {"rows": [[text(6)], [text(3)]], "side": "left"},
    "text only, right": {"rows": [[text(6)], [text(3)]], "side": "right"},
}
"""What is recorded, and why each is there."""


def laid_out(case: dict[str, Any]) -> dict[str, Any]:
    """Write a case out as ids, mask, grids in patches and seconds."""
    rows, images, videos, seconds = [], [], [], []
    for parts in case["rows"]:
        ids: list[int] = []
        for kind, *size in parts:
            if kind == "text":
                ids += [IDS["text"]] * size[0]
                continue
            T, height_m, width_m = (1, *size) if kind == "image" else size[:3]
            (images if kind == "image" else videos).append([T, height_m * MERGE_P, width_m * MERGE_P])
            if kind == "video":
                seconds.append(2 / size[3])
            ids += [IDS["start"], *[IDS[kind]] * (T * height_m * width_m), IDS["end"]]
        rows.append(ids)
    longest = max(map(len, rows)) + case.get("more", 0)
    left = case.get("side") == "left"
    padded = [
        [IDS["pad"]] * (longest - len(ids)) * left + ids + [IDS["pad"]] * (longest - len(ids)) * (not left)
        for ids in rows
    ]
    mask = [
        [0] * (longest - len(ids)) * left + [1] * len(ids) + [0] * (longest - len(ids)) * (not left)
        for ids in rows
    ]
    return {
        "tokens_per_second": case.get("tps", 2),
        "ids": padded,
        "mask": mask,
        "image_grids": images,
        "video_grids": videos,
        "second_per_grid": seconds,
    }


def recorded(inputs: dict[str, Any]) -> dict[str, Any]:
    """Ask transformers for positions and delta; seconds given as float32 tensor and as numbers must agree."""
    config = Qwen2_5_VLConfig(
        vision_config={"tokens_per_second": inputs["tokens_per_second"], "spatial_merge_size": MERGE_P},
        image_token_id=IDS["image"],
        video_token_id=IDS["video"],
        vision_start_token_id=IDS["start"],
    )
    answers = []
    for seconds in (torch.tensor(inputs["second_per_grid"], dtype=torch.float32), inputs["second_per_grid"]):
        positions, delta = Qwen2_5_VLForConditionalGeneration.get_rope_index(
            types.SimpleNamespace(config=config),
            torch.tensor(inputs["ids"]),
            torch.tensor(inputs["image_grids"]) if inputs["image_grids"] else None,
            torch.tensor(inputs["video_grids"]) if inputs["video_grids"] else None,
            seconds,
            torch.tensor(inputs["mask"]),
        )
        answers.append({"positions": positions.tolist(), "delta": delta.flatten().tolist()})
    if answers[0] != answers[1]:
        raise SystemExit(f"seconds as a tensor and as numbers disagree: {inputs}")
    return answers[0]


def main() -> None:
    """Print the recording."""
    if transformers.__version__ != PINNED:
        raise SystemExit(f"this records transformers {PINNED}, but {transformers.__version__} is installed")
    head = {
        "generated_by": "tools/record_positions.py; do not edit",
        "command": "python tools/record_positions.py > tests/language/recorded/positions_4_51_3.json",
        "source": "Qwen2_5_VLForConditionalGeneration.get_rope_index",
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "special_ids": IDS,
        "merge_p": MERGE_P,
    }
    lines = [
        json.dumps({"name": name, **(inputs := laid_out(case)), **recorded(inputs)}, separators=(",", ":"))
        for name, case in CASES.items()
    ]
    body = ",\n".join(lines)
    print(json.dumps(head, indent=1)[:-2] + ',\n "cases": [\n' + body + "\n]}")


if __name__ == "__main__":
    main()

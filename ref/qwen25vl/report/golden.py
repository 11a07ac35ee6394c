"""Section 15 - report of a golden: what was run, what was written, and how large are the numbers?"""

import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from qwen25vl.golden.read import STATISTICS, read_manifest
from qwen25vl.tap_names import level_of

BEFORE = {"vision": "vision.patch_embed.out", "language": "language.embed.out"}
"""The tap at which the residual stream of a tower begins, before its first block."""

CURVES = {"resid": "resid_post", "attn": "attn.out", "mlp": "mlp.out"}
"""What is followed along the depth of a tower: the end of each block's id."""


def golden_report(directory: Path) -> dict[str, Any]:
    """Say what a golden is. The manifest is read, the tensors are not.

    Returns:
        The facts, fit for JSON. `stages` are the taps of the level of that name, with their statistics.

    Raises:
        BadInput: as in `read_manifest`.

    Spec: spec/15-golden-values.md (X3, X5, X9)
    """
    manifest = read_manifest(directory)
    parts = manifest["parts"]
    model, generation = manifest["model"], manifest["generation"]
    return {
        "kind": "golden",
        **{name: manifest[name] for name in ("id", "title", "family", "tier", "arithmetic")},
        "schema_version": manifest.get("schema_version"),
        "made_by": manifest.get("made_by"),
        "model": {"name": model["name"], "precision": model["precision"], "files": model["files"]},
        "prompts": manifest["prompts"],
        "media": manifest["media"],
        "rule": generation["rule"],
        "answers": [
            {"text": answer["text"], "tokens": len(answer["ids"]), "stop": answer["stop"]}
            for answer in generation["answers"]
        ],
        "files": [
            {
                "name": file,
                "bytes": (directory / file).stat().st_size,
                "tensors": sum(part["file"] == file for part in parts),
            }
            for file in dict.fromkeys(part["file"] for part in parts)
        ],
        "sections": {
            section: sum(part["section"] == section for part in parts)
            for section in sorted({part["section"] for part in parts})
        },
        "stages": [
            {name: part[name] for name in ("id", "dims", "shape", "dtype", *STATISTICS) if name in part}
            for part in parts
            if level_of(part["id"]) == "stages"
        ],
        "full_attention_blocks": _full_attention_blocks(model["config"]),
    }


def norms_by_depth(parts: list[dict[str, Any]]) -> dict[str, dict[str, Float64[np.ndarray, " points"]]]:
    """Gather the root mean square of what flows through each tower, block by block.

    Args:
        parts: entries of a manifest, or the `stages` of a report.

    Returns:
        For each tower that has any: `resid`, the stream before block 0 and after every block, and `attn` and
        `mlp`, what each block adds to it. A tap that the golden lacks, or that is not finite, gives NaN.
    """
    rms = {part["id"]: float(part["rms"]) for part in parts if "rms" in part}
    found = {}
    for tower, before in BEFORE.items():
        curves = {}
        blocks = [re.fullmatch(rf"{tower}\.blocks\.(\d\d)\..*", part["id"]) for part in parts]
        depth = max((int(block[1]) + 1 for block in blocks if block), default=0)
        for curve, end in CURVES.items():
            names = [f"{tower}.blocks.{i:02d}.{end}" for i in range(depth)]
            if curve == "resid":
                names.insert(0, before)
            curves[curve] = np.array([rms.get(name, np.nan) for name in names])
        if np.isfinite(curves["resid"]).any():
            found[tower] = curves
    return found


def _full_attention_blocks(config: dict[str, Any]) -> list[int]:
    """Say which vision blocks attend over whole frames, if the manifest does."""
    vision = config.get("vision")
    blocks = vision.get("full_attention_blocks") if isinstance(vision, dict) else None
    return [block for block in blocks if type(block) is int] if isinstance(blocks, list) else []

"""Section 15 - policy: from how many units of noise on is a number suspicious, and from where wrong?"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwen25vl.errors import BadInput
from qwen25vl.precision import PRECISIONS
from qwen25vl.tap_names import IN_PARTS
from qwen25vl.wording import shown

TOLERANCES = Path(__file__).with_name("tolerances.toml")
"""The limits that hold where nobody says otherwise."""

LIMITS = ("suspicious", "wrong", "floor")
"""What a table of the file may set."""

OP_ENDS = {
    "rotation": ("attn.q_rope", "attn.k_rope"),
    "angle": ("rope.cos", "rope.sin"),
    "norm": ("norm1", "norm2", "merger.norm", "language.norm.out"),
    "softmax": ("attn.probs",),
    "attention": ("attn.mixed",),
    "activation": ("mlp.act", "merger.act"),
    "sum": ("resid_mid", "resid_post"),
    "lookup": ("language.embed.out", "vision.out"),
    "pixels": ("image_rows", "video_rows"),
}
"""Which function computed a part, by the end of its id; every other float is a `linear` layer's."""


@dataclass(frozen=True)
class Limits:
    """Of one part, in units of its noise floor."""

    suspicious: float
    wrong: float
    floor: float
    """Relative L2 in units of roundoff, where no noise was measured."""


@dataclass(frozen=True)
class Policy:
    """What `tolerances.toml` says, and perhaps a file of the user's behind it."""

    tables: tuple[Mapping[str, Any], ...]

    def limits(self, part_id: str, *, precision: str) -> Limits:
        """Return the limits of a part.

        Spec: spec/15-golden-values.md (X26)
        """
        op = op_of(part_id)
        values: dict[str, float] = {}
        for table in self.tables:
            values |= table.get("default", {})
            values |= table.get("op", {}).get(op, {})
            values |= table.get("precision", {}).get(precision, {})
            for override in table.get("override", []):
                fits = (
                    re.fullmatch(override["part"], part_id) and override.get("precision", precision) == precision
                )
                values |= {name: override[name] for name in LIMITS if name in override} if fits else {}
        return Limits(**{name: float(values[name]) for name in LIMITS})


def read_policy(path: Path | None = None) -> Policy:
    """Read the limits, and those of a user's file behind them.

    Raises:
        BadInput: if the file cannot be read, or says something else than limits.
    """
    own = _table(TOLERANCES)
    return Policy((own,) if path is None else (own, _table(path)))


def op_of(part_id: str) -> str:
    """Name the function that computed a part."""
    plain = IN_PARTS.sub("", part_id, count=1)
    return next((op for op, ends in OP_ENDS.items() if plain.endswith(ends)), "linear")


def _table(path: Path) -> dict[str, Any]:
    """Read and check one file."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read as TOML ({error}); give a file like tolerances.toml") from error
    for name, value in document.items():
        if name == "default":
            _check_limits(value, where=f"{path}: [default]")
        elif name in ("op", "precision") and isinstance(value, dict):
            for key, limits in value.items():
                known = {*OP_ENDS, "linear"} if name == "op" else set(PRECISIONS)
                if key not in known:
                    raise BadInput(f"{path}: [{name}.{key}] is unknown; choose one of {', '.join(sorted(known))}")
                _check_limits(limits, where=f"{path}: [{name}.{key}]")
        elif name == "override" and isinstance(value, list):
            for i, entry in enumerate(value, start=1):
                _check_override(entry, where=f"{path}: override {i}")
        else:
            raise BadInput(f"{path}: {name!r} is unknown; use default, op, precision or override")
    return document


def _check_limits(limits: Any, *, where: str, more: tuple[str, ...] = ()) -> None:
    """Refuse what is no table of positive numbers."""
    if not isinstance(limits, dict):
        raise BadInput(f"{where} must be a table, got {shown(limits)}")
    for name, value in limits.items():
        if name in more:
            continue
        if name not in LIMITS:
            raise BadInput(f"{where}: {name!r} is unknown; use {', '.join((*LIMITS, *more))}")
        if type(value) not in (int, float) or not 0 < value < float("inf"):
            raise BadInput(f"{where}: {name} must be a positive number, got {shown(value)}")
    if limits.get("suspicious", 0) > limits.get("wrong", float("inf")):
        raise BadInput(f"{where}: suspicious {limits['suspicious']} must not exceed wrong {limits['wrong']}")


def _check_override(entry: Any, *, where: str) -> None:
    """Refuse an override that fits nothing or says nothing."""
    _check_limits(entry, where=where, more=("part", "precision"))
    try:
        re.compile(entry["part"])
    except (KeyError, TypeError, re.error) as error:
        got = shown(entry.get("part"))
        raise BadInput(f"{where} needs `part`, a regular expression for whole ids, got {got}") from error
    if "precision" in entry and entry["precision"] not in PRECISIONS:
        raise BadInput(
            f"{where}: precision must be one of {', '.join(PRECISIONS)}, got {shown(entry['precision'])}"
        )

"""What the package brings along: two small checkpoints and a photograph."""

from pathlib import Path

from qwen25vl.errors import BadInput

_HERE = Path(__file__).parent

BUNDLED = ("tiny", "tiny-untied")
"""Names that stand for a directory inside the package wherever a checkpoint is asked for."""

PHOTOGRAPH = _HERE / "pictures" / "hopper.png"
"""Commodore Grace Hopper, 306 x 230 pixels, public domain: the picture of the main job."""


def checkpoint_directory(path: str | Path) -> Path:
    """Return the directory that a name or a path stands for.

    Args:
        path: one of `BUNDLED`, as a string; anything else, a `Path` called `tiny` included, is a directory.

    Raises:
        BadInput: if it is neither a bundled name nor a directory.
    """
    if isinstance(path, str) and path in BUNDLED:
        return _HERE / "checkpoints" / path
    if not Path(path).is_dir():
        raise BadInput(
            f"no checkpoint directory {str(path)!r}; give a directory with config.json and safetensors files, "
            f"or {' or '.join(BUNDLED)}"
        )
    return Path(path)

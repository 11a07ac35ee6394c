"""Section 04 - inputs: everything the model is given, as arrays."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from qwen25vl.media.picture import Picture


@dataclass(frozen=True, eq=False)
class Inputs:
    """One prompt, or several padded to one length, ready for the forward pass.

    Spec: spec/04-prompt.md
    """

    text: list[str]
    """The rendered prompts, with one pad token for each picture."""
    ids: Int64[np.ndarray, "B L"]
    mask: Bool[np.ndarray, "B L"]
    """False on padding."""
    image_rows: Float32[np.ndarray, "Pi patch_dim"]
    image_grids: Int64[np.ndarray, "images 3"]
    """(T, H, W) of each picture, in patches."""
    video_rows: Float32[np.ndarray, "Pv patch_dim"]
    video_grids: Int64[np.ndarray, "videos 3"]
    second_per_grid: Float64[np.ndarray, " videos"]
    """Seconds that one row of a video's time axis spans: temporal patch / sampled frames per second."""
    positions: Int64[np.ndarray, "3 B L"]
    """Time, height and width position of each token."""
    delta: Int64[np.ndarray, " B"]
    """The token at index i behind the prompt has position i + delta."""
    pictures: tuple[Picture, ...] = field(default=(), repr=False)
    """What happened to each picture: decoded, resized, cut into rows."""

"""Section 04 - inputs: everything the model is given, as arrays."""

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from qwen25vl.media.clip import Clip
from qwen25vl.media.picture import Picture


@dataclass(frozen=True, eq=False)
class Inputs:
    """One prompt, or several padded to one length, ready for the forward pass.

    Spec: spec/04-prompt.md
    """

    text: list[str]
    """The rendered prompts, with one pad token for each picture or video."""
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
    clips: tuple[Clip, ...] = field(default=(), repr=False)
    """Likewise of each video."""
    media_counts: tuple[tuple[int, int], ...] = ()
    """Pictures and videos of each prompt; may be left out where there is one prompt."""

    def row(self, b: int) -> "Inputs":
        """Return prompt b alone, without padding: what `prepare` returns for it when it is not in a batch.

        Spec: spec/10-decoder.md (D13)
        """
        if len(self.ids) == 1 and self.mask.all():
            return self
        real = self.mask[b]
        counts = self.media_counts or ((len(self.image_grids), len(self.video_grids)),)
        ends = np.cumsum([(0, 0), *counts], axis=0)  # [B + 1, 2]
        image, video = slice(ends[b, 0], ends[b + 1, 0]), slice(ends[b, 1], ends[b + 1, 1])
        return replace(
            self,
            text=[self.text[b]],
            ids=self.ids[b : b + 1, real],
            mask=self.mask[b : b + 1, real],
            image_rows=_rows_of(self.image_rows, self.image_grids, image),
            image_grids=self.image_grids[image],
            video_rows=_rows_of(self.video_rows, self.video_grids, video),
            video_grids=self.video_grids[video],
            second_per_grid=self.second_per_grid[video],
            positions=self.positions[:, b : b + 1, real],
            delta=self.delta[b : b + 1] + np.sum(~real),  # it counted from the padded length (T7)
            pictures=self.pictures[image],
            clips=self.clips[video],
            media_counts=counts[b : b + 1],
        )


def _rows_of(
    rows: Float32[np.ndarray, "P patch_dim"], grids: Int64[np.ndarray, "media 3"], media: slice
) -> Float32[np.ndarray, "Pb patch_dim"]:
    """Return the rows of some neighbouring media."""
    ends = np.concatenate([[0], np.cumsum(np.prod(grids, axis=1))])
    return rows[ends[media.start] : ends[media.stop]]

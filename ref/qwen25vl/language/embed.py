"""Section 10 - embedding: where do the vision rows go in the sequence of tokens?"""

import numpy as np
from jaxtyping import Float, Int64

from qwen25vl.checkpoint.weights import Weights
from qwen25vl.config import Config


def embedded_tokens(
    ids: Int64[np.ndarray, " L"],
    image_rows: Float[np.ndarray, "Mi E"],
    video_rows: Float[np.ndarray, "Mv E"],
    weights: Weights,
    *,
    config: Config,
) -> Float[np.ndarray, "L E"]:
    """Look up each token's embedding; put vision rows in the places of the pad ids, in order.

    Args:
        ids: token ids.
        image_rows: merged tokens of the pictures, in prompt order.
        video_rows: merged tokens of the videos, in prompt order.
        weights: the scope `model`.

    Raises:
        ValueError: if the pad ids and the rows do not count the same.

    Source: transformers 5.23.0 Qwen2_5_VLModel.forward, get_placeholder_mask
    Spec: spec/10-decoder.md (D1, D2)
    """
    x = weights.rows("embed_tokens.weight", ids).copy()  # (D1) not scaled
    for kind, pad_id, rows in (
        ("image", config.image_token_id, image_rows),
        ("video", config.video_token_id, video_rows),
    ):
        places = np.flatnonzero(ids == pad_id)
        if len(places) != len(rows):
            raise ValueError(
                f"the prompt has {len(places)} {kind} tokens (id {pad_id}) for {len(rows)} vision rows"
            )
        x[places] = rows  # (D2) the n-th pad takes the n-th row
    return x

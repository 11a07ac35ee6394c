"""The settings of pictures that the releases have."""

from qwen25vl.media.settings import MediaSettings

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
RELEASED = MediaSettings(
    min_pixels=3136, max_pixels=12_845_056, patch_px=14, temporal_patch_f=2, merge_p=2, mean=MEAN, std=STD
)

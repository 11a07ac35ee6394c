"""Section 01 - configuration: which numbers fix the shape and the constants of a model?"""

import math
from dataclasses import dataclass, field

from qwen25vl.errors import BadInput

MOST_BLOCKS = 1000
"""Blocks of a tower. The largest release has 80; each takes a dozen names, whatever its size."""

LARGEST_NUMBER = 2**31 - 1
"""The largest whole number of a config: sizes, ids and positions fit 32 bits in every implementation."""


@dataclass(frozen=True)
class VisionConfig:
    """The vision encoder. The key of config.json, where it differs, stands in brackets."""

    depth: int = 32
    hidden_size: int = 1280
    intermediate_size: int = 3420
    num_heads: int = 16
    in_channels: int = 3
    patch_px: int = 14
    """Side of a patch in pixels [patch_size]."""
    temporal_patch_f: int = 2
    """Frames in a patch [temporal_patch_size]."""
    merge_p: int = 2
    """Side of the square of patches that becomes one merged token [spatial_merge_size]."""
    window_px: int = 112
    """Side of an attention window in pixels, not in tokens [window_size]."""
    full_attention_blocks: tuple[int, ...] = (7, 15, 23, 31)
    """Blocks, counted from 0, that attend over a whole frame [fullatt_block_indexes]."""
    out_hidden_size: int = 3584
    tokens_per_second: int = 2
    """Temporal position ids per second of video; used by the language model's positions."""
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-6
    """Fixed at 1e-6 upstream, for the blocks and the merger; no config.json has a key for it."""

    def __post_init__(self) -> None:
        """Refuse shapes that upstream could not build either."""
        _need_positive(self, "vision_config")
        if self.hidden_size % self.num_heads or self.head_dim % 4:
            raise BadInput(
                f"vision_config: hidden_size {self.hidden_size} over num_heads {self.num_heads} must give a head "
                "width that is a multiple of 4 (two axes, each rotated in pairs)"
            )
        if self.window_m < 1:
            raise BadInput(
                f"vision_config: window_size {self.window_px} is in pixels and must be at least the side of a "
                f"merged token, {self.merge_p * self.patch_px}"
            )

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_heads

    @property
    def patch_dim(self) -> int:
        """Values in one patch row: channel x frame x y x x (1176 in every release)."""
        return self.in_channels * self.temporal_patch_f * self.patch_px**2

    @property
    def merge_unit(self) -> int:
        """Patches in one merged token."""
        return self.merge_p**2

    @property
    def window_m(self) -> int:
        """Side of an attention window in merged tokens (4 in every release)."""
        return self.window_px // self.merge_p // self.patch_px

    @property
    def factor_px(self) -> int:
        """Both sides of a resized picture are multiples of this (28 in every release)."""
        return self.merge_p * self.patch_px


@dataclass(frozen=True)
class TextConfig:
    """The language model, a Qwen2.5 decoder."""

    vocab_size: int = 152064
    hidden_size: int = 3584
    intermediate_size: int = 18944
    num_hidden_layers: int = 28
    num_attention_heads: int = 28
    num_key_value_heads: int = 4
    max_position_embeddings: int = 128000
    rms_norm_eps: float = 1e-6
    rope_theta: float = 1000000.0
    mrope_section: tuple[int, int, int] = (16, 24, 24)
    """Frequencies that follow time, height and width, in this order; they sum to head_dim / 2."""

    def __post_init__(self) -> None:
        """Refuse shapes that upstream could not build either."""
        _need_positive(self, "text config")
        if self.hidden_size % self.num_attention_heads or self.head_dim % 2:
            raise BadInput(
                f"text config: hidden_size {self.hidden_size} over num_attention_heads {self.num_attention_heads} "
                "must give an even head width"
            )
        if self.num_attention_heads % self.num_key_value_heads:
            raise BadInput(
                f"text config: num_attention_heads {self.num_attention_heads} must be a multiple of "
                f"num_key_value_heads {self.num_key_value_heads}"
            )
        if sum(self.mrope_section) != self.head_dim // 2:
            raise BadInput(
                f"text config: mrope_section {list(self.mrope_section)} must sum to half the head width, "
                f"{self.head_dim // 2}"
            )

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def heads_per_kv(self) -> int:
        """Query heads that share one key and value head."""
        return self.num_attention_heads // self.num_key_value_heads


@dataclass(frozen=True)
class Config:
    """A whole model. Every special token id is read from here."""

    vision: VisionConfig = field(default_factory=VisionConfig)
    text: TextConfig = field(default_factory=TextConfig)
    tie_word_embeddings: bool = False
    image_token_id: int = 151655
    video_token_id: int = 151656
    vision_start_token_id: int = 151652
    vision_end_token_id: int = 151653
    eos_token_id: int = 151645

    def __post_init__(self) -> None:
        """Refuse towers that do not fit together, and ids without an embedding row."""
        if self.vision.out_hidden_size != self.text.hidden_size:
            raise BadInput(
                f"the vision encoder's out_hidden_size {self.vision.out_hidden_size} must equal the language "
                f"model's hidden_size {self.text.hidden_size}"
            )
        for name in (
            "image_token_id",
            "video_token_id",
            "vision_start_token_id",
            "vision_end_token_id",
            "eos_token_id",
        ):
            if not 0 <= getattr(self, name) < self.text.vocab_size:
                raise BadInput(f"{name} {getattr(self, name)} must lie below vocab_size {self.text.vocab_size}")


def _need_positive(config: VisionConfig | TextConfig, where: str) -> None:
    """Every number of a sub-config is positive, and no larger than a model could have. (C27, C29)"""
    for name, value in vars(config).items():
        if isinstance(value, int | float) and not 0 < value < math.inf:
            raise BadInput(f"{where}: {name} must be positive, got {value}")
        most = MOST_BLOCKS if name in ("depth", "num_hidden_layers") else LARGEST_NUMBER
        if isinstance(value, int) and value > most:
            raise BadInput(f"{where}: {name} must be at most {most}, got {value}")
        if name == "rope_theta" and value < 1:
            raise BadInput(f"{where}: rope_theta must be at least 1, got {value}; every release has 10000 or more")


def _released(
    *, hidden: int, layers: int, heads: int, kv_heads: int, mlp: int, vocab: int, vision_mlp: int, tied: bool
) -> Config:
    """Build a released model: they differ in these numbers only."""
    return Config(
        vision=VisionConfig(intermediate_size=vision_mlp, out_hidden_size=hidden),
        text=TextConfig(
            vocab_size=vocab,
            hidden_size=hidden,
            intermediate_size=mlp,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=kv_heads,
        ),
        tie_word_embeddings=tied,
    )


QWEN25_VL_3B = _released(
    hidden=2048, layers=36, heads=16, kv_heads=2, mlp=11008, vocab=151936, vision_mlp=3420, tied=True
)
"""Qwen2.5-VL-3B-Instruct, as shipped (the paper's Table 1 differs in four numbers)."""

QWEN25_VL_7B = _released(
    hidden=3584, layers=28, heads=28, kv_heads=4, mlp=18944, vocab=152064, vision_mlp=3420, tied=False
)
"""Qwen2.5-VL-7B-Instruct, as shipped."""

QWEN25_VL_32B = _released(
    hidden=5120, layers=64, heads=40, kv_heads=8, mlp=27648, vocab=152064, vision_mlp=3456, tied=False
)
"""Qwen2.5-VL-32B-Instruct, as shipped."""

QWEN25_VL_72B = _released(
    hidden=8192, layers=80, heads=64, kv_heads=8, mlp=29568, vocab=152064, vision_mlp=3456, tied=False
)
"""Qwen2.5-VL-72B-Instruct, as shipped."""

TINY = Config(
    vision=VisionConfig(
        depth=5,
        hidden_size=40,
        intermediate_size=61,
        num_heads=2,
        window_px=84,
        full_attention_blocks=(1, 4),
        out_hidden_size=120,
        tokens_per_second=3,
    ),
    text=TextConfig(
        vocab_size=523,
        hidden_size=120,
        intermediate_size=173,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        mrope_section=(2, 3, 5),
    ),
    tie_word_embeddings=True,
    image_token_id=511,
    video_token_id=512,
    vision_start_token_id=508,
    vision_end_token_id=509,
    eos_token_id=501,
)
"""The checkpoint inside the package: everything that can be uneven is uneven."""

"""Section 15 - tap ids: what is each intermediate called, and what shape has it?

The ids are permanent: goldens, ports and tools refer to them. `NN` stands for the number of a block,
two digits. The shape letters are those of spec page 00.
"""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

LEVELS = ("stages", "insides", "all")
"""How much a tap listens to: results of stages; their insides too; attention probabilities too."""


@dataclass(frozen=True)
class TapName:
    """One row of the table: an id, or one id per block."""

    id: str
    shape: str
    section: str
    level: str
    meaning: str

    @property
    def glob(self) -> str:
        """The id as a glob that matches every block."""
        return self.id.replace("NN", "[0-9][0-9]")


def _both_towers(tower: str, section: str, rows: str, width: str, kv: str, probs: str) -> list[TapName]:
    """List what a block of either tower reports: the two are built alike."""
    block = f"{tower}.blocks.NN"
    return [
        TapName(f"{block}.norm1", f"{rows} {width}", section, "insides", "input of attention, normalised"),
        TapName(f"{block}.attn.q", f"{rows} N d", section, "insides", "queries, before rotation"),
        TapName(f"{block}.attn.k", f"{rows} {kv} d", section, "insides", "keys, before rotation"),
        TapName(f"{block}.attn.v", f"{rows} {kv} d", section, "insides", "values"),
        TapName(f"{block}.attn.q_rope", f"{rows} N d", section, "insides", "queries, rotated"),
        TapName(f"{block}.attn.k_rope", f"{rows} {kv} d", section, "insides", "keys, rotated"),
        TapName(f"{block}.attn.probs", probs, section, "all", "attention probabilities"),
        TapName(f"{block}.attn.mixed", f"{rows} N d", section, "insides", "values mixed by the probabilities"),
        TapName(f"{block}.attn.out", f"{rows} {width}", section, "stages", "attention's output, projected"),
        TapName(f"{block}.resid_mid", f"{rows} {width}", section, "stages", "residual stream after attention"),
        TapName(f"{block}.norm2", f"{rows} {width}", section, "insides", "input of the MLP, normalised"),
        TapName(f"{block}.mlp.gate", f"{rows} F", section, "insides", "gate, before its activation"),
        TapName(f"{block}.mlp.up", f"{rows} F", section, "insides", "the other factor"),
        TapName(f"{block}.mlp.act", f"{rows} F", section, "insides", "silu(gate) * up"),
        TapName(f"{block}.mlp.out", f"{rows} {width}", section, "stages", "the MLP's output"),
        TapName(f"{block}.resid_post", f"{rows} {width}", section, "stages", "residual stream after the block"),
    ]


TAP_NAMES = (
    TapName("vision.patch_embed.out", "P D", "05", "stages", "embedded patches, in the order of the pixel rows"),
    TapName("vision.rope.cos", "P d", "06", "insides", "cosines of the angles, in window order"),
    TapName("vision.rope.sin", "P d", "06", "insides", "sines of the angles, in window order"),
    TapName("vision.window_order", "M", "07", "stages", "merged token at each place of the window order"),
    TapName("vision.window_starts", "windows+1", "07", "stages", "first patch of each window, and the end"),
    TapName("vision.frame_starts", "frames+1", "07", "stages", "first patch of each frame, and the end"),
    *_both_towers("vision", "07", "P", "D", "N", "N S"),
    TapName("vision.merger.norm", "P D", "08", "insides", "input of the merger, normalised"),
    TapName("vision.merger.hidden", "M 4D", "08", "insides", "first linear layer"),
    TapName("vision.merger.act", "M 4D", "08", "insides", "its GELU"),
    TapName("vision.merger.out", "M E", "08", "stages", "merged tokens, in window order"),
    TapName("vision.out", "M E", "08", "stages", "merged tokens, in their own order"),
    TapName("language.embed.out", "L E", "10", "stages", "embeddings with the vision rows in place"),
    TapName("language.positions", "3 L", "09", "stages", "time, height and width position of each token"),
    TapName("language.rope.cos", "L d", "09", "insides", "cosines of the angles"),
    TapName("language.rope.sin", "L d", "09", "insides", "sines of the angles"),
    *_both_towers("language", "10", "L", "E", "K", "N L L"),
    TapName("language.norm.out", "L E", "10", "stages", "hidden states behind the final norm"),
    TapName("logits", "L V", "10", "stages", "scores of every vocabulary row"),
)
"""Every tap id, in the order of the data. In `vision.blocks.NN.attn.probs`, S runs over the segments: each
segment of s patches adds s * s columns, row-major, in the order of `window_starts` or `frame_starts`."""


IN_PARTS = re.compile(r"^(rows\.\d+\.)?(chunks\.\d+\.)?")
"""What stands before an id: the number of the prompt in a batch, the number of the piece of a prompt."""


def tap_name(name: str) -> TapName:
    """Find the row of an id.

    Raises:
        KeyError: if no row has it.
    """
    for row in TAP_NAMES:
        if fnmatchcase(name, row.glob):
            return row
    raise KeyError(f"no tap is called {name!r}; `qwen25vl names` lists them all")


def level_of(name: str) -> str:
    """Return the level of an id, in a batch or a piece of a prompt too; what the table does not know is `all`."""
    plain = IN_PARTS.sub("", name, count=1)
    return next((row.level for row in TAP_NAMES if fnmatchcase(plain, row.glob)), "all")

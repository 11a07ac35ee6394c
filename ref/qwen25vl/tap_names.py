"""Section 15 - tap ids: what is each intermediate called, what shape has it, and which comes first?

The ids are permanent: goldens, ports and tools refer to them. `NN` stands for the number of a block,
two digits. The shape letters are those of spec page 00.
"""

import re
from collections.abc import Mapping
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


def _both_towers(
    tower: str, section: str, rows: str, width: str, kv: str, probs: str, *, note: str = ""
) -> list[TapName]:
    """List what a block of either tower reports: the two are built alike."""
    block = f"{tower}.blocks.NN"
    return [
        TapName(f"{block}.norm1", f"{rows} {width}", section, "insides", "input of attention, normalised"),
        TapName(f"{block}.attn.q", f"{rows} N d", section, "insides", "queries, before rotation"),
        TapName(f"{block}.attn.k", f"{rows} {kv} d", section, "insides", "keys, before rotation"),
        TapName(f"{block}.attn.v", f"{rows} {kv} d", section, "insides", "values"),
        TapName(f"{block}.attn.q_rope", f"{rows} N d", section, "insides", "queries, rotated"),
        TapName(f"{block}.attn.k_rope", f"{rows} {kv} d", section, "insides", "keys, rotated"),
        TapName(f"{block}.attn.probs", probs, section, "all", f"attention probabilities{note}"),
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
    TapName("vision.window_order", "M", "07", "stages", "merged token at each place of the window order"),
    TapName("vision.window_starts", "windows+1", "07", "stages", "first patch of each window, and the end"),
    TapName("vision.frame_starts", "frames+1", "07", "stages", "first patch of each frame, and the end"),
    TapName("vision.rope.cos", "P d", "06", "insides", "cosines of the angles, in window order"),
    TapName("vision.rope.sin", "P d", "06", "insides", "sines of the angles, in window order"),
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
    *_both_towers("language", "10", "L", "E", "K", "N L L", note="; tokens run before add columns in front"),
    TapName("language.norm.out", "L E", "10", "stages", "hidden states behind the final norm"),
    TapName("logits", "L V", "10", "stages", "scores of every vocabulary row"),
)
"""Every tap id, in the order of the data. In `vision.blocks.NN.attn.probs`, S runs over the segments: each
segment of s patches adds s * s columns, row-major, in the order of `window_starts` or `frame_starts`."""


PLACES = {row.id: place for place, row in enumerate(TAP_NAMES)}
"""The number of each row."""

BLOCK = re.compile(r"\.[0-9][0-9]\.")
"""The number of a block within an id."""

IN_PARTS = re.compile(r"^(rows\.\d+\.)?(chunks\.\d+\.)?")
"""What stands before an id: the number of the prompt in a batch, the number of the piece of a prompt."""

GIVEN = (
    *("pictures.*.rgb", "pictures.*.resized", "image_rows", "image_grids"),
    *("clips.*.indices", "clips.*.rgb", "clips.*.resized", "video_rows", "video_grids", "second_per_grid"),
    *("ids", "positions", "delta"),
)
"""What stands behind `inputs.`, each made from some of those before it."""

DECODED = ("logits", "ids", "logprobs")
"""What stands behind `answer.`, likewise."""

OTHER_PARTS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "inputs.": (0, GIVEN),
    "outputs.": (2, ()),
    "answer.": (3, DECODED),
}
"""How parts begin that are no tap: their rank in the order of the data (taps have 1), and what may follow."""

TOWERS = ("vision.", "language.", "")
"""What the ids of taps begin with, in the order of the data; "" stands for the logits."""

OrderKey = tuple[int, str, int, str, int, str, int, str]
"""Rank, prompt, tower, piece, place in the tower, block, row of the table, name: what an id is sorted by."""


def tap_name(name: str) -> TapName:
    """Find the row of an id, in a batch or a piece of a prompt too.

    Raises:
        KeyError: if no row has it.
    """
    place = _table_place(IN_PARTS.sub("", name, count=1))
    if place is None:
        raise KeyError(f"no tap is called {name!r}; `qwen25vl names` lists them all")
    return TAP_NAMES[place]


def level_of(name: str) -> str:
    """Return the level of an id, in a batch or a piece of a prompt too; what the table does not know is `all`."""
    place = _table_place(IN_PARTS.sub("", name, count=1))
    return "all" if place is None else TAP_NAMES[place].level


def data_order(name: str) -> OrderKey:
    """Return a key that sorts ids of parts in the order of the data.

    What is given comes first, then the taps, then results that are no tap, then the answer; any other id comes
    last, by its name. Of the taps: prompt by prompt of a batch; in each the vision encoder, then piece by piece
    the decoder, then the logits; block by block, and in a block as in the table. The reference reports its taps
    in this order, too.

    Args:
        name: the id of any part, `rows.NN.` and `chunks.NN.` included.
    """
    parts_of_run = IN_PARTS.match(name)
    prompt, piece = ("", "") if parts_of_run is None else (text or "" for text in parts_of_run.groups())
    plain = name.removeprefix(prompt + piece)
    for prefix, (rank, parts) in OTHER_PARTS.items():
        if plain.startswith(prefix):
            places = (i for i, glob in enumerate(parts) if fnmatchcase(plain.removeprefix(prefix), glob))
            return rank, _padded(prompt), 0, "", next(places, len(parts)), "", 0, _padded(name)
    place = _table_place(plain)
    if place is None:
        return 4, "", 0, "", 0, "", 0, _padded(name)
    tower = next(i for i, prefix in enumerate(TOWERS) if plain.startswith(prefix))
    blocks, _, inside = TAP_NAMES[place].id.partition("NN.")
    # All rows of a tower's blocks count as one place; the number of the block decides within it.
    first = next(i for i, row in enumerate(TAP_NAMES) if row.id.startswith(blocks))
    block = plain.removesuffix(inside) if inside else ""
    return 1, _padded(prompt), tower, _padded(piece), first, block, place, ""


def _table_place(plain: str) -> int | None:
    """Return the number of the row that an id without a prompt and a piece belongs to; None if there is none."""
    return PLACES.get(BLOCK.sub(".NN.", plain, count=1))


def _padded(name: str) -> str:
    """Return a name whose numbers sort as numbers: 11 before 100."""
    return re.sub("[0-9]+", lambda found: found[0].zfill(20), name)

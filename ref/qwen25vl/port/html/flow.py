"""Section 15 - the model as a flow: which stage is right, and which is the first that is not?"""

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

from qwen25vl.port.html.flow_layout import Layout, Place
from qwen25vl.port.html.svg import GLYPHS, MEANINGS, Number, box, drawing, element
from qwen25vl.port.report_summary import StageSummary, block_count
from qwen25vl.table import count_text

LABELS = {
    "media": "pictures, videos",
    "ids": "token ids",
    "patch_embed": "patch embed",
    "windows": "windows, rotary",
    "vision": "vision blocks",
    "merger": "merger",
    "embed": "embedding",
    "positions": "positions, MRoPE",
    "language": "decoder blocks",
    "norm": "norm",
    "logits": "logits",
    "answer": "answer",
    "other": "other results",
}
"""What stands in each box."""

LEAST_WORDS = 100
"""A narrower box has no room for a word below its name."""


def flow_drawing(
    stages: Mapping[str, StageSummary],
    *,
    layout: Layout,
    first_wrong: str | None,
    full_attention_blocks: Sequence[int] | None = None,
) -> str:
    """Draw the model, each stage in the colour, the pattern and the sign of its worst verdict.

    A stage leads to its part in the table, `#part-NUMBER`.

    Args:
        stages: as in `stage_summaries`.
        layout: `WIDE` or `NARROW`.
        first_wrong: the stage that gets the mark; None if nothing is wrong.
        full_attention_blocks: blocks of the vision encoder that are drawn round; None where they are not known.
    """
    drawn = [element("path", d=path, class_="arrow", marker_end="url(#head)") for path in layout.arrows]
    for key, place in layout.boxes.items():
        if key in ("vision", "language"):
            drawn += _tower(key, stages, place, first_wrong=first_wrong, full=full_attention_blocks or ())
        elif key != "other" or key in stages:
            drawn.append(_stage(key, stages.get(key), place, is_first=key == first_wrong))
    label = "The model as a flow; each stage shows the worst verdict of its parts."
    return drawing(*drawn, width=layout.width, height=layout.height, label=label, class_="flow")


def _stage(key: str, stage: StageSummary | None, place: Place, *, is_first: bool) -> Element:
    """Draw one box with its name, what was found, and its sign."""
    x, y, width, height = place
    state = "none" if stage is None else stage.state
    small = height < 50
    drawn = [
        element("title", text=f"{LABELS[key]}: {_said(stage)}"),
        *box(state, x=x, y=y, width=width, height=height),
    ]
    drawn += [
        element("text", text=LABELS[key], x=x + 10, y=y + (15 if small else 21), class_="name"),
        element("text", text=_short(stage, width=width), x=x + 10, y=y + (29 if small else 39), class_="note"),
    ]
    if GLYPHS[state]:
        drawn.append(
            element(
                "text", text=GLYPHS[state], x=x + width - 10, y=y + height - 9, class_="glyph", text_anchor="end"
            )
        )
    if is_first:
        drawn += _mark(place, flag_at=y)
    return _linked(drawn, stage)


def _tower(
    key: str,
    stages: Mapping[str, StageSummary],
    place: Place,
    *,
    first_wrong: str | None,
    full: Sequence[int],
) -> list[Element]:
    """Draw the blocks of a tower as cells in one frame."""
    x, y, width, height = place
    count = block_count(stages, key)
    name = LABELS[key] + (f" 0 to {count - 1}" if count > 1 else "")
    drawn = box("frame" if count else "none", x=x, y=y, width=width, height=height)
    drawn.append(element("text", text=name, x=x + 10, y=y + 17, class_="name"))
    if not count:
        return [*drawn, element("text", text=_short(None, width=width), x=x + 10, y=y + 39, class_="note")]
    columns, cell = _cells(count, width=width - 20, height=height - 32)
    for block in range(count):
        left, top = x + 10 + block % columns * cell, y + 25 + block // columns * cell
        round_ = key == "vision" and block in full
        stage = stages.get(f"{key}.{block:02d}")
        cell_drawn = _cell(key, block, stage, (left, top, cell - 3, cell - 3), round_=round_)
        if first_wrong == f"{key}.{block:02d}":
            cell_drawn += _mark((left, top, cell - 3, cell - 3), flag_at=y)
        drawn.append(_linked(cell_drawn, stage))
    return drawn


def _cell(key: str, block: int, stage: StageSummary | None, place: Place, *, round_: bool) -> list[Element]:
    """Draw one block."""
    x, y, side, _ = place
    state = "none" if stage is None else stage.state
    full = ", full attention" if round_ else ""
    drawn = [element("title", text=f"{LABELS[key].removesuffix('s')} {block}{full}: {_said(stage)}")]
    drawn += box(state, x=x, y=y, width=side, height=side, radius=side / 2 if round_ else 2)
    if GLYPHS[state] and side >= 9:
        size = min(side * 0.8, 15)
        drawn.append(
            element(
                "text",
                text=GLYPHS[state],
                x=x + side / 2,
                y=y + side / 2 + size * 0.34,
                class_="glyph",
                text_anchor="middle",
                font_size=size,
            )
        )
    return drawn


def _cells(count: int, *, width: Number, height: Number) -> tuple[int, float]:
    """Return columns and side of the largest square cells that fit."""
    fits = [
        (min(width / -(-count // rows), height / rows, 26.0), -(-count // rows))
        for rows in range(1, min(count, 9) + 1)
    ]
    cell, columns = max(fits)
    return columns, cell


def _mark(place: Place, *, flag_at: Number) -> list[Element]:
    """Draw a thick frame, and a flag above the box whose upper edge is given: here is the first wrong number."""
    x, y, width, height = place
    tip = x + width / 2
    frame = element(
        "rect", x=x - 2.5, y=y - 2.5, width=width + 5, height=height + 5, rx=min(7.0, width / 3), class_="first"
    )
    flag = element("path", d=f"M{tip - 7:g},{flag_at - 17:g} h14 l-7,11 Z", class_="flag")
    return [frame, flag]


def _linked(drawn: Sequence[Element], stage: StageSummary | None) -> Element:
    """Lead to the part in the table, where there is one."""
    if stage is None:
        return element("g", *drawn)
    return element("a", *drawn, href=f"#part-{stage.shown}")


def _said(stage: StageSummary | None) -> str:
    """Say how a stage stands, in full."""
    if stage is None:
        return "not compared"
    return f"{stage.bad} of {count_text(stage.count, 'part')} {stage.state} ({MEANINGS[stage.state]})"


def _short(stage: StageSummary | None, *, width: Number) -> str:
    """Say how a stage stands, in as many signs as its box has room for."""
    if width < LEAST_WORDS:
        return "" if stage is None else f"{stage.bad}/{stage.count}"
    return "not compared" if stage is None else f"{stage.state} {stage.bad}/{stage.count}"

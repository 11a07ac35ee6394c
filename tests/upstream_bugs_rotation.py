"""Known bugs of both towers' rotations, planted into upstream."""

from collections.abc import Callable, Mapping
from typing import Any

from upstream_port import Plant, Port

VISION, LANGUAGE = "apply_rotary_pos_emb_vision", "apply_rotary_pos_emb"
"""What turns queries and keys."""

# ------------------------------------------------------------------------------- coordinates, angles


def other_coordinates(change: Callable[..., Any]) -> Plant:
    """Change row and column [P, 2]: `change(coordinates, grids)`."""
    return lambda port: port.exchange(
        "get_vision_position_ids",
        lambda right: lambda grids, merge, **settings: change(right(grids, merge), grids),
    )


def in_raster_order(coordinates: Any, grids: Any) -> Any:
    made = [(h, w) for T, H, W in grids.tolist() for _ in range(T) for h in range(H) for w in range(W)]
    return coordinates.new_tensor(made)


def rows_of_frames_continue(coordinates: Any, grids: Any) -> Any:
    made = coordinates.clone()
    frame = coordinates.new_tensor([t for T, H, W in grids.tolist() for t in range(T) for _ in range(H * W)])
    height = coordinates.new_tensor([H for T, H, W in grids.tolist() for _ in range(T * H * W)])
    made[:, 0] += frame * height
    return made


def rows_of_pictures_continue(coordinates: Any, grids: Any) -> Any:
    made, start, first = coordinates.clone(), 0, 0
    for T, H, W in grids.tolist():
        made[start : start + T * H * W, 0] += first
        start, first = start + T * H * W, first + H
    return made


def before_windows(port: Port) -> None:
    """Angles stay in the order of the rows."""
    move, width = port.visual.permute_input_for_window_attn, port.config.vision.head_dim

    def moved(rows: Any, order: Any, *, seq_len: int) -> Any:
        return rows if rows.shape[-1] == width else move(rows, order, seq_len=seq_len)

    port.visual.permute_input_for_window_attn = moved


def frequencies(width: Callable[[int], int] = lambda d: d // 2, theta: float = 1e4) -> Plant:
    """Frequencies for one axis, from the width of a head that they are spread over."""

    def plant(port: Port) -> None:
        d = port.config.vision.head_dim
        steps = port.torch.arange(0, d // 2, 2).float()
        port.visual.rotary_pos_emb.inv_freq = theta ** -(steps / width(d))

    return plant


def against_its_neighbour(x: Any, cos: Any, sin: Any) -> Any:
    """Channels 2 i and 2 i + 1 turn by frequency i."""
    half = x.shape[-1] // 2
    cos, sin = (turn[..., :half].repeat_interleave(2, dim=-1) for turn in (cos, sin))
    even, odd = x[..., ::2], x[..., 1::2]
    other = x.clone()
    other[..., ::2], other[..., 1::2] = -odd, even
    return x * cos + other * sin


def other_rotation(name: str, turn: Callable[[Any, Any, Any, Any], Any]) -> Plant:
    """Turn queries and keys in another way, by the function of a tower: `turn(right, x, cos, sin)`."""

    def by(right: Any) -> Any:
        def rotated(q: Any, k: Any, cos: Any, sin: Any) -> Any:
            return turn(right, q, cos, sin), turn(right, k, cos, sin)

        return rotated

    return lambda port: port.exchange(name, by)


def backwards(right: Any, x: Any, cos: Any, sin: Any) -> Any:
    return right(x, x, cos, -sin)[0]


def vision_neighbours(right: Any, x: Any, cos: Any, sin: Any) -> Any:
    wide = against_its_neighbour(x.float(), cos.unsqueeze(-2).float(), sin.unsqueeze(-2).float())
    return wide.to(x.dtype)


def language_neighbours(right: Any, x: Any, cos: Any, sin: Any) -> Any:
    return against_its_neighbour(x, cos.unsqueeze(1), sin.unsqueeze(1))


def frequencies_rounded(rotary: Any) -> None:
    rotary.inv_freq = rotary.inv_freq.bfloat16().float()


# ----------------------------------------------------------------------------------------- decoder


def other_axes(choose: Callable[[tuple[int, ...]], list[int]]) -> Plant:
    """Give each of the first channels of a head another axis: `choose(sections)`, half a head or a whole one."""

    def plant(port: Port) -> None:
        axes = choose(port.config.text.mrope_section)

        def composed(turns: Any) -> Any:  # [3, B, L, d / 2]
            whole = port.torch.cat([turns, turns], dim=-1)
            width = whole.shape[-1]
            channels = axes * (width // len(axes))
            return port.torch.stack([whole[axis, ..., i] for i, axis in enumerate(channels)], dim=-1)

        port.decoder.rotary_emb.recomposition_frequencies = composed

    return plant


def dealt_out(sections: tuple[int, ...]) -> list[int]:
    """As Qwen3-VL: time, height, width in turns, and time where height and width are used up."""
    axes = [0] * sum(sections)
    for axis in (1, 2):
        axes[axis : 3 * sections[axis] : 3] = [axis] * len(axes[axis : 3 * sections[axis] : 3])
    return axes


def in_blocks(*order: int) -> Callable[[tuple[int, ...]], list[int]]:
    """Time, height and width, in another order, each with the width of its place."""
    return lambda sections: [axis for axis, count in zip(order, sections, strict=True) for _ in range(count)]


def over_the_whole_head(sections: tuple[int, ...]) -> list[int]:
    return [axis for axis, count in enumerate(sections) for _ in range(2 * count)]


def values_rotated(port: Port) -> None:
    turns = []

    def rotation(right: Any) -> Any:
        def remembered(q: Any, k: Any, cos: Any, sin: Any) -> Any:
            turns[:] = [cos, sin]
            return right(q, k, cos, sin)

        return remembered

    def attention(right: Any) -> Any:
        turn = port.upstream.apply_rotary_pos_emb

        def attended(module: Any, q: Any, k: Any, v: Any, *rest: Any, **settings: Any) -> Any:
            v = turn(v, v, *turns)[0] if turns else v  # the vision encoder has run before
            return right(module, q, k, v, *rest, **settings)

        return attended

    port.exchange("apply_rotary_pos_emb", rotation)
    port.exchange("eager_attention_forward", attention)


def theta_of_vision(port: Port) -> None:
    d = port.config.text.head_dim
    port.decoder.rotary_emb.inv_freq = 1e4 ** -(port.torch.arange(0, d, 2).float() / d)


PLANTS: Mapping[str, Plant] = {
    "vision-rope-missing": other_rotation(VISION, lambda right, x, cos, sin: x),
    "vision-rope-axes": other_coordinates(lambda coordinates, grids: coordinates.flip(-1)),
    "vision-rope-raster": other_coordinates(in_raster_order),
    "vision-rope-raster/before-windows": before_windows,
    "vision-rope-merged": other_coordinates(lambda coordinates, grids: coordinates // 2),
    "vision-rope-frames-continue": other_coordinates(rows_of_frames_continue),
    "vision-rope-frames-continue/pictures": other_coordinates(rows_of_pictures_continue),
    "vision-rope-width": frequencies(width=lambda d: d),
    "theta-swapped/vision": frequencies(theta=1e6),
    "frequencies-rounded/vision": lambda port: frequencies_rounded(port.visual.rotary_pos_emb),
    "interleaved-channels/vision": other_rotation(VISION, vision_neighbours),
    "rotation-sign/vision": other_rotation(VISION, backwards),
    "sections-interleaved": other_axes(dealt_out),
    "sections-lost": other_axes(in_blocks(0, 0, 0)),
    "sections-repeated-whole": other_axes(over_the_whole_head),
    "sections-order": other_axes(in_blocks(1, 2, 0)),
    "sections-order/width-height": other_axes(in_blocks(0, 2, 1)),
    "interleaved-channels": other_rotation(LANGUAGE, language_neighbours),
    "rotation-sign": other_rotation(LANGUAGE, backwards),
    "theta-swapped": theta_of_vision,
    "frequencies-rounded": lambda port: frequencies_rounded(port.decoder.rotary_emb),
    "values-rotated": values_rotated,
}
"""By id; behind a stroke, another way to the same bug."""

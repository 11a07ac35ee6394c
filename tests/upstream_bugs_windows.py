"""Known bugs of window order and of the segments of attention, planted into upstream."""

from collections.abc import Callable, Mapping
from typing import Any

from upstream_port import Plant, Port


def other_windows(change: Callable[[Any, Any, Any], Any]) -> Plant:
    """Change the order of merged tokens and the starts in patches: `change(order, starts, grids)`."""

    def by(right: Any) -> Any:
        return lambda grids, **settings: change(*right(grids, **settings), grids)

    return lambda port: port.exchange("get_vision_window_index", by)


def other_side(change: Callable[[int], int]) -> Plant:
    """Change the side of a window in pixels."""

    def plant(port: Port) -> None:
        port.visual.window_size = change(port.visual.window_size)

    return plant


def over_the_next_frame(port: Port) -> None:
    """The frames of a clip are one tall picture."""

    def by(right: Any) -> Any:
        def tall(grids: Any, **settings: Any) -> Any:
            T, H, W = grids.unbind(1)
            return right(port.torch.stack([T // T, T * H, W], dim=1), **settings)

        return tall

    port.exchange("get_vision_window_index", by)


def over_the_next_picture(order: Any, starts: Any, grids: Any) -> Any:
    """The last window of a picture has no end."""
    ends = grids.prod(dim=1).cumsum(0)[:-1]
    return order, starts[[start not in ends.tolist() for start in starts.tolist()]]


def of_equal_length(port: Port) -> None:
    """Every window has as many patches as a whole one."""
    whole = port.config.vision.window_m**2 * 4

    def change(order: Any, starts: Any, grids: Any) -> Any:
        P = int(starts[-1])
        return order, starts.new_tensor([*range(0, P, whole), P])

    other_windows(change)(port)


def filled_up(port: Port) -> None:
    """A window at the edge is filled up with zeros, which queries see."""
    whole = port.config.vision.window_m**2 * 4
    windowed = {id(b.attn) for i, b in enumerate(port.visual.blocks) if i not in port.visual.fullatt_block_indexes}

    def by(right: Any) -> Any:
        def attended(module: Any, q: Any, k: Any, v: Any, *rest: Any, **settings: Any) -> Any:
            if id(module) in windowed:
                more = k.new_zeros(*k.shape[:2], whole - k.shape[2], k.shape[3])
                k, v = port.torch.cat([k, more], dim=2), port.torch.cat([v, more], dim=2)
            return right(module, q, k, v, *rest, **settings)

        return attended

    port.exchange("eager_attention_forward", by)


def empty_windows(port: Port) -> None:
    """Boundaries that are there twice stay."""
    import oracle

    port.call("unique_consecutive", lambda x: x, module=oracle.vision_utils)


def patches_leave_their_block(port: Port) -> None:
    """Patches are moved by an order of single patches, as if they came in raster order."""
    visual, orders = port.visual, []

    def by(right: Any) -> Any:
        def remembered(grids: Any, *, spatial_merge_size: int, window_size: int, patch_size: int, **_: Any) -> Any:
            orders.append(right(grids, 1, window_size, patch_size)[0])
            return right(grids, spatial_merge_size, window_size, patch_size)

        return remembered

    port.exchange("get_vision_window_index", by)
    visual.permute_input_for_window_attn = lambda rows, order, *, seq_len: rows[orders[-1]]


def other_frames(change: Callable[[Any, Any], Any]) -> Plant:
    """Change the starts of frames: `change(starts, grids)`."""

    def by(right: Any) -> Any:
        def seqlens(grids: Any, *arguments: Any, **settings: Any) -> Any:
            starts, most = right(grids, *arguments, **settings)
            return change(starts, grids), most

        return seqlens

    return lambda port: port.exchange("get_vision_attention_seqlens", by)


def of_whole_clips(starts: Any, grids: Any) -> Any:
    ends = grids.prod(dim=1).cumsum(0).tolist()
    return starts.new_tensor([0, *ends])


def full_blocks(choose: Callable[[int, list[int]], list[int]]) -> Plant:
    """Choose other blocks of full attention: `choose(depth, right)`."""

    def plant(port: Port) -> None:
        visual = port.visual
        visual.fullatt_block_indexes = choose(len(visual.blocks), list(visual.fullatt_block_indexes))

    return plant


PLANTS: Mapping[str, Plant] = {
    "order-for-inverse": lambda port: port.call("argsort", lambda order: order),
    "no-window-order": other_windows(lambda order, starts, grids: (order.sort().values, starts)),
    "no-window-order/not-put-back": lambda port: port.call("argsort", lambda order: order.sort().values),
    "window-in-patches": other_side(lambda px: px * 2),
    "window-in-patches/pixels": other_side(lambda px: px * 28),
    "window-side-fixed": other_side(lambda px: 112),
    "whole-windows-only": filled_up,
    "whole-windows-only/equal": of_equal_length,
    "empty-window-kept": empty_windows,
    "windows-span-frames": over_the_next_frame,
    "windows-span-frames/pictures": other_windows(over_the_next_picture),
    "patches-leave-their-block": patches_leave_their_block,
    "frame-starts-per-video": other_frames(of_whole_clips),
    "frame-starts-one": other_frames(lambda starts, grids: starts[[0, -1]]),
    "all-blocks-full": full_blocks(lambda depth, right: list(range(depth))),
    "full-blocks-windowed": full_blocks(lambda depth, right: []),
    "full-blocks-periodic": full_blocks(lambda depth, right: list(range(1, depth, 2))),
    "segments-swapped": full_blocks(lambda depth, right: [i for i in range(depth) if i not in right]),
}
"""By id; behind a stroke, another way to the same bug."""

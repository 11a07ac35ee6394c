"""What `qwen25vl show` prints of pictures and videos. Sizes are width x height, as people say them."""

from typing import Any

from qwen25vl.table import aligned, byte_text, count_text, labelled, size_text


def picture_text(facts: dict[str, Any]) -> str:
    """Say what became of a picture."""
    rows = [("stored as", _stored(facts))]
    if facts["original_size"] != facts["stored_size"]:
        rows.append(("decoded", f"{size_text(facts['original_size'])} pixels, turned upright (I2)"))
    rows += [_resized(facts), *_rule(facts["resize"], facts["resized_size"]), *_grid(facts)]
    return f"a picture, prepared as for {facts['model']}\n\n{aligned(rows, indent=2)}"


def clip_text(facts: dict[str, Any]) -> str:
    """Say what became of a video."""
    rows = [
        (
            "video",
            f"{size_text(facts['original_size'])} pixels, {count_text(facts['source_frames'], 'frame')} at "
            f"{facts['source_fps']:.6g} per second, {facts['duration_s']:.6g} s",
        ),
        ("chosen", f"{count_text(len(facts['indices']), 'frame')}, {facts['sampled_fps']:.6g} per second"),
        *labelled("limits", facts["limits"]),
        _resized(facts),
        (
            "time",
            f"{facts['second_per_grid']:.6g} s from one row of the grid to the next, "
            f"{facts['tokens_per_second']} positions per second",
        ),
        *_grid(facts),
    ]
    return (
        f"a video, prepared as for {facts['model']}\n\n{aligned(rows, indent=2)}\n\n"
        f"{aligned(_frames(facts), right=(0, 1), indent=2)}"
    )


def grid_text(facts: dict[str, Any]) -> str:
    """Say size, grid, tokens and windows in one line."""
    T, H, W = facts["grid"]
    return (
        f"{size_text(facts['resized_size'])} pixels, grid {T} x {H} x {W}, "
        f"{count_text(facts['tokens'], 'token')}, {count_text(facts['windows']['count'], 'window')}"
    )


def _stored(facts: dict[str, Any]) -> str:
    """Say how a picture lies in its file."""
    words = [f"{size_text(facts['stored_size'])} pixels, {facts['format']}, {facts['mode']}"]
    if facts["orientation"] != 1:
        words.append(f"EXIF orientation {facts['orientation']}")
    if "A" in facts["mode"]:
        words.append("alpha dropped (I3)")
    if facts["animated"]:
        words.append("animated: the first frame counts (I1); --video takes it for a video")
    return ", ".join(words)


def _resized(facts: dict[str, Any]) -> tuple[str, str]:
    """Say the new size, and how far both sides were stretched."""
    tall, wide = facts["scale"]
    return "resized", f"{size_text(facts['resized_size'])} pixels, {wide:.4g} x {tall:.4g} of what it was"


def _rule(resize: dict[str, Any], size_px: list[int]) -> list[tuple[str, str]]:
    """Say which rule decided the size, and which profiles would decide otherwise."""
    factor, least, most = resize["factor_px"], resize["min_pixels"], resize["max_pixels"]
    why = {
        "nearest": f"the nearest multiples of {factor} lie within {least:,} to {most:,} pixels",
        "max_pixels": f"max_pixels {most:,}, which the nearest multiples of {factor} exceed",
        "min_pixels": f"min_pixels {least:,}, which the nearest multiples of {factor} do not reach",
    }[resize["rule"]]
    above = "" if resize["area"] <= most else f", above max_pixels {most:,}"
    others = [
        f"profile {profile} gives {size_text(size)}" if isinstance(size, list) else size
        for profile, size in resize["profiles"].items()
        if size != size_px
    ]
    return [
        ("decided by", f"{why} ({resize['clause']}, profile {resize['profile']})"),
        ("area", f"{resize['area']:,} pixels{above}"),
        *labelled("but", others),
    ]


def _grid(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Say what a grid makes: patches, tokens, windows, rows."""
    T, H, W = facts["grid"]
    _, Hm, Wm = facts["merged_grid"]
    windows, rows = facts["windows"], facts["rows"]
    shapes = ", ".join(f"{count:,} of {width} x {height}" for height, width, count in windows["shapes"])
    patches = count_text(facts["patches"], "patch", "patches")
    return [
        ("grid", f"T {T}, H {H}, W {W}: {patches} of {facts['patch_px']} px"),
        ("merged", f"T {T}, H {Hm}, W {Wm}: {count_text(facts['tokens'], 'token')}"),
        ("windows", f"{windows['count']:,}, {windows['full']:,} of them full: {shapes} tokens"),
        ("rows", f"{rows['shape'][0]:,} x {rows['shape'][1]:,} {rows['dtype']}, {byte_text(rows['bytes'])}"),
    ]


def _frames(facts: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """List the rows of the time axis: their position, and the frames in them."""
    table = [("row", "position", "frames", "seconds")]
    frames_per_row = facts["temporal_patch_f"]
    for row, time_id in enumerate(facts["time_ids"]):
        part = slice(row * frames_per_row, (row + 1) * frames_per_row)
        indices, times = facts["indices"][part], facts["times_s"][part]
        again = " repeated" if len(indices) < frames_per_row else ""  # (I19)
        seconds = " ".join(f"{time:.3f}" for time in times)
        table.append((str(row), str(time_id), " ".join(map(str, indices)) + again, seconds))
    return table

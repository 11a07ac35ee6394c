"""What `qwen25vl show` does with each kind of thing: its facts, its text and its picture."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qwen25vl.bundled import checkpoint_directory
from qwen25vl.cli.media_options import printable
from qwen25vl.cli.show_media import clip_text, grid_text, picture_text
from qwen25vl.cli.show_stored import checkpoint_text, golden_text
from qwen25vl.config import VisionConfig
from qwen25vl.config_json import read_config
from qwen25vl.errors import BadInput
from qwen25vl.media.clip import prepared_clip
from qwen25vl.media.settings import MediaSettings, read_settings
from qwen25vl.media.video_settings import video_profile
from qwen25vl.report.checkpoint import checkpoint_report
from qwen25vl.report.clip import clip_report
from qwen25vl.report.golden import golden_report, norms_by_depth
from qwen25vl.report.picture import picture_report
from qwen25vl.vision.window_boxes import window_boxes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Shown:
    """What there is to say of a thing."""

    facts: dict[str, Any]
    text: str
    figure: "Callable[[], Figure]"
    """Draws it; called only where a picture is asked for, since matplotlib takes time to import."""


def shown_picture(options: argparse.Namespace) -> Shown:
    """Prepare a picture."""
    name, settings, vision = _settings(options)
    given = {key: getattr(options, key) for key in ("min_pixels", "max_pixels")}
    given["profile"] = None if options.profile is None else video_profile(options.profile).guards
    settings = replace(settings, **{key: value for key, value in given.items() if value is not None})
    picture, report = picture_report(Path(options.thing), settings=settings, window_m=vision.window_m)
    facts = {"model": name, **report}

    def figure() -> "Figure":
        from qwen25vl.plot import patch_grid

        T, Hm, Wm = facts["merged_grid"]
        return patch_grid(
            picture.resized,
            patch_px=settings.patch_px,
            merge_p=settings.merge_p,
            window_m=vision.window_m,
            windows=window_boxes((T, Hm, Wm), window_m=vision.window_m)[:, 1:],
            title=f"{_short_name(options)}: {grid_text(facts)}",
        )

    return Shown(facts, picture_text(facts), figure)


def shown_video(options: argparse.Namespace) -> Shown:
    """Prepare a video."""
    name, settings, vision = _settings(options)
    clip = prepared_clip(
        options.thing,
        settings=settings,
        profile=options.profile,
        fps=options.fps,
        nframes=options.nframes,
        start_s=options.start,
        end_s=options.end,
        min_pixels=options.min_pixels,
        max_pixels=options.max_pixels,
        total_pixels=options.total_pixels,
    )
    report = clip_report(
        clip, settings=settings, window_m=vision.window_m, tokens_per_second=vision.tokens_per_second
    )
    facts = {"model": name, **report}

    def figure() -> "Figure":
        from qwen25vl.plot import frame_times

        return frame_times(
            clip.resized,
            clip.times_s,
            np.array(facts["time_ids"], dtype=np.int64),
            temporal_patch_f=settings.temporal_patch_f,
            duration_s=facts["duration_s"],
            title=f"{_short_name(options)}: {grid_text(facts)}",
        )

    return Shown(facts, clip_text(facts), figure)


def shown_checkpoint(options: argparse.Namespace) -> Shown:
    """Count what a checkpoint holds."""
    facts = checkpoint_report(checkpoint_directory(options.thing))

    def figure() -> "Figure":
        from qwen25vl.plot import parameter_bars

        return parameter_bars(
            [(part["tower"], part["part"], part["parameters"]) for part in facts["parts"]],
            title=f"{_short_name(options)}: {facts['parameters']['total']:,} parameters",
        )

    return Shown(facts, checkpoint_text(facts), figure)


def shown_golden(options: argparse.Namespace) -> Shown:
    """Read the manifest of a golden.

    Raises:
        BadInput: if it is to be drawn and holds nothing that is drawn; and as in `golden_report`.
    """
    facts = golden_report(Path(options.thing))
    towers = norms_by_depth(facts["stages"])
    if options.plot is not None and not towers:
        raise BadInput(
            f"{options.thing!r} holds no residual stream to draw (taps *.resid_post); write it with --taps stages"
        )

    def figure() -> "Figure":
        from qwen25vl.plot import residual_norms

        model = facts["model"]
        return residual_norms(
            towers,
            full_attention_blocks=facts["full_attention_blocks"],
            title=f"{_short_name(options)}: {model['name']} in {model['precision']}",
        )

    return Shown(facts, golden_text(facts), figure)


def _settings(options: argparse.Namespace) -> tuple[str, MediaSettings, VisionConfig]:
    """Read what a checkpoint says about pictures and about the vision encoder."""
    name = "tiny" if options.model is None else options.model
    directory = checkpoint_directory(name)
    return printable(name), read_settings(directory), read_config(directory).vision


def _short_name(options: argparse.Namespace) -> str:
    """Return the last part of the thing's path."""
    return printable(Path(options.thing).absolute().name)


SHOWN: dict[str, Callable[[argparse.Namespace], Shown]] = {
    "picture": shown_picture,
    "video": shown_video,
    "checkpoint": shown_checkpoint,
    "golden": shown_golden,
}
"""Who describes what."""

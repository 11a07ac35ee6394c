"""Sections 02 to 04 - the processor: from messages to the arrays that the model is given."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from qwen25vl.config import Config
from qwen25vl.config_json import read_config
from qwen25vl.errors import BadInput
from qwen25vl.inputs import Inputs
from qwen25vl.language.mrope import mrope_positions
from qwen25vl.media.picture import Picture, prepared_picture
from qwen25vl.media.settings import MediaSettings, read_settings
from qwen25vl.prompt.layout import expanded_ids
from qwen25vl.prompt.messages import MediaPart, Message, check_messages, media_parts
from qwen25vl.prompt.template import read_template, rendered_prompt
from qwen25vl.prompt.tokenizer import Tokenizer, load_tokenizer

PART_SIZES = ("min_pixels", "max_pixels", "resized_height", "resized_width")
"""Keys of an image part that qwen-vl-utils reads and transformers passes over; here they are refused."""


@dataclass(frozen=True)
class Processor:
    """What turns messages into `Inputs`; it needs no weights."""

    config: Config
    tokenizer: Tokenizer
    template: str
    settings: MediaSettings

    def render(
        self, messages: Sequence[Message], *, add_vision_id: bool = False, add_generation_prompt: bool = True
    ) -> str:
        """Return the prompt as text, one pad token for each picture. The pictures are not opened.

        Args:
            messages: one conversation, in the form known from transformers.
            add_vision_id: number pictures and videos: `Picture 1: `.
            add_generation_prompt: end with the opening of the assistant's turn.

        Raises:
            BadInput: if the conversation is malformed, or a text holds a pad token.
        """
        pads = (self.config.image_token_id, self.config.video_token_id)
        check_messages(messages, pad_tokens=[self.tokenizer.token(pad) for pad in pads])
        return rendered_prompt(
            messages,
            template=self.template,
            add_vision_id=add_vision_id,
            add_generation_prompt=add_generation_prompt,
        )

    def prepare(
        self,
        messages: Sequence[Message],
        *,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        profile: str | None = None,
        add_vision_id: bool = False,
        add_generation_prompt: bool = True,
    ) -> Inputs:
        """Open, resize and cut the pictures, tokenise the prompt, and lay both out.

        Args:
            messages: one conversation.
            min_pixels: least area of a picture after resizing; None means the checkpoint's own value.
            max_pixels: largest area, likewise.
            profile: whose guards `smart_resize` applies; None means `hf`.
            add_vision_id: as in `render`.
            add_generation_prompt: as in `render`.

        Raises:
            BadInput: if the conversation or a picture cannot be used. Videos are not read by this version.

        Spec: spec/04-prompt.md, spec/09-mrope.md
        """
        text = self.render(messages, add_vision_id=add_vision_id, add_generation_prompt=add_generation_prompt)
        settings = self.settings if profile is None else replace(self.settings, profile=profile)
        pictures = tuple(
            _part_picture(part, settings=settings, min_pixels=min_pixels, max_pixels=max_pixels)
            for part in media_parts(messages)
        )
        ids = expanded_ids(
            self.tokenizer.encode(text),
            image_tokens=[picture.tokens_m for picture in pictures],
            video_tokens=[],
            image_token_id=self.config.image_token_id,
            video_token_id=self.config.video_token_id,
        )
        return _laid_out(text, ids, pictures, config=self.config)


def _part_picture(
    part: MediaPart, *, settings: MediaSettings, min_pixels: int | None, max_pixels: int | None
) -> Picture:
    """Prepare the picture of one part of a message; a refusal says which part it is about."""
    if part.kind == "video":
        raise BadInput(f"{part.where} is a video; this version reads pictures only: give its frames as images")
    unread = sorted(set(PART_SIZES).intersection(part.options))
    if unread:
        raise BadInput(
            f"{part.where} holds {unread[0]!r}, which is not read from a part; give min_pixels or max_pixels to "
            "prepare, for all pictures"
        )
    try:
        return prepared_picture(part.source, settings=settings, min_pixels=min_pixels, max_pixels=max_pixels)
    except BadInput as refusal:
        name = repr(os.fspath(part.source)) if isinstance(part.source, str | os.PathLike) else part.where
        if name in str(refusal):
            raise
        raise BadInput(f"{name}: {refusal}") from refusal


def _laid_out(text: str, ids: np.ndarray, pictures: tuple[Picture, ...], *, config: Config) -> Inputs:
    """Join the pictures' rows, and give every token its positions."""
    no_rows = np.empty((0, config.vision.patch_dim), dtype=np.float32)
    no_grids = np.empty((0, 3), dtype=np.int64)
    image_grids = np.array([picture.grid for picture in pictures], dtype=np.int64).reshape(-1, 3)
    mask = np.ones((1, len(ids)), dtype=bool)
    positions, delta = mrope_positions(
        ids[np.newaxis],
        mask,
        image_grids,
        no_grids,
        np.empty(0),
        image_token_id=config.image_token_id,
        video_token_id=config.video_token_id,
        merge_p=config.vision.merge_p,
        tokens_per_second=config.vision.tokens_per_second,
    )
    return Inputs(
        text=[text],
        ids=ids[np.newaxis],
        mask=mask,
        image_rows=np.concatenate([no_rows, *(picture.rows for picture in pictures)]),
        image_grids=image_grids,
        video_rows=no_rows,
        video_grids=no_grids,
        second_per_grid=np.empty(0),
        positions=positions,
        delta=delta,
        pictures=pictures,
    )


def read_processor(directory: Path) -> Processor:
    """Read config, tokenizer, template and picture settings of a checkpoint directory.

    Raises:
        BadInput: if a file is missing or broken, or two of them contradict each other.
    """
    config = read_config(directory)
    settings = read_settings(directory)
    vision = config.vision
    for name in ("patch_px", "temporal_patch_f", "merge_p"):
        if getattr(settings, name) != getattr(vision, name):
            raise BadInput(
                f"{directory}: {name} is {getattr(vision, name)} in config.json but {getattr(settings, name)} in "
                "the picture settings; use the files of one checkpoint"
            )
    return Processor(
        config=config,
        tokenizer=load_tokenizer(directory),
        template=read_template(directory),
        settings=settings,
    )

"""Sections 02 to 04 - the processor: from messages to the arrays that the model is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64

from qwen25vl.config import Config
from qwen25vl.config_json import read_config
from qwen25vl.errors import BadInput
from qwen25vl.inputs import Inputs
from qwen25vl.language.mrope import mrope_positions
from qwen25vl.media.clip import Clip
from qwen25vl.media.picture import Picture
from qwen25vl.media.settings import MediaSettings, read_settings
from qwen25vl.media.video_settings import video_profile
from qwen25vl.opened import Limits, each_opened
from qwen25vl.prompt.layout import check_positions, expanded_ids
from qwen25vl.prompt.messages import Message, check_messages, conversations, media_parts
from qwen25vl.prompt.padding import padded_ids, read_pad_id
from qwen25vl.prompt.template import read_template, rendered_prompt
from qwen25vl.prompt.tokenizer import Tokenizer, load_tokenizer


@dataclass(frozen=True)
class Processor:
    """What turns messages into `Inputs`; it needs no weights."""

    config: Config
    tokenizer: Tokenizer
    template: str
    settings: MediaSettings
    pad_id: int
    """What fills the shorter prompts of a batch."""

    def render(
        self, messages: Sequence[Message], *, add_vision_id: bool = False, add_generation_prompt: bool = True
    ) -> str:
        """Return the prompt as text, one pad token for each picture or video. None of them is opened.

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
        messages: Sequence[Message] | Sequence[Sequence[Message]],
        *,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        total_pixels: int | None = None,
        fps: float | None = None,
        nframes: int | None = None,
        profile: str | None = None,
        padding_side: str = "left",
        add_vision_id: bool = False,
        add_generation_prompt: bool = True,
    ) -> Inputs:
        """Open, resize and cut the pictures and videos, tokenise the prompts, and lay everything out.

        A part of a message may ask for its own limits, in the words of qwen-vl-utils (`fps`, `nframes`,
        `video_start`, `max_pixels` ...); they win over the arguments here.

        Args:
            messages: one conversation, or a list of them: a batch.
            min_pixels: least area of a picture, or of a video's frame, after resizing; None means the
                checkpoint's own value.
            max_pixels: largest area, likewise.
            total_pixels: largest area of all time steps (pairs of frames) of a video together; None means the
                profile's.
            fps: frames per second to take of a video; of a list of frames, the rate they were taken at.
            nframes: frames to take of a video, instead of a rate.
            profile: whose guards `smart_resize` applies, and whose rules choose frames; None means `hf`.
            padding_side: `left` or `right`: where shorter prompts of a batch are filled up.
            add_vision_id: as in `render`.
            add_generation_prompt: as in `render`.

        Raises:
            BadInput: if a conversation, a picture or a video cannot be used.

        Spec: spec/04-prompt.md (P22, P23), spec/09-mrope.md
        """
        limits = Limits(min_pixels, max_pixels, total_pixels, fps, nframes, profile)
        if profile is not None:
            video_profile(profile)  # refuses one that there is not, even without media
        prompts = [
            self._prompt(
                one, limits=limits, add_vision_id=add_vision_id, add_generation_prompt=add_generation_prompt
            )
            for one in conversations(messages)
        ]
        ids, mask = padded_ids([prompt.ids for prompt in prompts], pad_id=self.pad_id, side=padding_side)
        return _laid_out(prompts, ids, mask, config=self.config)

    def _prompt(self, messages: Sequence[Message], *, limits: Limits, **rendering: bool) -> "_Prompt":
        """Prepare one conversation."""
        text = self.render(messages, **rendering)
        media = each_opened(media_parts(messages), settings=self.settings, limits=limits)
        pictures = tuple(medium for medium in media if isinstance(medium, Picture))
        clips = tuple(medium for medium in media if isinstance(medium, Clip))
        ids = expanded_ids(
            self.tokenizer.encode(text),
            image_tokens=[picture.tokens_m for picture in pictures],
            video_tokens=[clip.tokens_m for clip in clips],
            image_token_id=self.config.image_token_id,
            video_token_id=self.config.video_token_id,
        )
        return _Prompt(text, ids, pictures, clips)


@dataclass(frozen=True, eq=False)
class _Prompt:
    """One prompt of a batch, before padding."""

    text: str
    ids: Int64[np.ndarray, " L"]
    pictures: tuple[Picture, ...]
    clips: tuple[Clip, ...]


def _laid_out(
    prompts: Sequence[_Prompt],
    ids: Int64[np.ndarray, "B L"],
    mask: Bool[np.ndarray, "B L"],
    *,
    config: Config,
) -> Inputs:
    """Join the rows of all pictures and of all videos, and give every token its positions."""
    pictures = tuple(picture for prompt in prompts for picture in prompt.pictures)
    clips = tuple(clip for prompt in prompts for clip in prompt.clips)
    no_rows = np.empty((0, config.vision.patch_dim), dtype=np.float32)
    image_grids = np.array([picture.grid for picture in pictures], dtype=np.int64).reshape(-1, 3)
    video_grids = np.array([clip.grid for clip in clips], dtype=np.int64).reshape(-1, 3)
    second_per_grid = np.array([clip.second_per_grid for clip in clips], dtype=np.float64)
    positions, delta = prompt_positions(ids, mask, image_grids, video_grids, second_per_grid, config=config)
    check_positions(positions, mask, limit=config.text.max_position_embeddings)  # (P27)
    return Inputs(
        text=[prompt.text for prompt in prompts],
        ids=ids,
        mask=mask,
        image_rows=np.concatenate([no_rows, *(picture.rows for picture in pictures)]),
        image_grids=image_grids,
        video_rows=np.concatenate([no_rows, *(clip.rows for clip in clips)]),
        video_grids=video_grids,
        second_per_grid=second_per_grid,
        positions=positions,
        delta=delta,
        pictures=pictures,
        clips=clips,
        media_counts=tuple((len(prompt.pictures), len(prompt.clips)) for prompt in prompts),
    )


def prompt_positions(
    ids: Int64[np.ndarray, "B L"],
    mask: Bool[np.ndarray, "B L"],
    image_grids: Int64[np.ndarray, "images 3"],
    video_grids: Int64[np.ndarray, "videos 3"],
    second_per_grid: Float64[np.ndarray, " videos"],
    *,
    config: Config,
) -> tuple[Int64[np.ndarray, "3 B L"], Int64[np.ndarray, " B"]]:
    """Give the tokens of prompts their positions by a checkpoint's config; see `mrope_positions`.

    Spec: spec/09-mrope.md
    """
    return mrope_positions(
        ids,
        mask,
        image_grids,
        video_grids,
        second_per_grid,
        image_token_id=config.image_token_id,
        video_token_id=config.video_token_id,
        merge_p=config.vision.merge_p,
        tokens_per_second=config.vision.tokens_per_second,
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
    if vision.in_channels != 3:
        raise BadInput(
            f"{directory}: in_channels must be 3, red, green and blue, got {vision.in_channels} in config.json"
        )
    tokenizer = load_tokenizer(directory)
    return Processor(
        config=config,
        tokenizer=tokenizer,
        template=read_template(directory),
        settings=settings,
        pad_id=read_pad_id(directory, tokenizer=tokenizer, config=config),
    )

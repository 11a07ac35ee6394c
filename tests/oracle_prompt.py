"""What transformers makes of a prompt: templates, tokenizers and the processor. Imports it on first use."""

import functools
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np


def hf_template(directory: Path) -> str:
    """Return the chat template that upstream's processor takes from a directory."""
    from transformers import Qwen2_5_VLProcessor

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        template = Qwen2_5_VLProcessor.get_processor_dict(str(directory))[0]["chat_template"]
    assert isinstance(template, str)
    return template


def hf_chat_template(
    template: str, messages: Sequence[Any], *, add_generation_prompt: bool, add_vision_id: bool
) -> str:
    """Return upstream's rendering of one conversation."""
    from transformers.utils.chat_template_utils import render_jinja_template

    rendered, _ = render_jinja_template(
        conversations=[list(messages)],
        chat_template=template,
        add_generation_prompt=add_generation_prompt,
        add_vision_id=add_vision_id,
    )
    return str(rendered[0])


def hf_tokenizer_ids(directory: Path, text: str) -> list[int]:
    """Return the ids of upstream's tokenizer, loaded from the same directory."""
    return list(_tokenizer(directory)(text)["input_ids"])


def hf_decoded(directory: Path, ids: Sequence[int], *, skip_special_tokens: bool) -> str:
    """Return the text of upstream's tokenizer for ids."""
    return str(_tokenizer(directory).decode(list(ids), skip_special_tokens=skip_special_tokens))


def hf_processor_ids(
    directory: Path, messages: Sequence[Any], images: Sequence[np.ndarray]
) -> tuple[list[int], list[int]]:
    """Return the ids of a prompt with images from upstream's whole processor, and each image's tokens."""
    from PIL import Image

    processor = _processor(directory)
    text = processor.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
    batch = processor(text=[text], images=[Image.fromarray(image) for image in images], return_tensors="np")
    merge_unit = processor.image_processor.merge_size**2
    return batch["input_ids"][0].tolist(), (batch["image_grid_thw"].prod(axis=1) // merge_unit).tolist()


def _processor(directory: Path) -> Any:
    """Build upstream's processor without its video half, which needs torchvision."""
    from transformers import Qwen2_5_VLProcessor
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    with mock.patch.object(Qwen2_5_VLProcessor, "check_argument_for_proper_class", return_value=None):
        return Qwen2_5_VLProcessor(
            image_processor=Qwen2VLImageProcessorPil.from_pretrained(str(directory)),
            tokenizer=_tokenizer(directory),
            video_processor=mock.Mock(spec=[]),
            chat_template=hf_template(directory),
        )


@functools.cache
def _tokenizer(directory: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(directory))

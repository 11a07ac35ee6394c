"""What transformers makes of pictures. Imports it only inside the functions."""

import numpy as np


def smart_resize(height, width, *, factor, min_pixels, max_pixels):
    """`(height, width)` of the pinned transformers: profile hf."""
    from transformers.models.qwen2_vl import image_processing_pil_qwen2_vl as upstream

    return upstream.smart_resize(height, width, factor, min_pixels, max_pixels)


def _pil_processor(**settings):
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    return Qwen2VLImageProcessorPil(**settings)


def pil_processor_rows(images, **settings):
    """Rows `[P, D]` and grids `[n, 3]` of the PIL image processor; `images`: paths, Pillow images, arrays."""
    out = _pil_processor(**settings)(images=images, return_tensors="np")
    return np.asarray(out["pixel_values"]), np.asarray(out["image_grid_thw"])


def pil_processor_rgb(image):
    """The bytes `[height, width, 3]` that the PIL image processor works on, before resizing."""
    (channels_first,) = _pil_processor()._prepare_image_like_inputs([image], do_convert_rgb=True)
    return np.moveaxis(channels_first, 0, -1)


def save_processor_config(directory, **settings):
    """Write processor_config.json the way a transformers 5 processor nests its image processor."""
    import json

    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    nested = Qwen2VLImageProcessorPil(**settings).to_dict()
    (directory / "processor_config.json").write_text(json.dumps({"image_processor": nested}))


def save_preprocessor_config(directory, **settings):
    """Write preprocessor_config.json as transformers 5 saves an image processor alone."""
    _pil_processor(**settings).save_pretrained(directory)

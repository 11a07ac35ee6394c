"""Section 15 - the main job: the one picture and prompt that every first look uses."""

from typing import Any

from qwen25vl.bundled import PHOTOGRAPH

PROMPT = "Describe the picture."
"""What is asked."""

MAIN_JOB: list[dict[str, Any]] = [
    {
        "role": "user",
        "content": [{"type": "image", "image": str(PHOTOGRAPH)}, {"type": "text", "text": PROMPT}],
    }
]
"""The messages. The picture is 306 x 230: neither side is a multiple of 28, of a window, or equal to the other."""

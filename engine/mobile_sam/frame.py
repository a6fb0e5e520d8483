"""The network's padded frame: where in it a picture lies.

Owns one rule, apart from the networks so that stages without torch can use it.

Source: Segment Anything (Kirillov et al. 2023, Apache-2.0).
"""

from __future__ import annotations


def framed_size(width: int, height: int, image_size: int) -> tuple[int, int]:
    """Width and height of a picture inside the padded frame: longest side `image_size`, half rounds up."""
    scale = image_size / max(width, height)
    return max(int(width * scale + 0.5), 1), max(int(height * scale + 0.5), 1)

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from load_tests.pixels import EDGE_PX, RING_PX, changed_outside, png_size


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_size_is_read_from_the_header_and_other_formats_are_refused() -> None:
    assert png_size(png(np.zeros((30, 40, 3), np.uint8))) == (40, 30)
    with pytest.raises(ValueError, match="no PNG"):
        png_size(b"\xff\xd8\xff\xe0" + b"\0" * 40)


def test_changes_count_only_outside_the_ring_of_every_object() -> None:
    before = np.full((120, 200, 3), 90, np.uint8)
    first, second = np.zeros((120, 200), np.uint8), np.zeros((120, 200), np.uint8)
    first[50:60, 40:50] = second[50:60, 150:160] = 255
    after = before.copy()
    after[45:65, 35:55] = after[45:65, 145:165] = 7
    masks = [png(first), png(second)]
    assert changed_outside(png(before), png(after), masks) == 0
    assert changed_outside(png(before), png(after), masks[:1]) == 400
    after[0, 0, 2] += 1
    after[55, 50 + RING_PX + EDGE_PX] += 1
    assert changed_outside(png(before), png(after), masks) == 2

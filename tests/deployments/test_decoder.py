from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from deployments.decoder import Decoder
from engine.errors import PhotoError
from engine.photo import picture_digest, read_mask, read_photo
from engine.png import decode_png
from storage.errors import StoreFull
from tests.service.pictures import png_bytes, scene

CAP = 4_000_000


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(max_pixels=CAP, max_side=1024, seconds=20)
    yield decoder
    decoder.close()


def at_the_cap(kind: str) -> bytes:
    rgba = np.dstack([np.indices((2000, 2000, 3)).sum(0) >> 4, np.indices((2000, 2000))[1]])
    buffer = io.BytesIO()
    Image.fromarray(rgba.astype(np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def test_a_picture_is_the_same_as_without_the_process(decoder: Decoder, tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(png_bytes(scene(1400, 900)))
    facts = decoder.photo(tmp_path / "upload", tmp_path / "decoded")
    expected = read_photo(tmp_path / "upload", max_pixels=CAP, max_side=1024)
    assert (facts.width, facts.height) == (expected.image.width, expected.image.height)
    assert (facts.uploaded_width, facts.uploaded_height, facts.format) == (1400, 900, "PNG")
    assert facts.digest == picture_digest(expected.image)
    assert tuple(facts.notes) == expected.notes
    written = decode_png((tmp_path / "decoded").read_bytes())
    assert (written.pixels == expected.image.pixels).all()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF"])
def test_pictures_at_the_cap_fit_into_the_memory(kind: str, tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(at_the_cap(kind))
    decoder = Decoder(max_pixels=CAP, max_side=4096, seconds=20)
    try:
        assert decoder.photo(tmp_path / "upload", tmp_path / "decoded").width == 2000
    finally:
        decoder.close()


def test_refusals_are_worded_by_the_engine(decoder: Decoder, tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(b"not a picture")
    with pytest.raises(PhotoError, match=r"^Invalid image data: unidentified image file$"):
        decoder.photo(tmp_path / "upload", tmp_path / "decoded")
    assert not (tmp_path / "decoded").exists()


def test_a_picture_that_needs_too_much_memory_is_refused_with_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.decoder.BASE_BYTES", 4_000_000)
    monkeypatch.setattr("deployments.decoder.BYTES_A_PIXEL", 2)
    (tmp_path / "upload").write_bytes(at_the_cap("PNG"))
    decoder = Decoder(max_pixels=CAP, max_side=1024, seconds=20)
    try:
        with pytest.raises(PhotoError, match="needs more than 12 MB of memory; send a smaller"):
            decoder.photo(tmp_path / "upload", tmp_path / "decoded")
    finally:
        decoder.close()


def test_a_picture_that_takes_too_long_is_refused_with_the_limit(tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(at_the_cap("WEBP"))
    decoder = Decoder(max_pixels=CAP, max_side=1024, seconds=0.02)
    try:
        with pytest.raises(PhotoError, match=r"took more than 0\.02 s; send a smaller"):
            decoder.photo(tmp_path / "upload", tmp_path / "decoded")
    finally:
        decoder.close()


def test_a_mask_is_written_anew(decoder: Decoder, tmp_path: Path) -> None:
    given = np.zeros((40, 60, 4), np.uint8)
    given[10:20, 30:45] = (250, 200, 220, 255)
    (tmp_path / "given").write_bytes(png_bytes(given) + b"<script>trailing</script>")
    decoder.mask(tmp_path / "given", tmp_path / "mask", 60, 40)
    written = (tmp_path / "mask").read_bytes()
    assert b"script" not in written
    mask = read_mask(written, 60, 40)
    assert (mask.box.x0, mask.box.y0, mask.box.x1, mask.box.y1) == (30, 10, 45, 20) and mask.pixels.all()


@pytest.mark.parametrize(
    ("pixels", "words"), [(np.zeros((40, 60), np.uint8), "empty"), (np.ones((4, 6), np.uint8), "6 x 4")]
)
def test_a_mask_that_cannot_be_used_is_refused(
    decoder: Decoder, tmp_path: Path, pixels: np.ndarray, words: str
) -> None:
    (tmp_path / "given").write_bytes(png_bytes(pixels))
    with pytest.raises(PhotoError, match=words):
        decoder.mask(tmp_path / "given", tmp_path / "mask", 60, 40)


def test_a_full_disk_is_not_the_pictures_fault(decoder: Decoder, tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    (tmp_path / "upload").write_bytes(png_bytes(scene()))
    with pytest.raises(StoreFull):
        decoder.photo(tmp_path / "upload", Path("/dev/full"))


def test_this_process_does_not_grow_with_what_is_decoded(decoder: Decoder, tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(at_the_cap("WEBP"))
    decoder.photo(tmp_path / "upload", tmp_path / "decoded")
    before = psutil.Process().memory_info().rss
    calling = [
        threading.Thread(target=decoder.photo, args=(tmp_path / "upload", tmp_path / f"decoded-{number}"))
        for number in range(4)
    ]
    for one in calling:
        one.start()
    for one in calling:
        one.join()
    assert all((tmp_path / f"decoded-{number}").stat().st_size for number in range(4))
    assert psutil.Process().memory_info().rss - before < 10 << 20

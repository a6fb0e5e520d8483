import io
import pickle
import struct
import time
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, features

from engine.errors import PhotoError
from engine.photo import Photo, picture_digest, read_mask, read_photo
from engine.types import PixelBox, RgbImage


def read(data: bytes, max_pixels: int = 40_000_000, max_side: int = 1024) -> Photo:
    return read_photo(data, max_pixels=max_pixels, max_side=max_side)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def four_corners(width: int = 64, height: int = 48) -> Image.Image:
    """Red, green, blue and grey quarters: every orientation of it looks different."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (220, 20, 20)
    pixels[: height // 2, width // 2 :] = (20, 200, 20)
    pixels[height // 2 :, : width // 2] = (20, 20, 220)
    pixels[height // 2 :, width // 2 :] = (128, 128, 128)
    return Image.fromarray(pixels)


def oriented(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def assert_close(pixels: np.ndarray, expected: np.ndarray, tolerance: int) -> None:
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected.astype(int)).max() <= tolerance


@pytest.mark.parametrize(("kind", "label"), [("JPEG", "JPEG"), ("PNG", "PNG"), ("WEBP", "WebP")])
def test_photo_of_each_plain_format_is_read(kind: str, label: str) -> None:
    photo = read(saved(four_corners(), kind, quality=95))
    assert (photo.format, photo.uploaded_width, photo.uploaded_height) == (label, 64, 48)
    assert photo.notes == ()
    assert photo.image.pixels.dtype == np.uint8 and not photo.image.pixels.flags.writeable
    inner = (slice(4, 20), slice(4, 28))
    assert_close(photo.image.pixels[inner], np.asarray(four_corners())[inner], 12)


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_photo_is_turned_upright(orientation: int) -> None:
    plain = read(saved(four_corners(), "PNG", exif=oriented(orientation))).image
    photo = read(saved(four_corners(), "AVIF", exif=oriented(orientation), quality=95))
    assert photo.format == "AVIF"
    assert_close(photo.image.pixels[8:14, 8:14], plain.pixels[8:14, 8:14], 12)
    assert (photo.uploaded_width, photo.uploaded_height) == (plain.width, plain.height)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_photo_is_turned_upright(orientation: int) -> None:
    pytest.importorskip("pillow_heif")
    plain = read(saved(four_corners(), "PNG", exif=oriented(orientation))).image
    photo = read(saved(four_corners(), "HEIF", exif=oriented(orientation), quality=95))
    assert photo.format == "HEIC"
    assert_close(photo.image.pixels[8:14, 8:14], plain.pixels[8:14, 8:14], 12)
    assert (photo.uploaded_width, photo.uploaded_height) == (plain.width, plain.height)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(kind: str, orientation: int) -> None:
    data = saved(four_corners(), kind, exif=oriented(orientation), quality=95)
    photo = read(data)
    red, green, blue = (220, 20, 20), (20, 200, 20), (20, 20, 220)
    grey = (128, 128, 128)
    # What a viewer shows: top left, top right, bottom left, bottom right.
    shown = {
        1: (red, green, blue, grey),
        2: (green, red, grey, blue),
        3: (grey, blue, green, red),
        4: (blue, grey, red, green),
        5: (red, blue, green, grey),
        6: (blue, red, grey, green),
        7: (grey, green, blue, red),
        8: (green, grey, red, blue),
    }[orientation]
    width, height = (64, 48) if orientation < 5 else (48, 64)
    assert (photo.uploaded_width, photo.uploaded_height) == (width, height)
    assert (photo.image.width, photo.image.height) == (width, height)
    corners = [photo.image.pixels[y, x] for y in (5, height - 6) for x in (5, width - 6)]
    assert_close(np.array(corners), np.array(shown), 12)


def test_damaged_exif_does_not_fail_the_upload() -> None:
    for exif in (
        b"Exif\x00\x00MM\x00*\xff\xff\xff\xff",
        b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff" + b"\x01" * 40,
    ):
        photo = read(saved(four_corners(), "JPEG", exif=exif))
        assert photo.image.width == 64


def test_orientation_out_of_range_is_ignored_with_a_note() -> None:
    photo = read(saved(four_corners(), "JPEG", exif=oriented(77)))
    assert photo.notes == ("EXIF orientation ignored: not one of 1 to 8",)
    assert (photo.image.width, photo.image.height) == (64, 48)


def test_damaged_icc_profile_is_ignored_with_a_note() -> None:
    photo = read(saved(four_corners(), "PNG", icc_profile=b"not a profile" * 20))
    assert photo.notes == ("unusable ICC profile ignored",)
    assert_close(photo.image.pixels, np.asarray(four_corners()), 0)


def test_icc_profile_of_srgb_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = read(saved(four_corners(), "PNG", icc_profile=profile))
    assert photo.notes == ()
    assert_close(photo.image.pixels, np.asarray(four_corners()), 0)


def linear_gamma_profile() -> bytes:
    """An sRGB profile with its curves replaced by gamma 1: colours must get lighter."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", data[128:132])[0]
    for tag in range(count):
        name, offset, _ = struct.unpack(">4sII", data[132 + 12 * tag : 144 + 12 * tag])
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            data[offset : offset + 16] = b"para" + bytes(4) + struct.pack(">HHi", 0, 0, 65536)
    return bytes(data)


def test_icc_profile_of_another_space_is_converted() -> None:
    picture = Image.new("RGB", (20, 10), (64, 128, 192))
    photo = read(saved(picture, "PNG", icc_profile=linear_gamma_profile()))
    assert photo.notes == ("ICC profile converted to sRGB",)
    linear = np.array([64, 128, 192]) / 255
    expected = 255 * (1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(photo.image.pixels[5, 5] - expected).max() < 2


def test_rgb_profile_in_a_grey_picture_is_applied() -> None:
    photo = read(saved(Image.new("L", (20, 10), 128), "JPEG", icc_profile=linear_gamma_profile()))
    assert photo.notes == ("ICC profile converted to sRGB",)
    assert abs(int(photo.image.pixels[5, 5, 0]) - 188) <= 2


def grey_profile() -> bytes:
    """A profile of grey pictures with gamma 1: they must get lighter."""
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    curve = b"curv" + bytes(4) + struct.pack(">IHH", 1, 256, 0)
    tags = struct.pack(">I", 2) + struct.pack(">4sII", b"wtpt", 156, 20)
    tags += struct.pack(">4sII", b"kTRC", 176, len(curve))
    body = tags + white + curve
    header = struct.pack(">I4xI4s4s4s12x4s", 128 + len(body), 0x02400000, b"mntr", b"GRAY", b"XYZ ", b"acsp")
    header += bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + body


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_profile_is_applied_with_transparency_as_without(mode: str) -> None:
    colour = (64, 255) if mode == "LA" else 64
    photo = read(saved(Image.new(mode, (20, 10), colour), "PNG", icc_profile=grey_profile()))
    assert photo.notes == ("ICC profile converted to sRGB",)
    assert (abs(photo.image.pixels.astype(int) - 137) <= 1).all()


def test_grey_profile_in_a_coloured_picture_is_ignored() -> None:
    photo = read(saved(four_corners(), "PNG", icc_profile=grey_profile()))
    assert photo.notes == ("unusable ICC profile ignored",)
    assert_close(photo.image.pixels, np.asarray(four_corners()), 0)


def test_rgb_profile_in_a_cmyk_picture_is_ignored() -> None:
    photo = read(saved(Image.new("CMYK", (20, 10)), "JPEG", icc_profile=linear_gamma_profile()))
    assert photo.notes == ("unusable ICC profile ignored", "CMYK converted to sRGB without a profile")


def test_cmyk_jpeg_comes_out_in_its_colours() -> None:
    photo = read(saved(Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "JPEG", quality=95))
    assert_close(photo.image.pixels[16, 16], np.array([255, 0, 0]), 6)


def test_transparent_picture_is_flattened_on_white_with_a_note() -> None:
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[..., :3] = (200, 0, 100)
    pixels[:, 1, 3] = 128
    pixels[:, 2, 3] = 255
    photo = read(saved(Image.fromarray(pixels), "PNG"))
    assert photo.notes == ("transparency flattened on white",)
    assert_close(photo.image.pixels[0], np.array([[255, 255, 255], [227, 127, 177], [200, 0, 100]]), 1)


def test_opaque_alpha_is_dropped_without_a_note() -> None:
    photo = read(saved(four_corners().convert("RGBA"), "PNG"))
    assert photo.notes == ()
    assert_close(photo.image.pixels, np.asarray(four_corners()), 0)


def test_grey_with_alpha_is_flattened() -> None:
    photo = read(saved(Image.new("LA", (4, 4), (10, 0)), "PNG"))
    assert (photo.image.pixels == 255).all()


@pytest.mark.parametrize("transparency", [0, bytes([0, 128, 255])])
def test_palette_with_transparency_is_flattened(transparency: int | bytes) -> None:
    picture = Image.new("P", (3, 1))
    picture.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    picture.putdata([0, 1, 2])
    photo = read(saved(picture, "PNG", transparency=transparency))
    assert photo.notes == ("transparency flattened on white",)
    assert photo.image.pixels[0, 0].tolist() == [255, 255, 255]
    assert photo.image.pixels[0, 2].tolist() == [0, 0, 200]


def test_rgb_with_a_transparent_colour_is_flattened() -> None:
    photo = read(saved(four_corners(), "PNG", transparency=(220, 20, 20)))
    assert photo.image.pixels[0, 0].tolist() == [255, 255, 255]
    assert photo.image.pixels[-1, -1].tolist() == [128, 128, 128]


def test_16_bit_grey_is_scaled_rather_than_clipped() -> None:
    levels = np.array([[0, 257, 32768, 65535, 300]], np.uint16)
    photo = read(saved(Image.fromarray(levels), "PNG"))
    assert photo.image.pixels[0, :, 0].tolist() == [0, 1, 128, 255, 1]
    assert photo.notes == ("16-bit scaled to 8-bit",)


def png_16_bit_rgb(levels: np.ndarray) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    height, width, _ = levels.shape
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in levels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_16_bit_colour_is_scaled_with_a_note() -> None:
    levels = np.array([[[0, 32896, 65535], [257, 2570, 51400]]], np.uint16)
    photo = read(png_16_bit_rgb(levels))
    assert_close(photo.image.pixels, levels // 257, 1)
    assert photo.notes == ("16-bit scaled to 8-bit",)


def test_1_bit_picture_is_black_and_white() -> None:
    picture = Image.new("1", (9, 5))
    picture.putpixel((4, 2), 1)
    photo = read(saved(picture, "PNG"))
    assert photo.image.pixels[2, 4].tolist() == [255, 255, 255]
    assert int(photo.image.pixels.sum()) == 3 * 255


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_animation_gives_its_first_frame_with_a_note(kind: str, options: dict[str, object]) -> None:
    frames = [Image.new("RGB", (16, 8), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    photo = read(saved(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    assert photo.image.pixels[4, 8].tolist() == [255, 0, 0]
    assert "first frame of an animation" in photo.notes


@pytest.mark.parametrize("size", [(1, 1), (1, 30_000), (30_000, 1), (2, 3000)])
def test_extreme_shape_keeps_at_least_one_pixel(size: tuple[int, int]) -> None:
    photo = read(saved(Image.new("RGB", size, (9, 99, 199)), "PNG"))
    assert max(photo.image.width, photo.image.height) == min(max(size), 1024)
    assert min(photo.image.width, photo.image.height) == 1
    assert (photo.uploaded_width, photo.uploaded_height) == size
    assert_close(photo.image.pixels[0, 0], np.array([9, 99, 199]), 0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_large_picture_is_scaled_to_the_longest_side(kind: str) -> None:
    photo = read(saved(four_corners(900, 600).resize((3600, 2400)), kind, quality=95), max_side=512)
    assert (photo.image.width, photo.image.height) == (512, 341)
    assert (photo.uploaded_width, photo.uploaded_height) == (3600, 2400)
    assert photo.notes == ("scaled down from 3600 x 2400",)
    assert_close(photo.image.pixels[20:150, 20:240], np.asarray(four_corners(512, 341))[20:150, 20:240], 6)


def test_small_picture_is_never_enlarged() -> None:
    assert read(saved(four_corners(), "PNG"), max_side=4096).image.width == 64


def test_too_many_pixels_are_refused_from_the_header_alone() -> None:
    # Only a header: a decoder that went further would call it truncated.
    header = png_16_bit_rgb(np.zeros((1, 1, 3), np.uint16))
    body = struct.pack(">IIBBBBB", 60_000, 40_000, 8, 2, 0, 0, 0)
    bomb = header[:12] + b"IHDR" + body + struct.pack(">I", zlib.crc32(b"IHDR" + body)) + header[33:]
    with pytest.raises(PhotoError, match=r"^Invalid image data: 2400\.0 megapixels is more than the limit"):
        read(bomb)
    with pytest.raises(
        PhotoError, match=r"^Invalid image data: 64 x 48 is 0\.0 megapixels, more than the limit"
    ):
        read(saved(four_corners(), "JPEG"), max_pixels=3000)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_truncated_file_is_refused(kind: str) -> None:
    rng = np.random.default_rng(1)
    data = saved(Image.fromarray(rng.integers(0, 255, (90, 120, 3), np.uint8)), kind)
    for keep in (1, 8, 40, len(data) // 3, len(data) * 3 // 4):
        with pytest.raises(PhotoError, match=r"^Invalid image data: "):
            read(data[:keep])


def test_empty_and_unknown_bytes_are_refused_by_the_documented_text() -> None:
    with pytest.raises(PhotoError, match=r"^Invalid image data: the file is empty$"):
        read(b"")
    for data in (b"hello", b"\x00" * 500, b"PK\x03\x04" + b"\x00" * 90):
        with pytest.raises(PhotoError, match=r"^Invalid image data: unidentified image file$"):
            read(data)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "BMP", "PDF", "JPEG2000", "ICO"])
def test_unsupported_format_is_named(kind: str) -> None:
    label = {"JPEG2000": "JPEG 2000"}.get(kind, kind)
    with pytest.raises(
        PhotoError, match=rf"^Invalid image data: {label} is not supported; send one of JPEG, PNG, WebP"
    ):
        read(saved(four_corners(), kind))


@pytest.mark.parametrize("data", [b"<svg xmlns='x'/>", b"\xef\xbb\xbf<?xml version='1.0'?><svg/>"])
def test_svg_is_named_as_unsupported(data: bytes) -> None:
    with pytest.raises(PhotoError, match="SVG"):
        read(data)


def test_eps_is_named_as_unsupported() -> None:
    with pytest.raises(PhotoError, match="EPS is not supported"):
        read(b"%!PS-Adobe-3.0 EPSF-3.0")


def test_jpeg_of_thousands_of_scans_is_refused_before_decoding() -> None:
    buffer = io.BytesIO()
    Image.new("L", (4000, 4000), 90).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    scan = data[data.rindex(b"\xff\xda") : -2]
    began = time.monotonic()
    with pytest.raises(PhotoError, match=r"has \d+ scans, more than the limit of 1000"):
        read(data[:-2] + scan * 5000 + b"\xff\xd9")
    assert time.monotonic() - began < 1


def test_png_of_too_much_compressed_text_is_refused_by_that_reason() -> None:
    text = b"zTXt" + b"bomb\0\0" + zlib.compress(bytes(900_000))
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    data = buffer.getvalue()
    with pytest.raises(
        PhotoError, match="the texts or the profile in the file are too large; send a re-saved version"
    ):
        read(data[:33] + chunk * 100 + data[33:])


def test_photo_is_read_from_a_path(tmp_path) -> None:
    path = tmp_path / "photo"
    path.write_bytes(saved(four_corners(), "PNG"))
    photo = read_photo(path, max_pixels=10_000, max_side=100)
    assert photo.image.width == 64


def test_missing_path_is_not_blamed_on_the_picture(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        read_photo(tmp_path / "nothing", max_pixels=1, max_side=1)


def test_photo_error_survives_pickling() -> None:
    with pytest.raises(PhotoError) as caught:
        read(b"hello")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


SEEDS = {
    "JPEG": saved(four_corners(), "JPEG", exif=oriented(6)),
    "PNG": saved(four_corners().convert("RGBA"), "PNG", exif=oriented(6)),
    "WEBP": saved(four_corners(), "WEBP"),
}


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(SEEDS)),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=12),
)
def test_flipped_bytes_give_a_picture_or_a_photo_error(kind: str, flips: list[tuple[int, int]]) -> None:
    data = bytearray(SEEDS[kind])
    for position, value in flips:
        data[position % len(data)] = value
    try:
        photo = read(bytes(data), max_pixels=1_000_000)
    except PhotoError as error:
        assert str(error).startswith("Invalid image data: ")
    else:
        assert photo.image.pixels.shape[2] == 3


def test_digest_names_content_and_size() -> None:
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    name = picture_digest(RgbImage(picture))
    assert len(name) == 64 and name == picture_digest(RgbImage(picture.copy()))
    assert name != picture_digest(RgbImage(picture.reshape(4, 2, 3)))
    changed = picture.copy()
    changed[1, 3, 2] ^= 1
    assert name != picture_digest(RgbImage(changed))
    assert name == picture_digest(RgbImage(np.repeat(picture, 2, axis=1)[:, ::2]))


def test_mask_is_read_where_it_is_light() -> None:
    pixels = np.zeros((20, 30), np.uint8)
    pixels[4:9, 7:12] = 255
    pixels[15, 20] = 127
    region = read_mask(saved(Image.fromarray(pixels), "PNG"), 30, 20)
    assert region.box == PixelBox(7, 4, 12, 9)
    assert region.pixels.all()


def test_mask_ignores_what_is_transparent() -> None:
    pixels = np.full((20, 30, 4), 255, np.uint8)
    pixels[:, 10:, 3] = 0
    assert read_mask(saved(Image.fromarray(pixels), "PNG"), 30, 20).box == PixelBox(0, 0, 10, 20)


def test_black_mask_is_an_empty_region() -> None:
    region = read_mask(saved(Image.new("1", (30, 20)), "PNG"), 30, 20)
    assert region.pixels.size == 0 and region.box == PixelBox(0, 0, 0, 0)


def test_mask_of_another_size_or_kind_is_refused() -> None:
    with pytest.raises(PhotoError, match=r"the mask is 30 x 20, the picture 31 x 20"):
        read_mask(saved(Image.new("L", (30, 20)), "PNG"), 31, 20)
    with pytest.raises(PhotoError):
        read_mask(saved(Image.new("L", (30, 20)), "JPEG"), 30, 20)

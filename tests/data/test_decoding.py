"""Pixels as a viewer shows them, against images made with NumPy and against Pillow's own conversions."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from influence_lib.data.decoding import UnreadableError, decode

GREY16 = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
GREY8 = (GREY16 // 257).astype(np.uint8)


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, kind, **options)
    return file.getvalue()


def pixels(data: bytes) -> np.ndarray:
    """Return H×W×3 pixels."""
    return decode(data).permute(1, 2, 0).numpy()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(depth: int, colour: int, rows: np.ndarray, width: int, transparent: bytes = b"") -> bytes:
    """Return a PNG as Pillow does not write it; each of the rows is bytes."""
    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0)
    content = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    tail = (chunk(b"tRNS", transparent) if transparent else b"") + chunk(b"IDAT", content) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + tail


QUADRANTS = np.zeros((16, 24, 3), np.uint8)
QUADRANTS[:8, :12], QUADRANTS[:8, 12:], QUADRANTS[8:, :12] = (250, 10, 10), (10, 250, 10), (10, 10, 250)

TURNED = {
    1: QUADRANTS,
    2: QUADRANTS[:, ::-1],
    3: QUADRANTS[::-1, ::-1],
    4: QUADRANTS[::-1],
    5: QUADRANTS.swapaxes(0, 1),
    6: np.rot90(QUADRANTS, -1),
    7: np.rot90(QUADRANTS, 2).swapaxes(0, 1),
    8: np.rot90(QUADRANTS, 1),
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
        ("JPEG", {"quality": 100, "subsampling": 0}),
    ],
)
def test_every_orientation_is_turned_upright_once(kind, options, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = pixels(encoded(QUADRANTS, kind, exif=exif, **options))
    assert found.shape == TURNED[orientation].shape
    assert np.abs(found.astype(int) - TURNED[orientation]).mean() < 3


def photo(*tags: tuple[int, int, int, bytes]) -> bytes:
    """Return a JPEG of 8×6 pixels whose EXIF has these tags: number, type, count, value."""
    table = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHI4s", *tag) for tag in sorted(tags)) + bytes(4)
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + table
    return encoded(Image.new("RGB", (8, 6), (200, 10, 10)), "JPEG", exif=exif)


@pytest.mark.parametrize(
    "tag",
    [
        (0x0132, 5, 1, bytes(4)),  # a date as a fraction
        (0x011A, 2, 4, b"abc\0"),  # a resolution as text
        (0x8298, 11, 1, struct.pack("<f", 1.5)),  # a copyright as a number
        (0x8769, 4, 1, b"\xff\xff\xff\x7f"),  # a table beyond the end
        (0x010E, 2, 1_000_000, struct.pack("<I", 1)),  # a text longer than the file
    ],
)
def test_a_broken_tag_costs_neither_the_pixels_nor_the_orientation(tag):
    assert pixels(photo((0x0112, 3, 1, struct.pack("<HH", 6, 0)), tag)).shape == (8, 6, 3)


@pytest.mark.parametrize("value", [0, 9, 255])
def test_an_orientation_without_meaning_counts_as_upright(value):
    assert pixels(photo((0x0112, 3, 1, struct.pack("<HH", value, 0)))).shape == (6, 8, 3)


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"])
def test_exif_that_is_none_is_ignored(exif):
    assert pixels(encoded(Image.new("RGB", (8, 6)), "JPEG", exif=exif)).shape == (6, 8, 3)


@pytest.mark.parametrize(
    "data",
    [
        encoded(GREY16),
        encoded(GREY16, "TIFF"),
        encoded(GREY16.astype(">u2"), "TIFF"),
        encoded(GREY16.astype(np.int32), "PPM"),
        encoded(GREY16.astype(np.int32), "TIFF"),
        encoded(GREY16.astype(np.int32) * 1000, "TIFF"),
        encoded(GREY8.astype(np.int32), "TIFF"),
        b"P5 16 16 4095\n" + (np.arange(256) * 16 + 8).astype(">u2").tobytes(),
        png(16, 2, np.stack([GREY16] * 3, axis=2).astype(">u2"), 16),
        *(encoded((GREY8 / 255 * top).astype(np.float32), "TIFF") for top in (1.0, 255.0, 65535.0, 1e9)),
        encoded((GREY8 / 255 - 0.5).astype(np.float32), "TIFF"),
        b"Pf\n16 16\n-1.0\n" + (GREY8[::-1] / 255).astype("<f4").tobytes(),
    ],
)
def test_deep_images_are_scaled_and_not_clipped(data):
    found = pixels(data).astype(int)
    assert np.abs(found - GREY8[:, :, None]).max() <= 1
    assert (found == found[:, :, :1]).all()


def test_what_is_not_finite_counts_as_zero_and_a_constant_image_is_no_error():
    values = (GREY8 / 255).astype(np.float32)
    values[0, :2] = np.nan, np.inf
    assert pixels(encoded(values, "TIFF"))[0, :2].max() == 0
    assert len(np.unique(pixels(encoded(np.full((4, 4), -3.0, np.float32), "TIFF")))) == 1


@pytest.mark.parametrize("values", [GREY8, GREY16])
def test_a_tiff_whose_zero_is_white(values):
    data = bytearray(encoded(values, "TIFF"))
    tag = data.index(struct.pack("<HHI", 262, 3, 1))
    data[tag + 8] = 0
    assert np.array_equal(pixels(bytes(data))[:, :, 0], 255 - GREY8)


def test_transparent_parts_lie_on_white():
    drawing = np.zeros((3, 3, 4), np.uint8)
    drawing[0, 0], drawing[1, 1] = (200, 0, 0, 255), (0, 0, 0, 128)
    for kind in ("PNG", "TIFF", "TGA", "JPEG2000", "QOI"):
        found = pixels(encoded(drawing, kind))
        assert found[0, 0].tolist() == [200, 0, 0], kind
        assert found[1, 1].tolist() == [127] * 3, kind
        assert (found[2] == 255).all(), kind
    for mode in ("LA", "PA"):
        found = pixels(encoded(Image.fromarray(drawing).convert(mode), "TIFF"))
        assert found[0, 0].max() < 255, mode
        assert (found[2] == 255).all(), mode


def test_one_colour_or_palette_entry_may_be_transparent():
    grey = png(8, 0, GREY8, 16, struct.pack(">H", int(GREY8[3, 3])))
    deep = png(16, 0, GREY16.astype(">u2"), 16, struct.pack(">H", int(GREY16[3, 3])))
    colours = np.stack([GREY16, GREY16.T, GREY16[::-1]], axis=2)
    colour = png(16, 2, colours.astype(">u2"), 16, struct.pack(">HHH", *colours[3, 3].tolist()))
    for data in (grey, deep, colour):
        found = pixels(data)
        assert found[3, 3].tolist() == [255] * 3
        assert (found == 255).all(axis=2).sum() <= 2  # and where the image is white itself
    palette = Image.fromarray(GREY8 % 4)
    palette.putpalette([9, 9, 9, 50, 60, 70, 1, 2, 3, 200, 0, 0])
    for transparency in (1, bytes([255, 0, 255, 255])):
        found = pixels(encoded(palette, transparency=transparency))
        assert found[0, :4].tolist() == [[9, 9, 9], [255] * 3, [1, 2, 3], [200, 0, 0]]


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "TIFF"), ("YCbCr", "TIFF"), ("LAB", "TIFF"), ("CMYK", "JPEG")])
def test_other_colour_spaces_become_rgb(mode, kind):
    colours = np.random.default_rng(0).integers(0, 256, (2, 2, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    image = Image.fromarray(colours)
    if mode == "LAB":
        spaces = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.buildTransform(*spaces, "RGB", "LAB").point(image)
    else:
        image = image.convert(mode)
    assert np.abs(pixels(encoded(image, kind)).astype(int) - colours).mean() < 4


def test_bits_and_palettes():
    bits = np.eye(8, dtype=bool)
    assert np.array_equal(pixels(encoded(Image.fromarray(bits)))[:, :, 0], 255 * bits)
    colours = Image.new("RGB", (2, 1), (9, 8, 7)).quantize(4)
    assert pixels(encoded(colours, "GIF")).tolist() == [[[9, 8, 7]] * 2]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP"])
def test_the_first_frame_counts(kind):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("#ff0000", "#0000ff")]
    found = pixels(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert np.abs(found.astype(int) - (255, 0, 0)).max() <= 1


WHOLE = encoded(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8), "JPEG")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty"),
        (b"\n <!DOCTYPE html><html>", "a web page"),
        (b'<?xml version="1.0"?><svg/>', "markup"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
        (b"no image", "no format that Pillow reads"),
        (WHOLE[:500], "Truncated|truncated"),
        (WHOLE[:20], "no format"),
        (encoded(GREY8)[:50], "truncated"),
    ],
    ids=["empty", "html", "svg", "lfs", "text", "half a JPEG", "a JPEG's first bytes", "half a PNG"],
)
def test_why_a_file_is_unreadable(data, said):
    with pytest.raises(UnreadableError, match=said):
        decode(data)


def test_too_many_pixels_are_refused():
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(UnreadableError, match="400000000 pixels"):
        decode(bomb)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "ICO", "PPM", "TGA"])
def test_mutated_files_are_read_or_unreadable_and_nothing_else(kind):
    whole = encoded(QUADRANTS, kind)
    rng = np.random.default_rng(0)
    for _ in range(40):
        data = np.frombuffer(whole, np.uint8).copy()
        places = rng.integers(0, len(data), 4)
        data[places] = rng.integers(0, 256, 4)
        try:
            found = decode(data.tobytes()[: rng.integers(1, len(data) + 1)])
        except UnreadableError as error:
            assert str(error)  # noqa: PT017 - either outcome is right
        else:
            assert found.shape[0] == 3

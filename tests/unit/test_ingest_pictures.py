"""Pictures other than TIFFs that Pillow mistakes, or does not know."""

from __future__ import annotations

import io
import struct
import sys

import numpy as np
import pytest
from PIL import Image

from lowmem_jobs.ingest.framing import Framing
from lowmem_jobs.ingest.image_decoder import Decoder
from lowmem_jobs.ingest.jpegxl import orientation_of_jpegxl, size_of_jpegxl
from lowmem_jobs.ingest.unreadable import UnreadableError
from tests.corpus.fits import fits, header, padded
from tests.corpus.png import GREY, GREY_ALPHA, RGB, RGBA, png

UNIT = np.linspace(0, 1, 256).reshape(16, 16)
DECODER = Decoder(Framing(size=16, crop="none"))


def decode(data):
    return np.asarray(DECODER.image(data)).astype(float)


# --- PNG with a clear colour


@pytest.mark.parametrize("is_interlaced", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_clear_grey_of_a_png_is_white_and_its_neighbours_are_not(
    depth, is_interlaced
):
    white = 2**depth - 1
    samples = np.rint(UNIT * white).astype(int)[..., None]
    for clear in {0, 1, white // 2, int(samples[5, 5, 0]), white}:
        data = png(samples, depth, GREY, clear=[clear], is_interlaced=is_interlaced)
        right = np.where(samples == clear, 255, samples * 255 / white)
        assert np.abs(decode(data) - right).max() <= 0.51


@pytest.mark.parametrize("is_interlaced", [False, True])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_clear_colour_of_a_png_is_white_only_where_all_of_it_is(depth, is_interlaced):
    white = 2**depth - 1
    samples = np.stack([np.rint(np.roll(UNIT, 3 * n) * white) for n in range(3)], -1)
    samples = samples.astype(int)
    clear = samples[4, 4].copy()
    # Equal in the upper bytes alone, and in the lower ones alone.
    samples[0, 0] = clear ^ 1
    samples[0, 1] = clear ^ (1 << (depth - 1))
    samples[9] = clear
    data = png(samples, depth, RGB, clear=clear, is_interlaced=is_interlaced)
    is_clear = (samples == clear).all(-1, keepdims=True)
    assert is_clear.sum() >= 17
    right = np.where(is_clear, 255, samples * 255 / white)
    assert np.abs(decode(data) - right).max() <= 1


def test_of_a_clear_colour_only_the_bits_of_the_depth_count():
    grey = np.full((16, 16, 1), 2)
    for depth in (2, 4, 8):
        assert decode(png(grey, depth, GREY, clear=[2 + 2**depth])).min() == 255
    colour = np.full((16, 16, 3), 9)
    assert decode(png(colour, 8, RGB, clear=[265, 9, 521])).min() == 255


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("colour", [GREY_ALPHA, RGBA])
def test_alpha_of_a_png_is_composited_over_white(depth, colour):
    white = 2**depth - 1
    n_channels = 2 if colour == GREY_ALPHA else 4
    samples = np.zeros((16, 16, n_channels), int)
    samples[..., -1] = np.rint(UNIT * white)
    right = 255 * (1 - samples[..., -1:] / white)
    assert np.abs(decode(png(samples, depth, colour)) - right).max() <= 1


@pytest.mark.parametrize(("kind", "n_channels"), [(GREY_ALPHA, 2), (RGBA, 4)])
@pytest.mark.parametrize(("depth", "at_most"), [(8, 1.01), (16, 2.51)])
def test_alpha_of_a_png_is_composited_within_what_is_written(
    kind, n_channels, depth, at_most
):
    full = 2**depth - 1
    samples = np.random.default_rng(2).integers(0, full + 1, (16, 16, n_channels))
    colours, alpha = samples[..., :-1] / full, samples[..., -1:] / full
    right = (colours * alpha + 1 - alpha) * 255
    # Half of one is the rounding to the nearest.
    assert np.abs(decode(png(samples, depth, kind)) - right).max() <= at_most


# --- FITS

BYTES = np.rint(UNIT * 255).astype(int)
WORDS = np.rint(UNIT * 65535).astype(int)
RIGHT_FITS = {
    "bytes": (fits(BYTES, 8), UNIT),
    "unsigned words": (fits(WORDS - 2**15, 16, BZERO=2**15), UNIT),
    "unsigned words, BSCALE": (
        fits(WORDS - 2**15, 16, BZERO="32768.0", BSCALE="1.0"),
        UNIT,
    ),
    "unsigned long words": (fits(WORDS - 2**31, 32, BZERO=2**31), UNIT),
    "long words": (fits(WORDS, 32), UNIT),
    "floats": (fits(UNIT, -32), UNIT),
    "doubles": (fits(UNIT, -64), UNIT),
    "scaled words": (fits(UNIT * 10000, 16, BSCALE="1.0D-4"), UNIT),
    "scaled and moved": (
        fits(UNIT * 20000 - 10000, 16, BSCALE="5E-5", BZERO=0.5),
        UNIT,
    ),
    "inverted": (fits(BYTES, 8, BSCALE=-1 / 255, BZERO=1), 1 - UNIT),
    "one plane": (fits(BYTES[None], 8), UNIT),
    "blank, and none is": (fits(WORDS // 2, 32, BLANK=-1), WORDS // 2 / 65535),
    "in an extension": (
        header({"SIMPLE": "T", "BITPIX": 8, "NAXIS": 0})
        + b"XTENSION= 'IMAGE   '".ljust(80)
        + fits(BYTES, 8, PCOUNT=0)[80:],
        UNIT,
    ),
    "after a table": (
        header({"SIMPLE": "T", "BITPIX": 8, "NAXIS": 0})
        + b"XTENSION= 'BINTABLE'".ljust(80)
        + header({"BITPIX": 8, "NAXIS": 2, "NAXIS1": 100, "NAXIS2": 40, "PCOUNT": 0})[
            :2800
        ]
        + padded(bytes(4000))
        + b"XTENSION= 'IMAGE   '".ljust(80)
        + fits(BYTES, 8, PCOUNT=0)[80:],
        UNIT,
    ),
}


@pytest.mark.parametrize("name", RIGHT_FITS)
def test_a_fits_shows_its_physical_values_with_the_first_row_below(name):
    data, right = RIGHT_FITS[name]
    assert np.abs(decode(data) - right[..., None] * 255).max() <= 0.51


def test_three_planes_of_a_fits_are_red_green_and_blue():
    planes = np.stack([np.roll(BYTES, n) for n in range(3)])
    np.testing.assert_array_equal(decode(fits(planes, 8)), planes.transpose(1, 2, 0))


REFUSED_FITS = {
    "signed words": (fits(BYTES, 16), "no known white"),
    "signed bytes": (fits(BYTES, 8, BZERO=-128), "no known white"),
    "floats beyond": (fits(UNIT * 2, -32), "no known white"),
    "not a number": (fits(UNIT / np.where(UNIT > 0, 1, np.nan), -32), "no known white"),
    "undefined": (fits(WORDS - 2**15, 16, BZERO=2**15, BLANK=-(2**15)), "undefined"),
    "a cube": (fits(np.zeros((5, 16, 16)), 8), "16 x 16 x 5 values"),
    "a spectrum": (fits(np.zeros((1, 16)), 8, NAXIS=1), "16 values"),
    "compressed": (fits(BYTES, 8, ZIMAGE="T"), "compressed"),
    "cut short": (fits(BYTES, 8)[:2900], "cut short"),
    "no end": (fits(BYTES, 8)[:800], "cut short"),
    "no picture": (header({"SIMPLE": "T", "BITPIX": 8, "NAXIS": 0}), "no picture"),
    "no number": (fits(BYTES, 8, BZERO="'much'"), "BZERO"),
    "bits": (fits(BYTES, 8).replace(b"  8 /", b" 12 /"), "12 bits"),
}


@pytest.mark.parametrize("name", REFUSED_FITS)
def test_a_fits_of_which_no_white_is_known_is_refused(name):
    data, reason = REFUSED_FITS[name]
    with pytest.raises(UnreadableError, match=reason):
        decode(data)


# --- JPEG 2000


@pytest.mark.parametrize("form", ["jp2", "j2k"])
@pytest.mark.parametrize("bits", [8, 9, 10, 12, 14, 16])
@pytest.mark.parametrize("n_channels", [1, 2, 3, 4])
def test_a_jpeg_2000_of_any_depth_keeps_its_white(n_channels, bits, form):
    imagecodecs = pytest.importorskip("imagecodecs", reason="it writes them")
    white = 2**bits - 1
    unit = np.stack([np.roll(UNIT, 5 * n) for n in range(n_channels)], -1)
    samples = np.rint(unit * white).astype(np.uint16 if bits > 8 else np.uint8)
    colours = samples
    if n_channels in {2, 4}:
        samples[..., -1] = white
        colours = samples[..., :-1]
    data = imagecodecs.jpeg2k_encode(
        samples.squeeze(),
        level=0,
        reversible=True,
        bitspersample=bits,
        codecformat=form,
        mct=False,
    )
    assert np.abs(decode(data) - colours / white * 255).max() <= 1


def test_without_the_extra_a_deep_jpeg_2000_is_named(monkeypatch):
    imagecodecs = pytest.importorskip("imagecodecs", reason="it writes them")
    data = imagecodecs.jpeg2k_encode(np.zeros((16, 16, 3), np.uint16), level=0)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(
        UnreadableError, match=r"JPEG 2000 of 3 x 16 bits.*lowmem\[jpeg2000\]"
    ):
        decode(data)


# --- HEIC and JPEG XL


def smooth():
    y, x = np.mgrid[:64, :96]
    return np.stack([x * 255 / 95, y * 255 / 63, (x + y) * 255 / 158], -1).astype(
        np.uint8
    )


def heic(pixels, **options: object):
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra heif")
    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(stream, quality=95, **options)
    return stream.getvalue()


def test_with_its_extra_heic_is_read():
    right = Image.fromarray(smooth()).resize((16, 16), Image.Resampling.LANCZOS)
    assert np.abs(decode(heic(smooth())) - np.asarray(right)).max() <= 6


def test_a_heic_that_is_damaged_is_refused():
    data = heic(smooth())
    with pytest.raises(UnreadableError):
        decode(data[: len(data) // 2])
    with pytest.raises(UnreadableError, match="damaged HEIF"):
        decode(data[:24] + bytes(300))


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"msf1"])
def test_without_its_extra_heic_is_named(monkeypatch, brand):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    data = struct.pack(">I4s4sI4s", 20, b"ftyp", brand, 0, b"heic") + bytes(300)
    with pytest.raises(UnreadableError, match=r"^HEIC: read with .*lowmem\[heif\]"):
        decode(data)


def test_avif_stays_with_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    stream = io.BytesIO()
    Image.fromarray(smooth()).save(stream, "AVIF", quality=100)
    right = Image.fromarray(smooth()).resize((16, 16), Image.Resampling.LANCZOS)
    assert np.abs(decode(stream.getvalue()) - np.asarray(right)).max() <= 6


def jpegxl(samples, **options: object):
    pytest.importorskip("pillow_jxl", reason="the extra jxl")
    imagecodecs = pytest.importorskip("imagecodecs", reason="it writes them")
    return imagecodecs.jpegxl_encode(samples, lossless=True, **options)


@pytest.mark.parametrize("is_boxed", [False, True])
@pytest.mark.parametrize("kind", ["u1", "u2"])
@pytest.mark.parametrize("n_channels", [1, 3, 4])
def test_with_its_extra_jpeg_xl_is_read(n_channels, kind, is_boxed):
    white = 255 if kind == "u1" else 65535
    unit = np.stack([np.roll(UNIT, 5 * n) for n in range(n_channels)], -1)
    if n_channels == 4:
        unit[..., 3] = 1
    samples = np.rint(unit * white).astype(kind)
    data = jpegxl(samples.squeeze(), usecontainer=is_boxed)
    # Of 16 bits it is always in boxes.
    assert data.startswith(b"\xff\x0a") is (kind == "u1" and not is_boxed)
    assert np.abs(decode(data) - unit[..., :3] * 255).max() <= 1


SIZES = [
    (1, 1),
    (8, 8),
    (256, 16),
    (257, 255),
    (300, 200),
    (640, 480),
    (1920, 1080),
    (3, 999),
]


@pytest.mark.parametrize("size", SIZES)
def test_the_size_of_a_jpeg_xl_is_known_before_it_is_decoded(size):
    data = jpegxl(np.zeros((size[1], size[0], 3), np.uint8))
    assert size_of_jpegxl(data) == size


def test_a_jpeg_xl_of_more_pixels_than_the_limit_is_not_decoded(monkeypatch):
    data = jpegxl(np.zeros((16, 16, 3), np.uint8))
    monkeypatch.setattr("lowmem_jobs.ingest.image_decoder.MAX_PIXELS", 255)
    monkeypatch.setattr("lowmem_jobs.ingest.signatures._by_plugin", None)
    with pytest.raises(UnreadableError, match="256 pixels, more than 255"):
        decode(data)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_xl_made_of_a_turned_jpeg_is_upright(tmp_path, orientation):
    """As `cjxl` makes one unless it is told otherwise; libjxl itself turns it."""
    pytest.importorskip("pillow_jxl", reason="the extra jxl")
    imagecodecs = pytest.importorskip("imagecodecs", reason="it reads them")
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8, :8], pixels[:8, 8:], pixels[8:, :8] = 250, (250, 0, 0), (0, 250, 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    jpeg, made = tmp_path / "a.jpg", tmp_path / "a.jxl"
    Image.fromarray(pixels).save(jpeg, quality=95, subsampling=0, exif=exif)
    with Image.open(jpeg) as image:
        image.save(made, lossless_jpeg=True)
    data = made.read_bytes()
    assert b"jbrd" in data
    assert orientation_of_jpegxl(data) == orientation
    right = imagecodecs.jpegxl_decode(data).astype(float)
    assert np.abs(decode(data) - right).max() <= 4


def test_an_xbm_is_refused_since_it_does_not_say_what_its_ones_are():
    stream = io.BytesIO()
    Image.new("1", (16, 16)).save(stream, "XBM")
    with pytest.raises(UnreadableError, match=r"^XBM: .*programs disagree"):
        decode(stream.getvalue())


@pytest.mark.parametrize("head", [b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"])
def test_without_its_extra_jpeg_xl_is_named(monkeypatch, head):
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    with pytest.raises(UnreadableError, match=r"^JPEG XL: read with .*lowmem\[jxl\]"):
        decode(head + bytes(100))


@pytest.mark.parametrize("head", [b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"])
def test_a_jpeg_xl_without_a_picture_is_refused(head):
    pytest.importorskip("pillow_jxl", reason="the extra jxl")
    with pytest.raises(UnreadableError):
        decode(head + bytes(100))


@pytest.mark.slow
def test_cut_and_altered_pictures_of_all_these_kinds_are_decoded_or_refused():
    random = np.random.default_rng(0)
    samples = np.rint(UNIT * 65535).astype(int)[..., None].repeat(3, -1)
    kinds = [
        png(samples, 16, RGB, clear=samples[4, 4]),
        png(samples[..., :1], 16, GREY, clear=[1234]),
        fits(WORDS - 2**15, 16, BZERO=2**15),
        heic(smooth()),
        jpegxl(samples.astype(np.uint16)),
        jpegxl(samples.astype(np.uint16), usecontainer=True),
    ]
    outcomes = set()
    for data in kinds:
        cases = [data[: len(data) * part // 8] for part in range(8)]
        for _ in range(60):
            altered = bytearray(data)
            for place in random.integers(0, min(len(data), 400), 3):
                altered[place] ^= 1 << random.integers(8)
            cases.append(bytes(altered))
        for one in cases:
            try:
                outcomes.add(str(decode(one).shape))
            except UnreadableError as error:
                outcomes.add(str(error))
    assert "(16, 16, 3)" in outcomes
    assert len(outcomes) > 10

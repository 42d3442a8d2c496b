"""TIFFs of every layout against samples that are known before they are written."""

from __future__ import annotations

import io
import itertools
import struct
import sys
import tracemalloc
import zlib

import numpy as np
import pytest

from lowmem_jobs.ingest.bit_depth import bytes_from_samples
from lowmem_jobs.ingest.framing import Framing
from lowmem_jobs.ingest.image_decoder import Decoder
from lowmem_jobs.ingest.unreadable import UnreadableError
from tests.corpus.tiff import (
    BLACK_0,
    CMYK,
    DEFLATE,
    LAB,
    LZW,
    NONE,
    PACKBITS,
    PALETTE,
    RGB,
    WHITE_0,
    YCBCR,
    ZSTD,
    container,
    tiff,
)

DECODER = Decoder(Framing(size=16, crop="none"))
# From black to white, differing in each row.
UNIT = np.linspace(0, 1, 256).reshape(16, 16)
CHANNELS = {WHITE_0: 1, BLACK_0: 1, RGB: 3, PALETTE: 1, CMYK: 4}
FLOATS = {16: "f2", 32: "f4", 64: "f8"}
BITS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)


def decode(data):
    return np.asarray(DECODER.image(data)).astype(float)


def channels(n_channels):
    return np.stack([np.roll(UNIT, 5 * n, axis=1) for n in range(n_channels)], -1)


def case(bits, kind, photometric, **layout):
    """Return a file, and what it shows, from 0 to 1."""
    unit = channels(CHANNELS[photometric])
    tags = []
    if kind == "float":
        samples = unit.astype(FLOATS[bits])
        seen = samples.astype(float)
    else:
        white = 2**bits - 1 if bits <= 16 else 2**16 - 1
        samples = np.rint(unit * white).astype(np.int64)
        seen = samples / white
    if photometric == PALETTE:
        colours = np.random.default_rng(0).integers(0, 2**16, (3, 2**bits))
        tags = [(320, 3, colours.ravel().tolist())]
        shown = colours.T[samples[..., 0]] / (2**16 - 1)
    elif photometric == CMYK:
        shown = (1 - seen[..., :3]) * (1 - seen[..., 3:])
    else:
        shown = np.broadcast_to(
            1 - seen if photometric == WHITE_0 else seen, (16, 16, 3)
        )
    data = tiff(
        samples, bits=bits, kind=kind, photometric=photometric, tags=tags, **layout
    )
    return data, shown


def layouts(bits, kind, photometric):
    """Yield every way in which such samples can lie in a file."""
    planes = (1, 2) if CHANNELS[photometric] > 1 else (1,)
    predictors = (1, 3) if kind == "float" else (1, 2) if bits in {8, 16, 32} else (1,)
    for order, planar, compression, predictor, fill_order, rows in itertools.product(
        "<>",
        planes,
        (NONE, LZW, DEFLATE, PACKBITS, ZSTD),
        predictors,
        (1, 2),
        (None, 5),
    ):
        if predictor > 1 and (compression in {NONE, PACKBITS} or fill_order > 1):
            continue
        if fill_order > 1 and bits not in {1, 8, 16}:
            continue
        yield {
            "order": order,
            "planar": planar,
            "compression": compression,
            "predictor": predictor,
            "fill_order": fill_order,
            "rows": rows,
        }


KINDS = [
    *(("uint", bits) for bits in BITS),
    *(("float", bits) for bits in FLOATS),
]


@pytest.mark.slow
@pytest.mark.parametrize("photometric", CHANNELS)
@pytest.mark.parametrize(("kind", "bits"), KINDS)
def test_a_tiff_of_any_bits_colours_and_packing_shows_its_samples(
    kind, bits, photometric
):
    pytest.importorskip("tifffile", reason="the extra tiff is not installed")
    pytest.importorskip("imagecodecs", reason="the extra tiff is not installed")
    if photometric == PALETTE and kind == "float":
        return
    n_cases = 0
    for layout in layouts(bits, kind, photometric):
        data, shown = case(bits, kind, photometric, **layout)
        # Inks are multiplied after they are brought to eight bits: each may be off by one.
        allowed = 2.01 if photometric == CMYK else 1.01
        assert np.abs(decode(data) - shown * 255).max() <= allowed, layout
        n_cases += 1
    assert n_cases >= 20


@pytest.mark.parametrize("photometric", [BLACK_0, WHITE_0, RGB])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_of_signed_samples_has_no_known_white_and_is_refused(bits, photometric):
    pytest.importorskip("imagecodecs", reason="the extra tiff is not installed")
    for layout in layouts(bits, "int", photometric):
        samples = np.rint(channels(CHANNELS[photometric]) * (2 ** (bits - 1) - 1))
        data = tiff(
            samples.astype(int),
            bits=bits,
            kind="int",
            photometric=photometric,
            **layout,
        )
        with pytest.raises(UnreadableError, match="no known white"):
            decode(data)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [NONE, LZW, DEFLATE])
@pytest.mark.parametrize("kind", ["uint", "int"])
def test_thirty_two_bits_are_taken_for_sixteen_in_any_byte_order(
    order, compression, kind
):
    pytest.importorskip("imagecodecs", reason="the extra tiff is not installed")
    samples = np.rint(UNIT[..., None] * 65535).astype(np.int64)
    data = tiff(samples, bits=32, kind=kind, order=order, compression=compression)
    assert np.abs(decode(data) - UNIT[..., None] * 255).max() <= 1
    with pytest.raises(UnreadableError, match="beyond 16 bits"):
        decode(tiff(samples * 3, bits=32, kind=kind, order=order))


def with_extra(kind, samples, **layout):
    return tiff(samples, tags=((338, 3, [kind]),), **layout)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("kind", "right"), [(2, 204), (1, 204), (0, 0)])
def test_alpha_of_a_tiff_is_composited_over_white_and_other_extras_are_not(
    bits, planar, order, kind, right
):
    pytest.importorskip("imagecodecs", reason="the extra tiff is not installed")
    samples = np.zeros((16, 16, 4), int)
    samples[..., 3] = round((2**bits - 1) / 5)
    data = with_extra(
        kind, samples, bits=bits, photometric=RGB, planar=planar, order=order
    )
    assert np.abs(decode(data) - right).max() <= 1


def test_a_colour_map_of_eight_bits_is_not_taken_for_nearly_black():
    pytest.importorskip("imagecodecs", reason="the extra tiff is not installed")
    samples = np.arange(256).reshape(16, 16, 1)
    for factor in (1, 257):
        colours = [value * factor for value in range(256)] * 3
        data = tiff(samples, bits=8, photometric=PALETTE, tags=((320, 3, colours),))
        assert np.abs(decode(data)[..., 0] - samples[..., 0]).max() <= 1


def page(samples, photometric, bits=8, **tags: int):
    """Return strips and tags of one page; tags by their numbers, as `t254=1`."""
    height, width, n_samples = samples.shape
    entries = [
        (256, 4, [width]),
        (257, 4, [height]),
        (258, 3, [bits] * n_samples),
        (259, 3, [1]),
        (262, 3, [photometric]),
        (277, 3, [n_samples]),
        (278, 4, [height]),
    ]
    more = [(int(name[1:]), 4, [value]) for name, value in tags.items()]
    form = "<u2" if bits == 16 else "u1"
    return ([samples.astype(form).tobytes()], entries + more)


PREVIEW = np.full((4, 4, 3), 90)
SENSOR = np.full((16, 16, 1), 1000)
RAMP_16 = np.rint(UNIT * 65535)[..., None]
MAKER = (271, 2, b"NIKON CORPORATION\0")


@pytest.mark.parametrize("photometric", [32803, 34892])
def test_camera_raw_is_named_and_its_preview_never_taken(photometric):
    preview, sensor = page(PREVIEW, RGB, t254=1), page(SENSOR, photometric, 16)
    plain = page(PREVIEW, RGB)
    dng = (plain[0], [*plain[1], (50706, 1, b"\1\4\0\0")])
    named = (preview[0], [*preview[1], MAKER])
    cr2 = bytearray(container([plain]))
    cr2[8:12] = b"CR\2\0"
    files = [
        container([preview], sub_pages=[sensor]),
        container([plain], sub_pages=[sensor]),
        container([preview, sensor]),
        container([sensor]),
        container([dng]),
        container([named], sub_pages=[page(SENSOR, BLACK_0, 16)]),
        bytes(cr2),
    ]
    for data in files:
        with pytest.raises(UnreadableError, match="camera raw"):
            decode(data)


@pytest.mark.parametrize(
    "head",
    [
        b"IIRO",
        b"IIU\0",
        b"FUJIFILMCCD-RAW 0201",
        b"\0MRM",
        b"FOVb",
        b"\0\0\0\x18ftypcrx ",
    ],
)
def test_camera_raw_that_is_no_tiff_is_named_too(head):
    with pytest.raises(UnreadableError, match="camera raw"):
        decode(head + bytes(200))


def test_a_reduced_copy_or_a_mask_before_the_picture_is_not_taken_for_it():
    pytest.importorskip("imagecodecs", reason="the extra tiff is not installed")
    whole = page(RAMP_16, BLACK_0, 16)
    for tags in ({"t254": 1}, {"t254": 4}, {"t255": 2}):
        small = page(PREVIEW, RGB, **tags)
        for data in (container([small, whole]), container([small], sub_pages=[whole])):
            assert np.abs(decode(data)[..., 0] - UNIT * 255).max() <= 1
        with pytest.raises(UnreadableError, match="reduced copies or masks"):
            decode(container([small]))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once_in_deep_tiffs_too(orientation):
    pytest.importorskip("imagecodecs", reason="the extra tiff is not installed")
    tags = ((274, 3, [orientation]),)
    grey = np.rint(UNIT * 255)[..., None].astype(int)
    plain = tiff(grey, bits=8, tags=tags)
    deep = tiff(65535 - grey * 257, bits=16, photometric=WHITE_0, tags=tags)
    np.testing.assert_array_equal(decode(deep), decode(plain))


UNKNOWN = {
    "two greys": tiff(np.zeros((4, 4, 2), int), bits=12),
    "five inks": tiff(
        np.zeros((4, 4, 4), int), bits=8, photometric=CMYK, tags=((332, 3, [2]),)
    ),
    "Lab of 16 bits": tiff(np.zeros((4, 4, 3), int), bits=16, photometric=LAB),
    "YCbCr without JPEG": tiff(np.zeros((4, 4, 3), int), bits=8, photometric=YCBCR),
    "no photometric": container([([bytes(16)], page(SENSOR[:4, :4], 1)[1][:4])]),
    "a strip that is not stored": container([([b""], page(RAMP_16, 0, 16)[1])]),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_tiff_of_which_it_is_not_known_what_it_shows_is_refused(name):
    with pytest.raises(UnreadableError):
        decode(UNKNOWN[name])


def test_without_the_extra_the_reason_names_the_layout_and_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    data, _ = case(12, "uint", WHITE_0)
    with pytest.raises(UnreadableError) as caught:
        decode(data)
    assert str(caught.value) == (
        "TIFF (12 bits unsigned, grey, white is 0): read with pip install 'lowmem[tiff]'"
    )


def test_what_pillow_reads_right_needs_no_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tifffile", None)
    for bits, photometric in ((1, WHITE_0), (8, WHITE_0), (16, BLACK_0), (16, RGB)):
        data, shown = case(bits, "uint", photometric, compression=LZW)
        assert np.abs(decode(data) - shown * 255).max() <= 1


@pytest.mark.slow
def test_a_cut_or_altered_tiff_is_decoded_or_refused_and_nothing_else_happens():
    random = np.random.default_rng(0)
    refused = decoded = 0
    for bits, kind, photometric in (
        (12, "uint", BLACK_0),
        (16, "uint", WHITE_0),
        (64, "float", RGB),
        (8, "uint", PALETTE),
    ):
        for compression in (NONE, LZW, DEFLATE):
            data, _ = case(bits, kind, photometric, compression=compression)
            cases = [data[: len(data) * part // 8] for part in range(8)]
            for _ in range(60):
                altered = bytearray(data)
                for place in random.integers(len(data) - 220, len(data), 3):
                    altered[place] ^= 1 << random.integers(8)
                cases.append(bytes(altered))
            for one in cases:
                try:
                    assert decode(one).shape == (16, 16, 3)
                    decoded += 1
                except UnreadableError:
                    refused += 1
    assert refused > 100
    assert decoded > 100


def test_a_tiff_cut_short_is_never_filled_up_with_black():
    pytest.importorskip("imagecodecs", reason="the extra tiff is not installed")
    samples = np.full((16, 16, 1), 4095)
    for compression in (NONE, DEFLATE, LZW, PACKBITS):
        data = bytearray(tiff(samples, bits=12, compression=compression))
        # The strip is said to be shorter than it is.
        n_bytes = struct.pack("<HHI", 279, 4, 1)
        place = data.index(n_bytes) + 8
        (stored,) = struct.unpack_from("<I", data, place)
        struct.pack_into("<I", data, place, stored // 2)
        with pytest.raises(UnreadableError):
            decode(bytes(data))


def test_a_strip_that_unfolds_without_measure_is_bounded():
    pytest.importorskip("imagecodecs", reason="the extra tiff is not installed")
    import tracemalloc

    bomb = zlib.compress(bytes(2**26))
    entries = page(np.zeros((16, 16, 1)), WHITE_0, 16)[1]
    entries[3] = (259, 3, [DEFLATE])
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableError):
            decode(container([([bomb], entries)]))
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_a_deep_tiff_of_more_pixels_than_the_limit_is_not_decoded():
    pytest.importorskip("imagecodecs", reason="the extra tiff is not installed")
    entries = page(np.zeros((16, 16, 1)), WHITE_0, 16)[1]
    entries[0], entries[1] = (256, 4, [2**17]), (257, 4, [2**17])
    with pytest.raises(UnreadableError, match="more than 67108864"):
        decode(container([([bytes(512)], entries)]))


@pytest.mark.memory
@pytest.mark.parametrize(("dtype", "bits"), [("u2", 16), ("u4", 32), ("f4", 32)])
def test_deep_samples_are_converted_within_a_few_rows_beside_their_result(dtype, bits):
    samples = np.zeros((4000, 1000), dtype)
    tracemalloc.start()
    bytes_from_samples(samples, bits)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 2 * samples.size


# --- what tifffile writes and GDAL's types are


def written(samples, **options):
    tifffile = pytest.importorskip("tifffile", reason="it writes them")
    stream = io.BytesIO()
    tifffile.imwrite(stream, samples, **options)
    return stream.getvalue()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("bits", "form"), [(32, 5), (64, 5), (64, 6)])
def test_complex_numbers_are_no_picture_whatever_they_are_made_of(bits, form, order):
    """As GDAL writes CInt16, CInt32, CFloat32: two numbers a pixel, one sample."""
    strip = struct.pack(f"{order}{'if'[form - 5]}", 200) * (256 * bits // 32)
    tags = [(256, 4, [16]), (257, 4, [16]), (258, 3, [bits]), (259, 3, [NONE])]
    tags += [(262, 3, [BLACK_0]), (277, 3, [1]), (278, 4, [16]), (339, 3, [form])]
    with pytest.raises(UnreadableError, match=r"^TIFF of complex numbers"):
        decode(container([([strip], tags)], order))


def test_a_volume_of_eight_bits_is_refused_as_one_of_any_bits():
    volume = np.zeros((16, 16, 16), np.uint8)
    with pytest.raises(UnreadableError, match="volume"):
        decode(written(volume, volumetric=True, tile=(16, 16, 16)))


def test_webp_in_a_tiff_goes_to_the_library_that_knows_it():
    pixels = np.rint(channels(3) * 255).astype(np.uint8)
    data = written(
        pixels,
        compression="webp",
        compressionargs={"lossless": True},
        photometric="rgb",
    )
    assert np.abs(decode(data) - pixels).max() <= 1


def test_a_palette_of_four_bits_may_have_alpha():
    """As ImageMagick writes it; both samples have the bits of the palette."""
    numbers = np.arange(256).reshape(16, 16) % 16
    alpha = np.where(numbers % 3 == 0, 0, 15)
    colours = np.arange(48).reshape(3, 16) * 1365
    data = tiff(
        np.stack([numbers, alpha], -1), bits=4, photometric=PALETTE,
        tags=[(320, 3, colours.ravel().tolist()), (338, 3, [2])],
    )  # fmt: skip
    right = colours.T[numbers] / 257
    right[alpha == 0] = 255
    assert np.abs(decode(data) - right).max() <= 1

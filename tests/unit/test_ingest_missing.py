"""Whole files in which pixels are missing are refused, and no whole picture is."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from lowmem_jobs.ingest.framing import Framing
from lowmem_jobs.ingest.image_decoder import Decoder
from lowmem_jobs.ingest.job import JOB
from lowmem_jobs.ingest.jpeg_truncation import code_ends
from lowmem_jobs.ingest.unreadable import CUT_SHORT, UnreadableError
from tests.corpus import jpeg as blocks
from tests.corpus.png import GREY, GREY_ALPHA, PALETTE, RGB, RGBA, chunk, png
from tests.corpus.tiff import container
from tests.driver import drive

SIZE = 40
DECODER = Decoder(Framing(size=SIZE, crop="none"))
KINDS = {
    "baseline": {},
    "optimised": {"optimize": True},
    "progressive": {"progressive": True},
    "restart marks": {"restart_marker_rows": 1},
    "progressive, restart marks": {"progressive": True, "restart_marker_blocks": 5},
    "colours of full size": {"subsampling": 0},
}
END = b"\xff\xd9"


def texture(width, height, n=3):
    """Return noise over slopes: every block has code of its own."""
    noise = np.random.default_rng(width).integers(0, 60, (height, width, n))
    slope = np.add.outer(np.arange(height), np.arange(width))[..., None] % 190
    return (noise + slope).astype(np.uint8)


def encoded(form, image=None, **options):
    stream = BytesIO()
    image = Image.fromarray(texture(120, 90)) if image is None else image
    image.save(stream, form, **options)
    return stream.getvalue()


def reason(data):
    with pytest.raises(UnreadableError) as caught:
        DECODER.image(data)
    return str(caught.value)


# --- JPEG


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (17, 9), (64, 64), (300, 150)])
def test_a_whole_jpeg_is_what_it_is_without_any_check(mode, kind, size):
    n = {"L": 1, "RGB": 3, "CMYK": 4}[mode]
    pictures = [texture(*size, n), np.full((*size[::-1], n), 128, np.uint8)]
    for pixels in pictures:
        image = Image.frombytes(mode, size, pixels.tobytes())
        for quality in (20, 75, 96):
            data = encoded("JPEG", image, quality=quality, **KINDS[kind])
            trusted = DECODER.image(data, is_cut_short=True)
            assert DECODER.image(data).tobytes() == trusted.tobytes()


@pytest.mark.parametrize("kind", [name for name in KINDS if "progressive" not in name])
@pytest.mark.parametrize("part", [0, 1 / 4, 1 / 2, 3 / 4])
def test_a_jpeg_of_which_code_is_missing_before_its_end_mark_is_cut_short(kind, part):
    data = encoded("JPEG", **KINDS[kind])
    ends = list(code_ends(data))
    start = data.index(b"\xff\xda") + 14
    kept = data[: start + int((ends[-1] - start) * part)].rstrip(b"\xff")
    assert reason(kept + END) == CUT_SHORT
    # It is decoded where that is asked for: the end mark is not asked for again.
    assert DECODER.image(kept + END, is_cut_short=True).size == (SIZE, SIZE)


def test_half_of_any_scan_of_a_jpeg_is_missed():
    data = encoded("JPEG", progressive=True)
    ends = list(code_ends(data))
    assert len(ends) > 5
    for end in ends:
        start = data.rindex(b"\xff\xda", 0, end)
        start += 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        middle = (start + end) // 2
        assert reason(data[:middle].rstrip(b"\xff") + data[end:]) == CUT_SHORT


def test_half_of_any_part_between_restart_marks_is_missed():
    data = encoded("JPEG", restart_marker_rows=1)
    ends = list(code_ends(data))
    assert len(ends) == 6
    start = data.index(b"\xff\xda") + 14
    for end in ends:
        middle = data[: (start + end) // 2].rstrip(b"\xff")
        assert reason(middle + data[end:]) == CUT_SHORT
        # All of it; for the first part the marks remain, and nothing between them.
        assert reason(data[:start] + data[end:]) == CUT_SHORT
        start = end + 2


@pytest.mark.parametrize("n_parts", [1, 8])
def test_parts_that_are_missing_with_their_restart_marks_are_missed(n_parts):
    # After eight the numbers of the marks begin again.
    data = encoded("JPEG", Image.fromarray(texture(64, 200)), restart_marker_rows=1)
    ends = list(code_ends(data))
    assert reason(data[: ends[1]] + data[ends[1 + n_parts] :]) == CUT_SHORT


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"progressive": True}])
def test_parts_that_are_missing_at_the_end_of_a_scan_are_missed(options):
    for n_units in (1, 3, 7):
        options = {**options, "restart_marker_blocks": n_units}
        data = encoded("JPEG", Image.fromarray(texture(57, 39)), **options)
        ends = list(code_ends(data))
        # A progressive one of fewer scans is whole.
        is_one = "progressive" not in options
        for n_left in (1, len(ends) // 2, len(ends) - 1) if is_one else (1,):
            assert reason(data[: ends[n_left - 1]] + END) == CUT_SHORT


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "n_unseen"), [("baseline", 3), ("progressive", 15)])
def test_nearly_every_cut_of_a_jpeg_is_missed_wherever_it_is(kind, n_unseen):
    rng = np.random.default_rng(0)
    n_taken = 0
    for _ in range(300):
        width, height = rng.integers(64, 200, 2)
        smooth = Image.fromarray(texture(width // 4, height // 4)).resize(
            (width, height)
        )
        data = encoded("JPEG", smooth, **KINDS[kind])
        end = rng.choice(list(code_ends(data)))
        start = data.rindex(b"\xff\xda", 0, end)
        start += 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        cut = rng.integers(start, end)
        try:
            DECODER.image(data[:cut].rstrip(b"\xff") + data[end:])
        except UnreadableError:
            continue
        n_taken += 1
    assert n_taken <= n_unseen


def test_a_restart_mark_behind_the_last_part_is_no_fault():
    data = encoded("JPEG", restart_marker_rows=1)
    ends = list(code_ends(data))
    more = data[: ends[-1]] + bytes([0xFF, 0xD0 + (len(ends) - 1) % 8]) + END
    assert DECODER.image(more).tobytes() == DECODER.image(data).tobytes()


@pytest.mark.parametrize("tail", [bytes(1000), b"\xff\xd8" + bytes(9), b"\xff\xff"])
def test_what_stands_behind_a_jpeg_or_before_its_end_mark_is_no_fault(tail):
    data = encoded("JPEG")
    right = DECODER.image(data).tobytes()
    assert DECODER.image(data + tail).tobytes() == right
    filled = data[:-2] + b"\xff\xff" + END
    assert DECODER.image(filled).tobytes() == right
    idle = data[:-2] + bytes(30) + END
    assert DECODER.image(idle).tobytes() == right


def test_a_picture_of_flat_blocks_of_few_bits_is_whole_down_to_its_last_bit():
    for n in (1, 2, 3, 7):
        for value in (0, 128, 255):
            data = blocks.jpeg(np.full((n, n, 1), value))
            assert np.abs(np.asarray(DECODER.image(data)) - float(value)).max() <= 1


def test_a_long_jpeg_is_fed_in_pieces_and_its_half_is_missed():
    image = Image.fromarray(
        np.random.default_rng(1).integers(0, 256, (400, 400, 3), "u1")
    )
    data = encoded("JPEG", image, quality=95)
    assert len(data) > 2**17
    trusted = DECODER.image(data, is_cut_short=True)
    assert DECODER.image(data).tobytes() == trusted.tobytes()
    assert reason(data[: len(data) // 2].rstrip(b"\xff") + END) == CUT_SHORT


def test_the_job_skips_such_a_jpeg_or_keeps_it_and_lists_it_either_way(tmp_path):
    source = tmp_path / "pictures"
    source.mkdir()
    data = encoded("JPEG")
    (source / "a.jpg").write_bytes(data)
    (source / "b.jpg").write_bytes(data[: len(data) // 2].rstrip(b"\xff") + END)
    request = {"source": str(source), "size": 16}
    few = {"decode_ahead": 1, "decode_processes": 1}
    summary = drive(JOB, tmp_path / "w", request, settings=few)
    assert (summary["images"], summary["skipped"]) == (1, 1)
    assert CUT_SHORT in (tmp_path / "w/ingest-report.csv").read_text()
    kept = {**request, "truncated": "keep"}
    summary = drive(JOB, tmp_path / "w2", kept, settings=few)
    assert (summary["images"], summary["skipped"], summary["cut_short"]) == (2, 0, 1)


# --- PNG

DEPTHS = [
    *[(depth, GREY, 1) for depth in (1, 2, 4, 8, 16)],
    *[(depth, PALETTE, 1) for depth in (1, 2, 4, 8)],
    *[(depth, kind, n) for depth in (8, 16) for kind, n in ((RGB, 3), (RGBA, 4))],
    *[(depth, GREY_ALPHA, 2) for depth in (8, 16)],
]


def _png(samples, depth, kind, *, is_interlaced):
    chunks = [(b"PLTE", bytes(range(256))[: 3 * 2**depth] * (3 if depth == 8 else 1))]
    more = {"chunks": chunks} if kind == PALETTE else {}
    return png(samples, depth, kind, is_interlaced=is_interlaced, **more)


@pytest.mark.parametrize("is_interlaced", [False, True])
@pytest.mark.parametrize(("depth", "kind", "n"), DEPTHS)
def test_a_png_of_any_size_is_whole_and_cut_short_without_its_last_byte(
    depth, kind, n, is_interlaced
):
    rng = np.random.default_rng(depth)
    for height, width in [(1, 1), (1, 5), (5, 1), (2, 3), (3, 2), (8, 8), (9, 17)]:
        samples = rng.integers(0, 2**depth, (height, width, n))
        data = _png(samples, depth, kind, is_interlaced=is_interlaced)
        trusted = DECODER.image(data, is_cut_short=True)
        assert DECODER.image(data).tobytes() == trusted.tobytes()
        at = data.index(b"IDAT")
        raw = zlib.decompress(data[at + 4 : -16])
        short = chunk(b"IDAT", zlib.compress(raw[:-1]))
        # Pillow itself sees that a row is begun and not ended.
        assert reason(data[: at - 4] + short + data[-12:])


@pytest.mark.parametrize("is_interlaced", [False, True])
@pytest.mark.parametrize(("depth", "kind", "n"), DEPTHS)
def test_a_png_without_its_last_row_is_cut_short(depth, kind, n, is_interlaced):
    # Black, or clear: what Pillow leaves where nothing is.
    samples = np.zeros((8, 9, n), int)
    data = _png(samples, depth, kind, is_interlaced=is_interlaced)
    assert DECODER.image(data).size == (SIZE, SIZE)
    at = data.index(b"IDAT")
    raw = zlib.decompress(data[at + 4 : -16])
    rest = raw[: -(1 + (9 * depth * n + 7) // 8)]
    short = chunk(b"IDAT", zlib.compress(rest))
    assert "rows are missing" in reason(data[: at - 4] + short + data[-12:])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_a_png_whose_last_pixels_look_like_the_marks_is_whole(mode):
    from lowmem_jobs.ingest import png_truncation

    image = Image.new(mode, (20, 3))
    if mode == "P":
        image.putpalette(3 * bytes(range(256)))
    for place, ink in png_truncation._marks(
        image.size, png_truncation._ALL, png_truncation._inks(mode)
    ):
        image.putpixel(place, ink)
    data = encoded("PNG", image)
    with Image.open(BytesIO(data)) as opened:
        png_truncation.watch_png(opened)
        with pytest.raises(png_truncation.DoubtedError):
            opened.load()
    assert (
        DECODER.image(data).tobytes()
        == DECODER.image(data, is_cut_short=True).tobytes()
    )


def test_a_first_frame_of_an_animated_png_is_whole_or_refused():
    frames = [
        Image.fromarray(texture(30, 20)),
        Image.fromarray(texture(31, 20)[:, :30]),
    ]
    data = encoded("PNG", frames[0], save_all=True, append_images=frames[1:])
    assert DECODER.image(data).size == (SIZE, SIZE)
    at = data.index(b"IDAT")
    n_bytes = int.from_bytes(data[at - 4 : at], "big")
    raw = zlib.decompress(data[at + 4 : at + 4 + n_bytes])
    short = chunk(b"IDAT", zlib.compress(raw[: len(raw) // 2]))
    assert "short" in reason(data[: at - 4] + short + data[at + 8 + n_bytes :])


# --- TIFF


def _tags(width, height, *more):
    return [
        (256, 4, [width]), (257, 4, [height]), (258, 3, [8]), (259, 3, [1]), (262, 3, [1]),
        (277, 3, [1]), *more,
    ]  # fmt: skip


def _strips(strips, rows=4, height=12):
    return container([(strips, _tags(8, height, (278, 4, [rows])))])


def test_a_tiff_must_list_all_strips_that_its_height_needs():
    strips = [bytes([value]) * 32 for value in (50, 150, 250)]
    pixels = np.asarray(DECODER.image(_strips(strips)))
    assert [round(pixels[k].mean(), -1) for k in (0, 20, -1)] == [50, 150, 250]
    for few in (strips[:2], strips[:1], [strips[0], b"", strips[2]]):
        assert reason(_strips(few)) == "TIFF of which a part is not stored"


def test_a_tiff_must_list_all_tiles_that_its_size_needs():
    tiles = [bytes([value]) * 256 for value in (50, 100, 150, 200)]
    tags = _tags(20, 20, (322, 4, [16]), (323, 4, [16]))
    whole = container([(tiles, tags)], places=(324, 325))
    assert np.asarray(DECODER.image(whole))[-1, -1].mean() == 200
    for few in (tiles[:3], [*tiles[:3], b""]):
        words = reason(container([(few, tags)], places=(324, 325)))
        assert words == "TIFF of which a part is not stored"


def test_a_strip_of_a_tiff_without_a_place_is_not_stored():
    data = bytearray(_strips([bytes([9]) * 32] * 3))
    with Image.open(BytesIO(bytes(data))) as image:
        starts = image.tag_v2[273]
    listed = data.index(struct.pack("<3I", *starts))
    data[listed + 4 : listed + 8] = bytes(4)
    assert reason(bytes(data)) == "TIFF of which a part is not stored"


@pytest.mark.parametrize("is_tiled", [False, True])
@pytest.mark.parametrize("bits", [12, 16])
def test_a_deep_tiff_must_list_all_of_its_parts(bits, is_tiled):
    pytest.importorskip("tifffile")
    pytest.importorskip("imagecodecs")
    part = bytes(16 * 16 * bits // 8)
    sides = [(322, 4, [16]), (323, 4, [16])] if is_tiled else [(278, 4, [16])]
    tags = [one for one in _tags(16, 32, *sides) if one[0] != 258]
    # Signed 16 bits would be refused for what they are: white is 0, so not Pillow's.
    tags = [
        (258, 3, [bits]),
        *[(262, 3, [0]) if one[0] == 262 else one for one in tags],
    ]
    places = (324, 325) if is_tiled else (273, 279)
    assert DECODER.image(container([([part, part], tags)], places=places))
    assert "not stored" in reason(container([([part], tags)], places=places))


@pytest.mark.parametrize("rows", [8, 16, 200])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpegs_in_a_tiff_are_whole_or_refused(mode, rows):
    pixels = texture(50, 40, 3 if mode == "RGB" else 1)
    image = Image.frombytes(mode, (50, 40), pixels.tobytes())
    data = encoded("TIFF", image, compression="jpeg", tiffinfo={278: rows})
    shown = np.asarray(DECODER.image(data)).astype(float)
    right = np.asarray(
        image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    )
    assert np.abs(shown - right).mean() < 10
    with Image.open(BytesIO(data)) as opened:
        last, n_bytes = opened.tag_v2[273][-1], opened.tag_v2[279][-1]
    middle, end = last + n_bytes // 2, last + n_bytes
    while data[middle - 1] == 0xFF:
        middle -= 1
    short = data[:middle] + END + bytes(end - middle - 2) + data[end:]
    assert reason(short) == "TIFF with a JPEG that is cut short"

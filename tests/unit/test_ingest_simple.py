"""Simple formats of pictures: what their headers say is what they show.

The pictures are those of the table of cases (tests/corpus/cases), written from the
specifications with samples that are known before.
"""

from __future__ import annotations

import numpy as np
import PIL
import pytest

from lowmem_jobs.ingest.framing import Framing
from lowmem_jobs.ingest.image_decoder import Decoder
from lowmem_jobs.ingest.unreadable import UnreadableError
from tests.corpus import bitmaps
from tests.corpus.bitmaps import u1
from tests.corpus.cases import icons, layers, neighbours, plain, simple
from tests.corpus.cases.case import COLOURS, GREYS, SIDE, SIZE

pytestmark = pytest.mark.filterwarnings("ignore")
DECODER = Decoder(Framing(size=SIDE, crop="none"))
GROUPS = ("TGA", "PSD", "ICO", "BMP", "other formats", "TIFF, more samples")
PICTURES = [
    one
    for module in (plain, neighbours, simple, layers, icons)
    for one in module.PICTURES
    if one.group in GROUPS
]
# What releases of Pillow before 13 may refuse: colour maps of 32 bits in a TGA, and an
# XPM with a clear colour.
_IS_OLD = int(PIL.__version__.partition(".")[0]) < 13
_LATE = ("palette with alpha", "palette of 32 bit", "XPM, one colour clear")
# What the extra `tiff` reads, where Pillow's release may not know the layout.
_BY_EXTRA = "TIFF, more samples"


def of(group):
    """Return the pictures of a group as parameters."""
    some = [one for one in PICTURES if one.group == group]
    assert some
    return pytest.mark.parametrize("picture", some, ids=lambda one: one.name)


def decode(data):
    return np.asarray(DECODER.image(data)).astype(float)


def assert_right(picture):
    """Require a picture to be what it shows, or to be refused with its reason."""
    if picture.group == _BY_EXTRA:
        pytest.importorskip("tifffile", reason="the extra tiff")
    if picture.shown is None:
        with pytest.raises(UnreadableError, match=picture.reason):
            decode(picture.data)
        return
    try:
        pixels = decode(picture.data)
    except UnreadableError:
        assert _IS_OLD, "refused"
        assert picture.name.startswith(_LATE)
        return
    far = np.nanmax(np.abs(pixels - picture.shown))
    assert far <= picture.allowed


@of("TGA")
def test_a_tga_has_the_alpha_that_it_declares_and_no_other(picture):
    assert_right(picture)


@of("PSD")
def test_a_psd_shows_its_merged_picture_and_no_saved_selection_is_alpha(picture):
    assert_right(picture)


@of("ICO")
def test_of_an_icon_or_cursor_the_best_picture_and_its_mask_are_used(picture):
    assert_right(picture)


@of("BMP")
def test_a_bmp_shows_its_samples_wherever_its_masks_lie(picture):
    assert_right(picture)


@of("other formats")
def test_other_simple_formats_show_their_samples_or_are_refused(picture):
    assert_right(picture)


@of("TIFF, more samples")
def test_of_samples_beside_the_colours_alpha_alone_counts(picture):
    assert_right(picture)


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.99])
def test_a_pcx_or_dds_or_xpm_that_is_cut_short_is_refused(kept):
    names = ("PCX, palette", "DDS, 24 bit", "XPM, one colour clear")
    some = [one for one in PICTURES if one.name in names]
    assert len(some) == len(names)
    for picture in some:
        with pytest.raises(UnreadableError):
            decode(picture.data[: int(len(picture.data) * kept)])


def _large():
    """Yield files of 16 x 16 pixels by the name of what reads them."""
    full = [u1(np.concatenate([row, row[:, :1]], -1)) for row in COLOURS]
    masks = bitmaps.masks_of_version_4(0xFF, 0xFF00, 0xFF0000, 0)
    planes = COLOURS.transpose(2, 0, 1)
    head = b"P7\nWIDTH 16\nHEIGHT 16\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\n"
    yield "icons", bitmaps.ico([(SIDE, SIDE, 8, icons.numbered(8))])
    yield "bmp", bitmaps.bmp(full, SIZE, 32, packing=3, masks=masks)
    yield "psd", bitmaps.psd(planes * 257, bitmaps.PSD_RGB, bits=16)
    yield "as_grey", head + u1(GREYS)
    yield "as_grey", bitmaps.sgi(np.stack([GREYS, GREYS]))


@pytest.mark.parametrize(("reader", "data"), [*_large()])
def test_a_simple_picture_of_more_pixels_than_the_limit_is_not_decoded(
    monkeypatch, reader, data
):
    assert decode(data).shape == (SIDE, SIDE, 3)
    monkeypatch.setattr("lowmem_jobs.ingest.image_decoder.MAX_PIXELS", 255)
    monkeypatch.setattr(f"lowmem_jobs.ingest.{reader}.Image", None)
    with pytest.raises(UnreadableError, match="256 pixels, more than 255"):
        decode(data)


def test_cut_and_altered_simple_pictures_are_decoded_or_refused():
    random = np.random.default_rng(0)
    outcomes = set()
    for picture in PICTURES[::3]:
        data = picture.data
        cases = [data[: len(data) * part // 4] for part in range(4)]
        for _ in range(6):
            altered = bytearray(data)
            for place in random.integers(0, min(len(data), 200), 3):
                altered[place] ^= 1 << random.integers(8)
            cases.append(bytes(altered))
        for one in cases:
            try:
                outcomes.add(str(decode(one).shape))
            except UnreadableError as error:
                outcomes.add(str(error))
    assert "(16, 16, 3)" in outcomes
    assert len(outcomes) > 20

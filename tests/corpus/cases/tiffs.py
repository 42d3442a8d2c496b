"""TIFF of scanners, microscopes and other programs (TIFF 6.0; tests/corpus/tiff.py).

A choice: `test_a_tiff_of_any_bits_colours_and_packing_shows_its_samples` tries each
combination of bits, colours, byte order, planes, packing and predictor.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from tests.corpus import jpeg
from tests.corpus.cases import jpegs
from tests.corpus.cases.case import (
    COLOURS,
    GREYS,
    KNOWN,
    QUARTERS,
    SIDE,
    UNIT,
    Picture,
    coloured,
)
from tests.corpus.cases.pngs import turned
from tests.corpus.tiff import (
    BLACK_0,
    CMYK,
    DEFLATE,
    LAB,
    LZW,
    PACKBITS,
    PALETTE,
    RGB,
    WHITE_0,
    YCBCR,
    ZSTD,
    big,
    container,
    tiff,
    tiles,
)  # fmt: skip

NO_WHITE = "no white is known (docs/inputs.md)"


def picture(name, data, shown, **more):
    return Picture(
        group="TIFF", name=name, data=data, shown=shown, **{"known": KNOWN, **more}
    )


def greys_of(white):
    return np.rint(UNIT * white).astype(np.int64)[..., None]


def _greys():
    before = {
        (10, BLACK_0): "skipped", (12, BLACK_0): "nearly black", (14, BLACK_0): "skipped",
        (16, WHITE_0): "inverted", (12, WHITE_0): "nearly black", (16, BLACK_0): "right",
        (8, WHITE_0): "right", (2, WHITE_0): "right", (4, BLACK_0): "right",
    }  # fmt: skip
    for bits in (1, 2, 3, 4, 6, 8, 10, 12, 14, 16):
        for photometric in (BLACK_0, WHITE_0):
            samples = greys_of(2**bits - 1)
            shown = coloured(samples / (2**bits - 1) * 255)
            title = f"grey, {bits} bit" + (
                ", white is 0" if photometric == WHITE_0 else ""
            )
            yield picture(
                title, tiff(samples, bits=bits, photometric=photometric),
                255 - shown if photometric == WHITE_0 else shown, allowed=1.01,
                before=before.get((bits, photometric), "not tried"),
            )  # fmt: skip


def _floats():
    for bits in (16, 32, 64):
        for order in "<>":
            samples = UNIT[..., None].astype(f"f{bits // 8}")
            for photometric in (BLACK_0, WHITE_0):
                data = tiff(
                    samples,
                    bits=bits,
                    kind="float",
                    order=order,
                    photometric=photometric,
                )
                shown = coloured(UNIT * 255)
                white = photometric == WHITE_0
                title = (
                    f"floats, {bits} bit, {'big' if order == '>' else 'little'}-endian"
                )
                yield picture(
                    title + (", white is 0" if white else ""), data,
                    255 - shown if white else shown, allowed=1.01,
                    before="inverted" if (bits, white, order) == (32, True, "<") else "not tried",
                )  # fmt: skip


def _without_white():
    for bits in (8, 16):
        data = tiff(greys_of(2 ** (bits - 1) - 1), bits=bits, kind="int")
        yield picture(
            f"signed, {bits} bit",
            data,
            None,
            known=NO_WHITE,
            reason="white",
            before="at half" if bits == 16 else "not tried",
        )
    yield picture(
        "floats beyond 1",
        tiff(UNIT[..., None].astype("f4") * 2, bits=32, kind="float"),
        None,
        known=NO_WHITE,
        reason="white",
    )
    hole = UNIT[..., None].astype("f4").copy()
    hole[3, 3] = np.nan
    yield picture(
        "floats of which one is not a number",
        tiff(hole, bits=32, kind="float"),
        None,
        known=NO_WHITE,
        reason="white",
    )
    for kind in ("uint", "int"):
        for order in "<>":
            title = f"{'un' * (kind == 'uint')}signed, 32 bit, {'big' if order == '>' else 'little'}-endian"
            yield picture(
                title,
                tiff(greys_of(65535), bits=32, kind=kind, order=order),
                coloured(UNIT * 255),
                allowed=1.01,
                known=KNOWN + "; taken for 16 (docs/inputs.md)",
            )
    yield picture(
        "unsigned, 32 bit, beyond 65535",
        tiff(greys_of(2**20), bits=32),
        None,
        known=NO_WHITE,
        reason="white",
    )


def _colours():
    for order in "<>":
        for planar in (1, 2):
            for bits in (8, 12, 16):
                samples = np.rint(COLOURS / 255 * (2**bits - 1)).astype(np.int64)
                data = tiff(
                    samples, bits=bits, photometric=RGB, order=order, planar=planar
                )
                how = f"{'big' if order == '>' else 'little'}-endian, {'planes' if planar == 2 else 'pixels'}"
                yield picture(f"RGB, {bits} bit, {how}", data, COLOURS, allowed=1.01)
    for name, compression in (
        ("LZW", LZW),
        ("Deflate", DEFLATE),
        ("PackBits", PACKBITS),
        ("Zstandard", ZSTD),
    ):
        data = tiff(
            COLOURS * 257,
            bits=16,
            photometric=RGB,
            compression=compression,
            order=">",
            rows=5,
        )
        yield picture(
            f"RGB, 16 bit, big-endian, {name}",
            data,
            COLOURS,
            allowed=1.01,
            before="right",
        )
    for predictor, kind in ((2, "uint"), (3, "float")):
        samples = COLOURS * 257 if kind == "uint" else (COLOURS / 255).astype("f4")
        data = tiff(
            samples,
            bits=16 if kind == "uint" else 32,
            kind=kind,
            photometric=RGB,
            compression=LZW,
            predictor=predictor,
            order=">",
        )
        yield picture(
            f"RGB, LZW, predictor {predictor}, big-endian", data, COLOURS, allowed=1.01
        )
    for bits in (8, 16):
        white = 2**bits - 1
        inks = np.concatenate([255 - COLOURS, GREYS[..., None] // 2], -1) * (
            white // 255
        )
        shown = COLOURS * (255 - GREYS[..., None] // 2) / 255
        yield picture(
            f"CMYK, {bits} bit",
            tiff(inks, bits=bits, photometric=CMYK),
            shown,
            allowed=2.01,
            before="right",
        )


def _samples():
    for kind, title in (
        (2, "alpha"),
        (1, "alpha that colours are multiplied by"),
        (0, "a fourth sample of no meaning"),
    ):
        samples = np.zeros((SIDE, SIDE, 4), int)
        samples[..., 3] = GREYS * 257
        shown = coloured(255 - GREYS) if kind else coloured(GREYS * 0)
        data = tiff(samples, bits=16, photometric=RGB, tags=((338, 3, [kind]),))
        yield picture(f"RGB, 16 bit, and {title}", data, shown, allowed=1.01)
    grey = np.concatenate([GREYS[..., None] * 0, GREYS[..., None]], -1)
    data = tiff(grey, bits=8, tags=((338, 3, [2]),))
    yield picture("grey, 8 bit, and alpha", data, coloured(255 - GREYS), allowed=1.01)
    for factor in (1, 257):
        table = np.random.default_rng(factor).integers(0, 256, (3, 256))
        data = tiff(
            GREYS[..., None],
            bits=8,
            photometric=PALETTE,
            tags=((320, 3, (table * factor).ravel().tolist()),),
        )
        shown = table.T[GREYS]
        yield picture(
            f"palette of {8 if factor == 1 else 16} bits", data, shown, allowed=1.01
        )
    lab = np.zeros((SIDE, SIDE, 3), int)
    lab[..., 0] = 255
    yield picture(
        "CIELAB, 8 bit, white",
        tiff(lab, bits=8, photometric=LAB),
        coloured(GREYS * 0 + 255),
        allowed=1.01,
    )
    yield picture(
        "CIELAB, 16 bit",
        tiff(lab, bits=16, photometric=LAB),
        None,
        known="refused (docs/inputs.md)",
    )
    yield picture(
        "YCbCr that is no JPEG",
        tiff(lab, bits=8, photometric=YCBCR),
        None,
        known="refused (docs/inputs.md)",
    )
    yield picture(
        "two greys", tiff(grey, bits=12), None, known="refused (docs/inputs.md)"
    )


def _layouts():
    grey = GREYS[..., None]
    for order in "<>":
        how = "big" if order == ">" else "little"
        yield picture(
            f"BigTIFF, {how}-endian",
            big(grey, 8, order=order),
            coloured(GREYS),
            before="right",
        )
        yield picture(
            f"BigTIFF, RGB of 16 bits, {how}-endian",
            big(COLOURS * 257, 16, photometric=RGB, order=order),
            COLOURS,
            allowed=1.01,
        )
    yield picture("in tiles", tiles(grey, 16, 8), coloured(GREYS), before="right")
    yield picture(
        "in tiles larger than the picture",
        tiles(COLOURS, 32, 8, photometric=RGB, compression=DEFLATE),
        COLOURS,
    )
    yield picture(
        "RGB of 12 bits, in tiles",
        tiles(COLOURS * 16, 16, 12, photometric=RGB),
        COLOURS * 16 / 4095 * 255,
        allowed=1.01,
    )
    yield picture(
        "the lowest bit first", tiff(grey, bits=8, fill_order=2), coloured(GREYS)
    )
    yield picture(
        "1 bit, the lowest bit first",
        tiff(grey % 2, bits=1, fill_order=2),
        coloured(255 * (GREYS % 2)),
    )
    one = container([_jpeg_page(jpeg.jpeg(jpegs.YCC), YCBCR, 3)])
    yield picture("JPEG inside, YCbCr", one, jpegs.SHOWN, allowed=2)
    two = container([_jpeg_page(jpeg.jpeg(jpegs.GREYS), BLACK_0, 1)])
    yield picture(
        "JPEG inside, grey", two, coloured(jpeg.pixels(jpegs.GREYS)), allowed=1
    )
    stream = io.BytesIO()
    Image.fromarray(GREYS % 3 == 0).save(stream, "TIFF", compression="group4")
    yield picture(
        "1 bit, fax of group 4",
        stream.getvalue(),
        coloured(255 * (GREYS % 3 == 0)),
        known="samples known before Pillow and libtiff wrote the file",
    )
    for turn, right in turned(QUARTERS).items():
        deep = turn % 2
        data = tiff(
            QUARTERS * (16 if deep else 1),
            bits=12 if deep else 8,
            photometric=RGB,
            tags=((274, 3, [turn]),),
        )
        shown = right * 16 / 4095 * 255 if deep else right
        yield picture(
            f"turned, orientation {turn}, {12 if deep else 8} bit",
            data,
            shown,
            allowed=1.01,
            before="right",
        )
    yield picture(
        "white is 4095 by MaxSampleValue",
        tiff(greys_of(65535), bits=16, tags=((281, 3, [4095]),)),
        coloured(UNIT * 255),
        allowed=1.01,
        known="MaxSampleValue is not used (docs/inputs.md)",
    )


def _jpeg_page(data, photometric, n):
    entries = [
        (256, 4, [SIDE]), (257, 4, [SIDE]), (258, 3, [8] * n), (259, 3, [7]),
        (262, 3, [photometric]), (277, 3, [n]), (278, 4, [SIDE]),
    ]  # fmt: skip
    return [data], entries + ([(530, 3, [1, 1])] if n == 3 else [])


PICTURES = (
    *_greys(),
    *_floats(),
    *_without_white(),
    *_colours(),
    *_samples(),
    *_layouts(),
)

"""PNG of every depth and kind (PNG 1.2; tests/corpus/png.py)."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from tests.corpus import jpeg
from tests.corpus.cases.case import (
    COLOURS,
    GREYS,
    KNOWN,
    QUARTERS,
    SIDE,
    coloured,
    flat,
    named,
)
from tests.corpus.png import GREY, GREY_ALPHA, PALETTE, RGB, RGBA, chunk, png

DEEP = (GREYS * 257 + GREYS[::-1]).clip(0, 65535)
_picture = named("PNG")


def _greys():
    for depth in (1, 2, 4, 8, 16):
        white = 2**depth - 1
        samples = np.rint(GREYS / 255 * white).astype(int)[..., None]
        shown = coloured(samples * 255 / white)
        for is_interlaced in (False, True):
            data = png(samples, depth, GREY, is_interlaced=is_interlaced)
            how = ", interlaced" if is_interlaced else ""
            yield _picture(f"grey, {depth} bit{how}", data, shown, allowed=0.51)
        clear = int(samples[5, 5, 0])
        right = np.where(samples == clear, 255, shown)
        before = {2: "clear grey lost", 4: "clear grey lost", 16: "clear grey lost"}
        yield _picture(
            f"grey, {depth} bit, one grey clear", png(samples, depth, GREY, clear=[clear]),
            right, allowed=0.51, before=before.get(depth, "right"),
        )  # fmt: skip


def _colours():
    deep = COLOURS * 257
    deep[0, 0], deep[0, 1] = deep[4, 4] ^ 1, deep[4, 4] ^ 2**15
    clear = (deep == deep[4, 4]).all(-1, keepdims=True)
    right = np.where(clear, 255, deep / 257)
    yield _picture("RGB, 8 bit", png(COLOURS, 8, RGB), COLOURS)
    yield _picture("RGB, 16 bit", png(deep, 16, RGB), deep / 257, allowed=1.01)
    yield _picture(
        "RGB, 16 bit, one colour clear", png(deep, 16, RGB, clear=deep[4, 4]), right,
        allowed=1.01, before="clear colour lost",
    )  # fmt: skip
    is_key = (COLOURS[3, 7] == COLOURS).all(-1, keepdims=True)
    yield _picture(
        "RGB, 8 bit, one colour clear", png(COLOURS, 8, RGB, clear=COLOURS[3, 7]),
        np.where(is_key, 255, COLOURS), before="right",
    )  # fmt: skip
    for depth in (8, 16):
        white = 2**depth - 1
        for kind, n in ((GREY_ALPHA, 2), (RGBA, 4)):
            samples = np.zeros((SIDE, SIDE, n), int)
            samples[..., -1] = np.rint(GREYS / 255 * white)
            shown = coloured(255 - GREYS)
            title = f"{'grey' if n == 2 else 'RGB'} with alpha, {depth} bit"
            yield _picture(
                title, png(samples, depth, kind), shown, allowed=1.01, before="right"
            )
    samples = np.concatenate([COLOURS, np.where(GREYS[..., None] < 128, 0, 255)], -1)
    shown = np.where(samples[..., 3:] == 0, 255, COLOURS)
    yield _picture(
        "RGB with alpha, interlaced", png(samples, 8, RGBA, is_interlaced=True), shown
    )


def _palettes():
    for depth in (1, 2, 4, 8):
        n = 2**depth
        table = np.random.default_rng(depth).integers(0, 256, (n, 3))
        samples = (GREYS % n)[..., None]
        chunks = [(b"PLTE", table.astype("u1").tobytes())]
        shown = table[samples[..., 0]]
        yield _picture(
            f"palette, {depth} bit", png(samples, depth, PALETTE, chunks=chunks), shown
        )
        # The list of alphas may be shorter than the palette: the others are opaque.
        chunks = [*chunks, (b"tRNS", b"\0")]
        seen = np.where(samples == 0, 255, shown)
        yield _picture(
            f"palette, {depth} bit, the first colour clear",
            png(samples, depth, PALETTE, chunks=chunks), seen,
        )  # fmt: skip
    alphas = np.arange(256)
    table = np.zeros((256, 3), int)
    chunks = [
        (b"PLTE", table.astype("u1").tobytes()),
        (b"tRNS", alphas.astype("u1").tobytes()),
    ]
    yield _picture(
        "palette with an alpha for each colour", png(GREYS[..., None], 8, PALETTE, chunks=chunks),
        coloured(255 - GREYS), allowed=1.01,
    )  # fmt: skip


def _layouts():
    for kind, name in enumerate(("none", "sub", "up", "average", "Paeth")):
        yield _picture(
            f"RGB, filter {name}", png(COLOURS, 8, RGB, filter_kind=kind), COLOURS
        )
    deep = COLOURS * 257
    yield _picture(
        "RGB, 16 bit, filter Paeth, interlaced",
        png(deep, 16, RGB, filter_kind=4, is_interlaced=True),
        COLOURS,
        allowed=1.01,
    )
    yield _picture("in 50 pieces", png(COLOURS, 8, RGB, pieces=50), COLOURS)
    empty = chunk(b"IDAT", b"")
    yield _picture("with an empty piece", png(COLOURS, 8, RGB, tail=empty), COLOURS)
    yield _picture(
        "with other data behind it", png(COLOURS, 8, RGB) + bytes(5000), COLOURS
    )
    for kind, content in (
        (b"gAMA", struct.pack(">I", 100000)),
        (b"sBIT", b"\5\6\5"),
        (b"bKGD", struct.pack(">3H", 255, 0, 0)),
        (b"pHYs", struct.pack(">2IB", 1, 3, 0)),
        (b"cICP", bytes([9, 16, 0, 1])),
        (b"tEXt", b"Comment\0" + b"x" * 2000),
    ):
        yield _picture(
            f"with the chunk {kind.decode()}", png(COLOURS, 8, RGB, chunks=[(kind, content)]),
            COLOURS, known=KNOWN + "; profiles are not applied (docs/inputs.md)",
        )  # fmt: skip
    for turn, right in turned(QUARTERS).items():
        block = jpeg.exif_block(struct.pack(">2H", turn, 0), ">")
        yield _picture(
            f"turned by EXIF {turn}",
            png(QUARTERS, 8, RGB, chunks=[(b"eXIf", block)]),
            right,
        )


def turned(pixels):
    """Return pixels as each EXIF orientation has them shown (Exif 2.3, tag 274)."""
    return {
        1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1],
        5: pixels.swapaxes(0, 1), 6: np.rot90(pixels, -1),
        7: pixels[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(pixels),
    }  # fmt: skip


def animated(first, others, *, is_first_shown=True):
    """Return an APNG: what any reader shows, and frames that come after it."""
    head = struct.pack(">2I2H2B", 0, 0, 1, 10, 0, 0)

    def control(number):
        return struct.pack(">5I", number, SIDE, SIDE, 0, 0) + head[8:]

    chunks = [(b"acTL", struct.pack(">2I", len(others) + is_first_shown, 0))]
    number = 0
    if is_first_shown:
        chunks.append((b"fcTL", control(0)))
        number = 1
    tail = b""
    for one in others:
        raw = b"".join(b"\0" + row.astype("u1").tobytes() for row in one)
        tail += chunk(b"fcTL", control(number))
        tail += chunk(b"fdAT", struct.pack(">I", number + 1) + zlib.compress(raw))
        number += 2
    return png(first, 8, RGB, chunks=chunks, tail=tail)


def _animations():
    black = np.zeros_like(COLOURS)
    yield _picture("animated", animated(COLOURS, [black, black]), COLOURS)
    yield _picture(
        "animated, the picture not one of its frames", animated(COLOURS, [black], is_first_shown=False),
        COLOURS, known="the picture that any PNG reader shows",
    )  # fmt: skip


def _damaged():
    data = png(COLOURS, 8, RGB)
    place = data.index(b"IDAT") + 4
    (n,) = struct.unpack(">I", data[place - 8 : place - 4])
    bad = bytearray(data)
    bad[place + n] ^= 1
    yield _picture(
        "the CRC-32 alone is altered",
        bytes(bad),
        COLOURS,
        known=KNOWN + "; zlib's own sum holds",
    )
    raw = b"".join(b"\0" + row.astype("u1").tobytes() for row in COLOURS)
    packed = bytearray(zlib.compress(raw, 0))
    packed[300] ^= 0x55
    ihdr = struct.pack(">2I5B", SIDE, SIDE, 8, RGB, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr)
    end = chunk(b"IEND", b"")
    damaged = chunk(b"IDAT", zlib.compress(raw, 0))
    damaged = damaged[:8] + bytes(packed) + damaged[-4:]
    yield _picture(
        "one byte altered, both sums tell",
        start + damaged + end,
        None,
        known="the specification: damaged",
    )
    yield _picture(
        "one byte altered, Adler-32 tells",
        start + chunk(b"IDAT", bytes(packed)) + end,
        None,
        known="zlib's own sum: damaged",
    )


def _lying():
    huge = png(COLOURS, 8, RGB)
    start, end = huge[:33], chunk(b"IEND", b"")
    raw = b"".join(b"\0" + row.astype("u1").tobytes() for row in COLOURS)
    more = zlib.compress(raw + raw)
    yield _picture(
        "twice the rows",
        start + chunk(b"IDAT", more) + end,
        COLOURS,
        known="the first rows are the picture; libpng reads it",
    )
    yield _picture(
        "without its end mark",
        start + chunk(b"IDAT", zlib.compress(raw)),
        COLOURS,
        known="all pixels are there",
    )
    lying = bytearray(huge)
    lying[16:24] = struct.pack(">2I", 2**31 - 1, 2**31 - 1)
    lying[29:33] = struct.pack(">I", zlib.crc32(bytes(lying[12:29])))
    yield _picture(
        "says that it has 2^62 pixels",
        bytes(lying),
        None,
        known="the limit of 2^26 pixels",
        reason="pixels|exceeds",
    )
    nothing = bytearray(huge)
    nothing[16:24] = bytes(8)
    nothing[29:33] = struct.pack(">I", zlib.crc32(bytes(nothing[12:29])))
    yield _picture(
        "says that it has no pixel", bytes(nothing), None, known="no picture"
    )
    samples = np.full((SIDE, SIDE, 1), 9)
    table = [(b"PLTE", bytes(9))]
    yield _picture(
        "a colour that its palette has not",
        png(samples, 8, PALETTE, chunks=table),
        flat(0),
        known="an error by the specification; libpng gives black",
    )
    yield _picture(
        "palette that is not there",
        png(samples, 8, PALETTE),
        None,
        known="the specification: an error",
    )
    yield _picture(
        "16 bit, the upper bytes equal",
        png(np.full((SIDE, SIDE, 1), 0x0080), 16, GREY),
        flat(0),
        allowed=1.01,
        known=KNOWN,
    )
    yield _picture(
        "16 bit of different lower bytes",
        png(DEEP[..., None], 16, GREY),
        coloured(DEEP / 257),
        allowed=0.51,
        known=KNOWN,
    )


PICTURES = (
    *_greys(),
    *_colours(),
    *_palettes(),
    *_layouts(),
    *_animations(),
    *_damaged(),
    *_lying(),
)

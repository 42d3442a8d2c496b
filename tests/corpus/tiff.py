"""TIFF files of any layout, written from the specification (Adobe, TIFF 6.0, 1992).

The samples are known before they are packed, so what a reader should give follows from
them and from the tags alone; no other library writes these files.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 13: "I", 16: "Q"}
NONE, LZW, DEFLATE, PACKBITS, ZSTD = 1, 5, 8, 32773, 50000
FORMATS = {"uint": 1, "int": 2, "float": 3}
WHITE_0, BLACK_0, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8


def tiff(
    samples,
    *,
    bits: int,
    kind: str = "uint",
    photometric: int = BLACK_0,
    order: str = "<",
    planar: int = 1,
    compression: int = NONE,
    predictor: int = 1,
    fill_order: int = 1,
    rows: int | None = None,
    tags: tuple = (),
):
    """Return a file with one picture, shape (height, width, samples)."""
    planes = [samples] if planar == 1 else np.split(samples, samples.shape[2], 2)
    step = rows or samples.shape[0]
    strips = [
        _reversed(
            compressed(packed(part, bits, order, predictor), compression), fill_order
        )
        for plane in planes
        for part in np.split(plane, range(step, len(plane), step))
    ]
    height, width, n_samples = samples.shape
    entries = [
        (256, 4, [width]),
        (257, 4, [height]),
        (258, 3, [bits] * n_samples),
        (259, 3, [compression]),
        (262, 3, [photometric]),
        (277, 3, [n_samples]),
        (278, 4, [rows or height]),
        (284, 3, [planar]),
        (339, 3, [FORMATS[kind]] * n_samples),
    ]
    if predictor != 1:
        entries.append((317, 3, [predictor]))
    if fill_order != 1:
        entries.append((266, 3, [fill_order]))
    return container([(strips, entries + list(tags))], order)


def container(pages, order="<", *, sub_pages=(), places=(273, 279)):
    """Return a file of pages; of the first, ``sub_pages`` are listed in SubIFDs (330).

    Parameters
    ----------
    pages, sub_pages
        Of each: its strips, and its tags (number, type, values) but those of the strips.
    places
        The tags that say where strips, or tiles, are and how long.
    """
    data = bytearray(
        struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 0)
    )
    links = [4]
    below = [_page(data, page, order)[0] for page in sub_pages]
    for number, (strips, entries) in enumerate(pages):
        listed = [(330, 4, below)] if below and not number else []
        start, link = _page(data, (strips, [*entries, *listed]), order, places)
        struct.pack_into(order + "I", data, links[-1], start)
        links.append(link)
    return bytes(data)


def tiles(samples, side, bits, *, photometric=BLACK_0, order="<", compression=NONE):
    """Return a file in tiles of ``side`` pixels, the last ones filled up."""
    height, width, n_samples = samples.shape
    wide = [(0, -length % side) for length in (height, width)]
    full = np.pad(samples, [*wide, (0, 0)], constant_values=1)
    parts = [
        compressed(packed(full[y : y + side, x : x + side], bits, order), compression)
        for y in range(0, height, side)
        for x in range(0, width, side)
    ]
    entries = [
        (256, 4, [width]),
        (257, 4, [height]),
        (258, 3, [bits] * n_samples),
        (259, 3, [compression]),
        (262, 3, [photometric]),
        (277, 3, [n_samples]),
        (322, 4, [side]),
        (323, 4, [side]),
    ]
    return container([(parts, entries)], order, places=(324, 325))


def big(samples, bits, *, photometric=BLACK_0, order="<"):
    """Return a BigTIFF (2007) of one strip: numbers of 64 bits where others have 32."""
    strip = packed(samples, bits, order)
    height, width, n_samples = samples.shape
    entries = [
        (256, 4, [width]), (257, 4, [height]), (258, 3, [bits] * n_samples),
        (259, 3, [NONE]), (262, 3, [photometric]), (273, 16, [16]),
        (277, 3, [n_samples]), (278, 4, [height]), (279, 16, [len(strip)]),
    ]  # fmt: skip
    rows = b"".join(
        struct.pack(order + "2HQ", tag, form, len(values))
        + _packed(form, values, order).ljust(8, b"\0")
        for tag, form, values in entries
    )
    mark = b"II" if order == "<" else b"MM"
    head = struct.pack(order + "2s3HQ", mark, 43, 8, 0, 16 + len(strip))
    return head + strip + struct.pack(order + "Q", len(entries)) + rows + bytes(8)


def _page(data, page, order, places=(273, 279)):
    """Append a page; return where its directory is, and where it names the next."""
    strips, entries = page
    offsets = []
    for strip in strips:
        offsets.append(len(data))
        data += strip + b"\0" * (len(strip) % 2)
    where, how_long = places
    lengths = [len(strip) for strip in strips]
    entries = [*entries, (where, 4, offsets), (how_long, 4, lengths)]
    rows = []
    for tag, form, values in sorted(entries):
        packed = _packed(form, values, order)
        if len(packed) > 4:
            place = struct.pack(order + "I", len(data))
            data += packed + b"\0" * (len(packed) % 2)
        else:
            place = packed.ljust(4, b"\0")
        count = len(values) // len(TYPES[form])
        rows.append(struct.pack(order + "HHI", tag, form, count) + place)
    start = len(data)
    data += struct.pack(order + "H", len(rows)) + b"".join(rows) + bytes(4)
    return start, len(data) - 4


def _packed(form, values, order):
    if isinstance(values, bytes):
        return values
    return struct.pack(f"{order}{len(values)}{TYPES[form][0]}", *values)


def packed(samples, bits, order="<", predictor=1):
    """Return the rows of samples as they lie in a strip; a row begins with a byte."""
    if samples.dtype.kind == "f":
        return _floats(samples, bits, order, predictor)
    values = samples.astype(np.int64)
    if predictor == 2:
        values[:, 1:] -= samples.astype(np.int64)[:, :-1]
    values = (values % (1 << bits)).astype(np.uint64).reshape(len(samples), -1)
    if bits in {8, 16, 32, 64}:
        return values.astype(f"{order}u{bits // 8}").tobytes()
    # Most significant bit first, whatever the byte order.
    places = np.arange(bits - 1, -1, -1, dtype=np.uint64)
    ones = (values[:, :, None] >> places & np.uint64(1)).astype(np.uint8)
    return np.packbits(ones.reshape(len(values), -1), axis=1).tobytes()


def _floats(samples, bits, order, predictor):
    values = samples.reshape(len(samples), -1)
    if predictor == 1:
        return values.astype(f"{order}f{bits // 8}").tobytes()
    # Technical note 3 (Adobe, 2005): bytes of one weight together, then differences.
    n_bytes, n_samples = bits // 8, samples.shape[2]
    weights = values.astype(f">f{n_bytes}").view(np.uint8)
    weights = weights.reshape(*values.shape, n_bytes).transpose(0, 2, 1)
    rows = np.ascontiguousarray(weights).reshape(len(values), -1)
    rows[:, n_samples:] -= rows[:, :-n_samples].copy()
    return rows.tobytes()


def _reversed(data, fill_order):
    if fill_order == 1:
        return data
    ones = np.unpackbits(np.frombuffer(data, np.uint8))
    return np.packbits(ones, bitorder="little").tobytes()


def compressed(data, compression):
    """Return a strip as it is stored."""
    if compression == NONE:
        return data
    if compression == DEFLATE:
        return zlib.compress(data)
    if compression == LZW:
        return lzw(data)
    if compression == PACKBITS:
        return b"".join(
            bytes([len(part) - 1]) + part
            for part in (data[at : at + 128] for at in range(0, len(data), 128))
        )
    import numcodecs

    return bytes(numcodecs.Zstd().encode(data))


def lzw(data):
    """Return literals alone, each table cleared before a code would need ten bits."""
    codes, step = [], 250
    for at in range(0, len(data), step):
        codes += [256, *data[at : at + step]]
    ones = "".join(f"{code:09b}" for code in [*codes, 257])
    ones += "0" * (-len(ones) % 8)
    return int(ones, 2).to_bytes(len(ones) // 8, "big")

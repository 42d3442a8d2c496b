"""Simple formats of pictures, each written from its specification."""

from __future__ import annotations

import struct

import numpy as np


def u1(values):
    return np.asarray(values).astype("u1").tobytes()


# --- BMP: Windows' header of 40 bytes, and that of OS/2


def bmp(rows, size, bits, *, packing=0, palette=b"", masks=b"", is_downwards=False):
    """Return a file; ``rows`` are the bytes of each, the upper one first."""
    width, height = size
    padded_rows = [row + bytes(-len(row) % 4) for row in rows]
    body = b"".join(padded_rows if is_downwards else padded_rows[::-1])
    signed = -height if is_downwards else height
    info = struct.pack(
        "<I2i2H6I", 40 + len(masks) * (len(masks) > 12), width, signed, 1, bits,
        packing, len(body), 2835, 2835, len(palette) // 4, 0,
    )  # fmt: skip
    return _bmp_file(info + masks + palette, body)


def bmp_of_os2(rows, size, palette):
    """Return a file of 8 bits; ``palette`` in blue, green, red."""
    body = b"".join(row + bytes(-len(row) % 4) for row in rows[::-1])
    return _bmp_file(struct.pack("<I4H", 12, *size, 1, 8) + palette, body)


def _bmp_file(info, body):
    start = 14 + len(info)
    return b"BM" + struct.pack("<I2HI", start + len(body), 0, 0, start) + info + body


def masks_of_version_4(red, green, blue, alpha):
    """Return what a header of version 4 has after the first 40 bytes."""
    return struct.pack("<4I", red, green, blue, alpha) + b"BGRs" + bytes(48)


# --- TGA: Truevision, 2.0


def tga(body, size, bits, kind, *, flags=0, palette=b"", palette_bits=24, tail=b""):
    """Return a file; flags: bits of alpha, 16 from the right, 32 from above."""
    n = len(palette) * 8 // palette_bits if palette else 0
    head = struct.pack(
        "<3B2HB4H2B",
        0,
        bool(palette),
        kind,
        0,
        n,
        palette_bits if n else 0,
        0,
        0,
        *size,
        bits,
        flags,
    )
    return head + palette + body + tail


def tga_runs(values):
    """Return pixels, each as bytes, as runs of one and spans of many."""
    parts = []
    for start in range(0, len(values), 8):
        some = values[start : start + 8]
        if len(set(some)) == 1:
            parts.append(bytes([0x80 | len(some) - 1]) + some[0])
        else:
            parts.append(bytes([len(some) - 1]) + b"".join(some))
    return b"".join(parts)


# --- SGI: Haeberli, 1.00


def sgi(planes, *, n_bytes=1):
    """Return a file of planes, shape (planes, height, width), the lowest row first."""
    n, height, width = planes.shape
    axes = 2 if n == 1 else 3
    head = struct.pack(">H2B4H2i", 474, 0, n_bytes, axes, width, height, n, 0, 255)
    return head.ljust(512, b"\0") + planes[:, ::-1].astype(f">u{n_bytes}").tobytes()


# --- PCX: ZSoft, version 5


def pcx(planes, *, palette=None):
    """Return a file of planes, shape (planes, height, width), of 8 bits."""
    n, height, width = planes.shape
    head = struct.pack("<4B6H", 10, 5, 1, 8, 0, 0, width - 1, height - 1, 72, 72)
    head += bytes(48) + struct.pack("<2B2H", 0, n, width, 1)
    rows = planes.transpose(1, 0, 2).ravel().tolist()
    body = b"".join(
        bytes([0xC1, value]) if value >= 0xC0 else bytes([value]) for value in rows
    )
    tail = b"" if palette is None else b"\x0c" + u1(palette)
    return head.ljust(128, b"\0") + body + tail


# --- QOI: Szablewski, 1.0


def qoi(pixels):
    """Return a file in which each pixel is written out."""
    height, width, n = pixels.shape
    mark = b"\xfe" if n == 3 else b"\xff"
    body = b"".join(mark + u1(pixel) for row in pixels for pixel in row)
    head = b"qoif" + struct.pack(">2I2B", width, height, n, 0)
    return head + body + bytes(7) + b"\1"


# --- PSD (Adobe, 2019): the merged picture alone

PSD_BITMAP, PSD_GREY, PSD_INDEXED, PSD_RGB, PSD_CMYK = 0, 1, 2, 3, 4
PSD_MULTICHANNEL, PSD_LAB = 7, 9


def psd(planes, mode, *, bits=8, palette=b"", version=1, layers=b"", packing=0):
    """Return a file of planes, shape (planes, height, width), or of packed bits.

    Parameters
    ----------
    layers
        What is said of the layers that were merged.
    packing
        0 not packed; 1 in spans by PackBits; others are said, and nothing is packed.
    """
    n, height, width = planes.shape
    if bits == 1:
        rows = np.packbits(planes.astype("u1"), axis=2)
    else:
        rows = planes.astype(f">u{bits // 8}")
    body = rows.tobytes()
    if packing == 1:
        spans = [
            bytes([row.nbytes - 1]) + row.tobytes()
            for row in rows.reshape(n * height, -1)
        ]
        body = b"".join(len(span).to_bytes(2, "big") for span in spans) + b"".join(
            spans
        )
    head = b"8BPS" + struct.pack(">H6xH2I2H", version, n, height, width, bits, mode)
    said = struct.pack(">I", len(palette)) + palette + bytes(4)
    said += struct.pack(">I", len(layers)) + layers + struct.pack(">H", packing)
    return head + said + body


# --- DDS: Microsoft


def dds(body, size, *, code=b"", bits=0, masks=(0, 0, 0, 0)):
    """Return a file of one surface."""
    width, height = size
    flags = 4 if code else 0x40 | bool(masks[3])
    form = struct.pack("<2I4s5I", 32, flags, code.ljust(4, b"\0"), bits, *masks)
    head = struct.pack("<7I44x", 124, 0x1007, height, width, width * 4, 0, 0)
    return b"DDS " + head + form + struct.pack("<I16x", 0x1000) + body


# --- ICO: Microsoft


def ico(pictures, *, kind=1):
    """Return a file of (width, height, bits, bytes)."""
    start = 6 + 16 * len(pictures)
    listed, bodies = [], b""
    for width, height, bits, data in pictures:
        place = start + len(bodies)
        listed.append(
            struct.pack("<4B2H2I", width, height, 0, 0, 1, bits, len(data), place)
        )
        bodies += data
    return struct.pack("<3H", 0, kind, len(pictures)) + b"".join(listed) + bodies


def ico_bitmap(pixels, clear):
    """Return a picture of 24 bits and its mask of one, shape (height, width)."""
    return ico_bitmap_of([u1(row[:, ::-1]) for row in pixels], 24, clear)


def ico_bitmap_of(rows, bits, clear, *, palette=b""):
    """Return a picture of any depth and its mask; ``rows`` are bytes, the upper first."""
    clear = np.asarray(clear)
    height, width = clear.shape
    head = struct.pack("<I2i2H6I", 40, width, height * 2, 1, bits, 0, 0, 0, 0, 0, 0)
    mask = np.packbits(clear.astype("u1"), axis=1)
    lines = [row.tobytes() for row in mask[::-1]]
    padded_rows = [row + bytes(-len(row) % 4) for row in (*rows[::-1], *lines)]
    return head + palette + b"".join(padded_rows)

"""PNG files of any depth, written from the specification (PNG 1.2, 1999)."""

from __future__ import annotations

import struct
import zlib

import numpy as np

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
# The seven passes of an interlaced picture: first row and column, and steps.
_ADAM7 = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)


def png(samples, depth, colour, *, clear=None, is_interlaced=False):
    """Return a file of samples, shape (height, width, channels); a clear colour or none."""
    height, width = samples.shape[:2]
    head = struct.pack(">2I5B", width, height, depth, colour, 0, 0, is_interlaced)
    passes = [samples]
    if is_interlaced:
        passes = [
            samples[row::down, column::right] for row, column, down, right in _ADAM7
        ]
    raw = b"".join(_rows(one, depth) for one in passes if one.size)
    chunks = [_chunk(b"IHDR", head)]
    if clear is not None:
        chunks.append(_chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear)))
    chunks += [_chunk(b"IDAT", zlib.compress(raw)), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(kind, data):
    return (
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data))
    )


def _rows(samples, depth):
    flat = samples.reshape(len(samples), -1)
    if depth >= 8:
        packed = [row.astype(f">u{depth // 8}").tobytes() for row in flat]
    else:
        places = np.arange(depth - 1, -1, -1)
        ones = (flat[:, :, None] >> places & 1).astype(np.uint8).reshape(len(flat), -1)
        packed = [row.tobytes() for row in np.packbits(ones, axis=1)]
    return b"".join(b"\0" + row for row in packed)

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


def png(
    samples,
    depth,
    colour,
    *,
    clear=None,
    is_interlaced=False,
    filter_kind=0,
    chunks=(),
    pieces=1,
    tail=b"",
):
    """Return a file of samples, shape (height, width, channels); a clear colour or none.

    Parameters
    ----------
    filter_kind
        0 to 4, of every row.
    chunks
        Others that come before the picture: (kind, content).
    pieces
        Into which the picture is cut.
    tail
        What comes between the picture and the end mark.
    """
    height, width = samples.shape[:2]
    head = struct.pack(">2I5B", width, height, depth, colour, 0, 0, is_interlaced)
    passes = [samples]
    if is_interlaced:
        passes = [
            samples[row::down, column::right] for row, column, down, right in _ADAM7
        ]
    raw = b"".join(_rows(one, depth, filter_kind) for one in passes if one.size)
    parts = [chunk(b"IHDR", head), *(chunk(*one) for one in chunks)]
    if clear is not None:
        parts.append(chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear)))
    packed = zlib.compress(raw)
    step = -(-len(packed) // pieces)
    parts += [
        chunk(b"IDAT", packed[at : at + step]) for at in range(0, len(packed), step)
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, tail, chunk(b"IEND", b"")])


def chunk(kind, data):
    return (
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data))
    )


def _rows(samples, depth, filter_kind):
    flat = samples.reshape(len(samples), -1)
    if depth >= 8:
        packed = [row.astype(f">u{depth // 8}").tobytes() for row in flat]
    else:
        places = np.arange(depth - 1, -1, -1)
        ones = (flat[:, :, None] >> places & 1).astype(np.uint8).reshape(len(flat), -1)
        packed = [row.tobytes() for row in np.packbits(ones, axis=1)]
    n_bytes = max(1, samples.shape[2] * depth // 8)
    above = bytes(len(packed[0]))
    rows = []
    for row in packed:
        rows.append(bytes([filter_kind]) + _filtered(row, above, n_bytes, filter_kind))
        above = row
    return b"".join(rows)


def _filtered(row, above, n_bytes, kind):
    """Return a row as differences from what the filter expects (section 6)."""
    here, up = (np.frombuffer(one, "u1").astype(int) for one in (row, above))
    left, corner = (
        np.concatenate([np.zeros(n_bytes, int), one])[: len(one)] for one in (here, up)
    )
    near = left + up - corner
    away = np.abs(near - [left, up, corner])
    paeth = np.select(
        [away[0] <= away[1:].min(0), away[1] <= away[2]], [left, up], corner
    )
    expected = [0 * up, left, up, (left + up) // 2, paeth][kind]
    return ((here - expected) % 256).astype("u1").tobytes()

"""GIF files, written from the specification (GIF89a, 1990), not compressed."""

from __future__ import annotations

import struct


def gif(frames, palette, *, screen=(16, 16), background=0, version=b"89a", end=b";"):
    """Return a file of frames with a palette of 256 colours, shape (256, 3).

    Parameters
    ----------
    frames
        Of each: what `frame` returns.
    """
    colours = b"" if palette is None else bytes(palette.astype("u1").ravel().tolist())
    flags = 0x70 if palette is None else 0xF7
    head = b"GIF" + version + struct.pack("<2H3B", *screen, flags, background, 0)
    return head + colours + b"".join(frames) + end


def frame(
    indices,
    *,
    at=(0, 0),
    clear=None,
    palette=None,
    is_interlaced=False,
    disposal=0,
    is_controlled=True,
):
    """Return one picture of palette indices, shape (height, width)."""
    height, width = indices.shape
    flags = disposal << 2 | (clear is not None)
    control = b"!\xf9\4" + struct.pack("<BHB", flags, 10, clear or 0) + b"\0"
    own = b"" if palette is None else bytes(palette.astype("u1").ravel().tolist())
    bits = (0x87 if own else 0) | 0x40 * is_interlaced
    head = b"," + struct.pack("<4HB", *at, width, height, bits)
    rows = range(height)
    if is_interlaced:
        rows = [*rows[::8], *rows[4::8], *rows[2::4], *rows[1::2]]
    values = [int(value) for row in rows for value in indices[row]]
    return (control if is_controlled else b"") + head + own + b"\x08" + blocks(values)


def blocks(values):
    """Return the values as codes of nine bits, the table cleared before it grows."""
    codes = []
    for start in range(0, len(values), 200):
        codes += [256, *values[start : start + 200]]
    ones = "".join(f"{code:09b}"[::-1] for code in [*codes, 257])
    ones += "0" * (-len(ones) % 8)
    data = bytes(int(ones[at : at + 8][::-1], 2) for at in range(0, len(ones), 8))
    parts = [data[at : at + 255] for at in range(0, len(data), 255)]
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"

"""JPEG files of flat blocks, written from the standard (ITU-T T.81, 1992).

Each block of 8 x 8 pixels has one value for each component, which the first coefficient
alone carries; divided by nothing, it is stored without loss. So what a decoder should
give is known before the file is written.
"""

from __future__ import annotations

import struct

import numpy as np

BASELINE, PROGRESSIVE = 0xC0, 0xC2
# Codes of four bits for the lengths 0 to 11 of a difference; one of one bit for "no more".
_FIRST = bytes([0, 0, 0, 12, *[0] * 12, *range(12)])
_OTHERS = bytes([1, *[0] * 15, 0])


def jpeg(
    blocks,
    *,
    process=BASELINE,
    adobe=None,
    names=(1, 2, 3, 4),
    halves=False,
    restart=0,
    before=b"",
    scans=1,
):
    """Return a file of blocks, shape (rows, columns, components), of 0 to 255.

    Parameters
    ----------
    adobe
        The colour transform that an Adobe segment states; no segment where None.
    names
        Of the components.
    halves
        Whether colours have half the width and height; all blocks of a component equal.
    restart
        Units between restart marks; 0 for none.
    before
        Segments that come first.
    scans
        1, or one for each component.
    """
    height, width, n = blocks.shape
    factors = [2 if halves and not k else 1 for k in range(n)]
    head = struct.pack(">B2HB", 8, height * 8, width * 8, n)
    head += b"".join(
        bytes([names[k], factors[k] << 4 | factors[k], 0]) for k in range(n)
    )
    parts = [b"\xff\xd8", before]
    if adobe is not None:
        parts.append(segment(0xEE, b"Adobe" + struct.pack(">3HB", 100, 0, 0, adobe)))
    parts += [segment(0xDB, b"\0" + b"\1" * 64), segment(process, head)]
    parts += [segment(0xC4, b"\0" + _FIRST), segment(0xC4, b"\x10" + _OTHERS)]
    if restart:
        parts.append(segment(0xDD, struct.pack(">H", restart)))
    for chosen in [range(n)] if scans == 1 else [[k] for k in range(n)]:
        last = 0 if process == PROGRESSIVE else 63
        listed = b"".join(bytes([names[k], 0]) for k in chosen)
        parts.append(segment(0xDA, bytes([len(chosen)]) + listed + bytes([0, last, 0])))
        parts.append(_scan(blocks, chosen, halves, restart, process))
    if process == PROGRESSIVE:
        parts += [_rest(blocks, names, k) for k in range(n)]
    return b"".join([*parts, b"\xff\xd9"])


def segment(mark, content):
    return bytes([0xFF, mark]) + struct.pack(">H", len(content) + 2) + content


def exif(orientation, *, order="<", form=3):
    """Return a segment that says how the camera was held (Exif 2.3, tag 274)."""
    value = struct.pack(
        order + ("HH" if form == 3 else "I"), orientation, *[0] * (form == 3)
    )
    return segment(0xE1, b"Exif\0\0" + exif_block(value, order, form))


def exif_block(value, order="<", form=3):
    """Return the block alone, as PNG and WebP hold it."""
    mark = b"II" if order == "<" else b"MM"
    entry = struct.pack(order + "2HI", 274, form, 1) + value
    return mark + struct.pack(order + "HIH", 42, 8, 1) + entry + bytes(4)


def _scan(blocks, chosen, halves, restart, process):
    height, width, _ = blocks.shape
    if halves and len(chosen) > 1:
        units = [
            [(0, row + i, column + j) for i in (0, 1) for j in (0, 1)]
            + [(k, row, column) for k in chosen[1:]]
            for row in range(0, height, 2)
            for column in range(0, width, 2)
        ]
    else:
        units = [
            [(k, row, column) for k in chosen]
            for row in range(height)
            for column in range(width)
        ]
    step = restart or len(units)
    parts = [units[at : at + step] for at in range(0, len(units), step)]
    coded = [_coded(blocks, part, process) for part in parts]
    marks = [bytes([0xFF, 0xD0 + number % 8]) for number in range(len(coded) - 1)]
    return b"".join(one + mark for one, mark in zip(coded, [*marks, b""], strict=True))


def _rest(blocks, names, k):
    """Return the scan that says of each block that it has no other coefficient."""
    head = segment(0xDA, bytes([1, names[k], 0, 1, 63, 0]))
    n_blocks = blocks.shape[0] * blocks.shape[1]
    ones = "0" * n_blocks + "1" * (-n_blocks % 8)
    return head + int(ones, 2).to_bytes(len(ones) // 8, "big")


def _coded(blocks, units, process):
    bits, before = [], {}
    for unit in units:
        for k, row, column in unit:
            value = 8 * (int(blocks[row, column, k]) - 128)
            difference = value - before.get(k, 0)
            before[k] = value
            length = abs(difference).bit_length()
            bits.append(f"{length:04b}")
            if length:
                shifted = difference if difference > 0 else difference + 2**length - 1
                bits.append(f"{shifted:0{length}b}")
            if process != PROGRESSIVE:
                bits.append("0")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    data = int(text, 2).to_bytes(len(text) // 8, "big")
    return data.replace(b"\xff", b"\xff\0")


def rgb_from_ycc(blocks):
    """Return what the components stand for (ITU-T T.871, section 7)."""
    y, cb, cr = (blocks[..., k].astype(float) - (128 if k else 0) for k in range(3))
    red = y + 1.402 * cr
    green = y - 0.344136 * cb - 0.714136 * cr
    return np.stack([red, green, y + 1.772 * cb], -1).clip(0, 255)


def pixels(blocks):
    """Return blocks as pixels."""
    return np.repeat(np.repeat(blocks, 8, 0), 8, 1)

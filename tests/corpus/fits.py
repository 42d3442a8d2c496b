"""FITS files, written from the standard (FITS 4.0, 2018)."""

from __future__ import annotations

FORMS = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


def fits(values, bits, **cards: object):
    """Return a file of values, shape (height, width) or (planes, height, width)."""
    axes = {f"NAXIS{n + 1}": length for n, length in enumerate(values.shape[::-1])}
    first = {"SIMPLE": "T", "BITPIX": bits, "NAXIS": values.ndim, **axes}
    # The first row is the lowest.
    data = values[..., ::-1, :].astype(FORMS[bits]).tobytes()
    return header({**first, **cards}) + padded(data)


def header(cards):
    lines = [f"{name:<8}= {value:>20} / said" for name, value in cards.items()]
    text = "".join(line.ljust(80) for line in [*lines, "END"])
    return text.encode().ljust(-(-len(text) // 2880) * 2880)


def padded(data):
    return data + bytes(-len(data) % 2880)

"""Pictures of other sizes, cut and scaled: of few colours, away from whose edges
the right value is known whatever the filter."""

from __future__ import annotations

import numpy as np

from tests.corpus.cases.arrays import rows_of
from tests.corpus.cases.case import (
    QUARTERS,
    SIDE,
    Case,
    Right,
    flat,
    named,
)
from tests.corpus.npy import npy
from tests.corpus.png import PALETTE, RGB, png

KNOWN = "one colour in each quarter; edges, which a filter mixes, are not compared"
_picture = named("cut and scaled", known=KNOWN, allowed=3)


def _inside(pixels):
    shown = np.array(pixels, float)
    shown[5:11], shown[:, 5:11] = np.nan, np.nan
    return shown


def _blown(height, width):
    rows, columns = np.arange(height) * SIDE // height, np.arange(width) * SIDE // width
    return QUARTERS[rows][:, columns]


def _pictures():
    for height, width in (
        (64, 64),
        (200, 64),
        (64, 200),
        (48, 1000),
        (1000, 48),
        (12, 12),
        (17, 31),
    ):
        data = png(_blown(height, width), 8, RGB)
        yield _picture(f"{width} x {height} pixels", data, _inside(QUARTERS))
    for size in ((1, 1), (1, 50), (50, 1)):
        yield _picture(
            f"{size[0]} x {size[1]} pixels of one colour",
            png(np.full((*size[::-1], 3), 77), 8, RGB),
            flat(77),
        )
    table = [(b"PLTE", bytes([250, 0, 0, 0, 250, 0, 0, 0, 250, 0, 0, 0]))]
    indices = np.zeros((64, 64, 1), int)
    indices[:32, 32:], indices[32:, :32], indices[32:, 32:] = 1, 2, 3
    yield _picture(
        "a palette, scaled", png(indices, 2, PALETTE, chunks=table), _inside(QUARTERS)
    )
    wide = np.zeros((32, 96, 3), int)
    wide[:, 32:64] = np.repeat(np.repeat(QUARTERS, 2, 0), 2, 1)
    data = png(wide, 8, RGB)
    yield _picture(
        "--crop center of 96 x 32", data, _inside(QUARTERS), options={"crop": "center"}
    )
    yield _picture(
        "--crop 32,0,64,32", data, _inside(QUARTERS), options={"crop": "32,0,64,32"}
    )
    yield _picture(
        "--crop 48,16,64,32",
        data,
        flat(QUARTERS[8, 8]),
        options={"crop": "48,16,64,32"},
    )
    yield _picture(
        "--crop beyond its edge",
        data,
        None,
        options={"crop": "90,0,122,32"},
        reason="too small",
        known="no such pixels",
    )


def _arrays():
    for height, width in ((64, 64), (200, 48), (12, 12)):
        rows = np.stack([_blown(height, width)] * 2).astype("u1")

        def make(folder, rows=rows):
            (folder / "a.npy").write_bytes(npy(rows))
            return folder / "a.npy"

        right = Right(rows=rows_of([_inside(QUARTERS)] * 2, 3))
        yield Case(
            group="cut and scaled",
            name=f"an array of {width} x {height} pixels",
            make=make,
            right=right,
            known=KNOWN,
        )


PICTURES = tuple(_pictures())
CASES = tuple(_arrays())

"""Tables of labels beside pictures or in their place: classes come from folders alone.

Nothing joins the lines of a table to pictures, so no empty cell, second line of one name or
name without a picture can give a wrong label. A table is told wherever it is met.
"""

from __future__ import annotations

import io

import numpy as np

from tests.corpus.cases.arrays import RGBS, rows_of
from tests.corpus.cases.case import NOT_TRIED, Case, Right, plain_png
from tests.corpus.cases.members import shown
from tests.corpus.sources import folder

KNOWN = "classes are those of folders (docs/formats); no table has any"
NONE = Right(rows=None, reason="of no kind that can be ingested")
LINES = {
    "all labels": "name,label\ncat/1.png,cat\ndog/2.png,dog\n",
    "empty cells": "name,label\ncat/1.png,\ndog/2.png,dog\n",
    "NaN, None and NA": "name,label\ncat/1.png,NaN\ndog/2.png,None\nx.png,NA\n",
    "mixed types": "name,label\ncat/1.png,1\ndog/2.png,two\nx.png,3.5\n",
    "one name twice": "name,label\ncat/1.png,dog\ncat/1.png,cat\ndog/2.png,cat\n",
    "names of no picture": "name,label\ngone.png,cat\ncat/1.png,dog\n",
    "other labels than the folders": "name,label\ncat/1.png,dog\ndog/2.png,cat\n",
}


def _case(name, make, right):
    return Case(
        group="tables of labels", name=name, make=make, right=right, known=KNOWN,
        before=NOT_TRIED,
    )  # fmt: skip


def _parquet(text):
    """Return bytes that begin and end as Parquet; what is between is not looked at."""
    return b"PAR1" + text.encode() + b"\0\0\0\0PAR1"


def _beside():
    one, two = plain_png(1), plain_png(2)
    for title, text in LINES.items():
        for ending, data in ((".csv", text.encode()), (".parquet", _parquet(text))):
            table = f"labels{ending}"
            yield _case(
                f"a {ending} of {title}, beside two classes",
                lambda place, t=table, d=data: folder(
                    place / "tree", {"cat/1.png": one, "dog/2.png": two, t: d}
                ),
                Right(
                    rows=shown(("cat/1.png", 1), ("dog/2.png", 2)),
                    skipped={table: "not an image"},
                    labels=["cat", "dog"],
                ),
            )
    for ending in (".csv", ".parquet"):
        data = LINES["empty cells"].encode()
        data = data if ending == ".csv" else _parquet(LINES["empty cells"])
        yield _case(
            f"a {ending} beside pictures of no class",
            lambda place, t=f"labels{ending}", d=data: folder(
                place / "tree", {"1.png": one, "2.png": two, t: d}
            ),
            Right(
                rows=shown(("1.png", 1), ("2.png", 2)),
                skipped={f"labels{ending}": "not an image"},
                labels=None,
            ),
        )


def _alone():
    text = LINES["empty cells"]
    for ending in ("tsv", "parquet", "feather", "arrow", "jsonl", "xlsx"):
        data = _parquet(text) if ending == "parquet" else text.encode()
        yield _case(
            f"a file .{ending} as the source",
            lambda place, e=ending, d=data: (
                folder(place / "tree", {f"a.{e}": d}) / f"a.{e}"
            ),
            NONE,
        )


def _in_npz():
    """Yield labels beside pictures in one file: those arrays are not taken for pictures."""
    for title, labels in (
        ("numbers", np.array([0, 1, 0])),
        ("floats, one of them NaN", np.array([0, np.nan, 1])),
        ("words, one of them empty", np.array(["cat", "", "dog"])),
        ("objects: a number, None and a word", np.array([1, None, "cat"], object)),
        ("one too few", np.array([0, 1])),
    ):

        def make(place, labels=labels):
            stream = io.BytesIO()
            # By NumPy itself: objects are pickled, as people's files have them.
            np.savez(stream, labels=labels, photos=RGBS)
            (place / "a.npz").write_bytes(stream.getvalue())
            return place / "a.npz"

        yield _case(
            f"labels in .npz of {title}",
            make,
            Right(rows=rows_of(RGBS), labels=None),
        )


CASES = (*_beside(), *_alone(), *_in_npz())

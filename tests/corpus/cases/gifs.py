"""GIF, still and moving (GIF89a; tests/corpus/gif.py)."""

from __future__ import annotations

import numpy as np

from tests.corpus.cases.case import (
    GREYS,
    KNOWN,
    coloured,
    flat,
    named,
)
from tests.corpus.gif import frame, gif

TABLE = np.random.default_rng(8).integers(0, 256, (256, 3))
SHOWN = TABLE[GREYS]
BLACK = np.zeros((16, 16), int)
_picture = named("GIF")


def _pictures():
    yield _picture("one picture", gif([frame(GREYS)], TABLE), SHOWN, before="right")
    yield _picture(
        "of 1987",
        gif([frame(GREYS, is_controlled=False)], TABLE, version=b"87a"),
        SHOWN,
    )
    yield _picture("interlaced", gif([frame(GREYS, is_interlaced=True)], TABLE), SHOWN)
    yield _picture(
        "a palette of its own", gif([frame(GREYS, palette=TABLE)], TABLE[::-1]), SHOWN
    )
    yield _picture(
        "no palette but its own", gif([frame(GREYS, palette=TABLE)], None), SHOWN
    )
    clear = np.where(GREYS[..., None] == 77, 255, SHOWN)
    yield _picture("one colour clear", gif([frame(GREYS, clear=77)], TABLE), clear)
    yield _picture(
        "one colour clear, the background another",
        gif([frame(GREYS, clear=77)], TABLE, background=5),
        clear,
    )
    grey = np.repeat(np.arange(256)[:, None], 3, 1)
    yield _picture("a grey palette", gif([frame(GREYS)], grey), coloured(GREYS))
    yield _picture(
        "a grey palette, one grey clear",
        gif([frame(GREYS, clear=3)], grey),
        np.where(coloured(GREYS) == 3, 255, coloured(GREYS)),
    )
    for disposal in range(4):
        frames = [frame(GREYS, disposal=disposal), frame(BLACK)]
        yield _picture(
            f"moving, disposal {disposal}",
            gif(frames, TABLE),
            SHOWN,
            known=KNOWN + "; the first frame",
        )
    small = np.full((16, 16, 3), 255)
    small[4:12, 2:10] = TABLE[GREYS[:8, :8]]
    data = gif([frame(GREYS[:8, :8], at=(2, 4), clear=250)], TABLE)
    yield _picture(
        "smaller than its screen, one colour clear",
        data,
        small,
        known=KNOWN + "; around it nothing is",
    )
    data = gif([frame(GREYS)], TABLE, screen=(8, 8))
    yield _picture(
        "larger than its screen",
        data,
        SHOWN,
        known=KNOWN + "; browsers widen the screen",
    )
    yield _picture("without its end mark", gif([frame(GREYS)], TABLE, end=b""), SHOWN)
    yield _picture(
        "other data behind it", gif([frame(GREYS)], TABLE) + bytes(999), SHOWN
    )
    comment = b"!\xfe\x05hello\0"
    yield _picture("a comment first", gif([comment, frame(GREYS)], TABLE), SHOWN)
    yield _picture("no picture", gif([], TABLE), None, known="no picture is in it")
    whole = gif([frame(GREYS)], TABLE)
    yield _picture(
        "no row of its picture",
        whole[: 13 + 768 + 8 + 10 + 1],
        None,
        known="no pixel is in it",
    )
    yield _picture("all of one colour", gif([frame(BLACK)], TABLE), flat(TABLE[0]))


PICTURES = tuple(_pictures())

"""What a case is: an input, its right answer, and how that is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.corpus.png import RGB, png

SIDE = 16
NOT_TRIED = "not tried"
# Beside a picture that is tried: it must be stored whatever becomes of the other.
WITNESS = "~"
ANY = object()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """An image that must be stored.

    Attributes
    ----------
    name
        Of the row; None where it may be any.
    pixels : shape (side, side, 3)
        Of 0 to 255; nan where any value is right.
    allowed
        By how much a value may be off.
    """

    name: str | None
    pixels: np.ndarray
    allowed: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Right:
    """The right answer.

    Attributes
    ----------
    rows
        What must be stored, in order; None where the source must be refused as a whole.
    reason
        What must be said where it is; a pattern.
    skipped
        What must be left out and listed: names, and patterns of the reasons.
    labels
        The class of each row, None for none, `ANY` where nothing is asked.
    """

    rows: tuple[Row, ...] | None = ()
    reason: str = ""
    skipped: Mapping[str, str] = field(default_factory=dict)
    labels: object = ANY


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """An input and its right answer.

    Attributes
    ----------
    group, name
        Where it stands in the table.
    make
        Writes it into an empty folder; returns the path of the source.
    known
        How the right answer is known.
    before
        What became of it when it was found; `NOT_TRIED` of its neighbours.
    options
        Of the job, beside the source.
    """

    group: str
    name: str
    make: Callable[[Path], Path]
    right: Right
    known: str
    before: str = NOT_TRIED
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """An encoded picture, and what it shows.

    Attributes
    ----------
    shown : shape (side, side, 3)
        None where it must be refused.
    reason
        What must be said then; a pattern.
    tells_its_end
        Whether it can be told that its last byte is missing.
    """

    group: str
    name: str
    data: bytes
    shown: np.ndarray | None
    known: str
    reason: str = "."
    allowed: float = 0.01
    before: str = NOT_TRIED
    options: Mapping[str, object] = field(default_factory=dict)
    tells_its_end: bool = True


def flat(value):
    """Return a picture of one value, or of one colour."""
    return np.broadcast_to(np.array(value, float), (SIDE, SIDE, 3))


def coloured(samples):
    """Return grey samples, or red, green and blue, as what is shown."""
    samples = np.asarray(samples, float)
    if samples.ndim == 2:
        samples = samples[..., None]
    return np.broadcast_to(samples, (SIDE, SIDE, 3))


def plain_png(value, side=SIDE):
    """Return a PNG of one grey value."""
    return png(np.full((side, side, 3), value), 8, RGB)


# From black to white, differing in each row.
UNIT = np.linspace(0, 1, SIDE * SIDE).reshape(SIDE, SIDE)
GREYS = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
COLOURS = np.stack([np.roll(GREYS, 37 * n) for n in range(3)], -1)
SIZE = (SIDE, SIDE)
KNOWN = "samples known before the file was written from the specification"
# A table of colours; numbers of 5 bits; every third pixel clear, and what is shown then.
TABLE = np.random.default_rng(9).integers(0, 256, (256, 3))
FIVES = np.stack([GREYS % 32, GREYS // 8, 31 - GREYS % 32], -1)
ALPHA = np.where(GREYS % 3 == 0, 0, 255)[..., None]
CLEARED = np.where(ALPHA == 0, 255, COLOURS)
# Another in each of its quarters: no turn leaves it as it is.
QUARTERS = np.zeros((SIDE, SIDE, 3), int)
QUARTERS[:8, :8], QUARTERS[:8, 8:], QUARTERS[8:, :8] = (
    (250, 0, 0),
    (0, 250, 0),
    (0, 0, 250),
)
_WITNESS_ROW = Row(name=WITNESS, pixels=flat(201))


def named(group, **usual):
    """Return what makes pictures of a group; ``usual`` holds where nothing else is said."""
    usual = {"known": KNOWN, **usual}

    def picture(name, data, shown=None, **more):
        words = {**usual, **more}
        return Picture(group=group, name=name, data=data, shown=shown, **words)

    return picture


def case_of(picture):
    """Return a picture as a case: in a folder, beside a witness."""
    name = "a picture"

    def make(folder):
        source = folder / "pictures"
        source.mkdir()
        (source / name).write_bytes(picture.data)
        # Large enough for any crop.
        (source / WITNESS).write_bytes(plain_png(201, 128))
        return source

    if picture.shown is None:
        right = Right(rows=(_WITNESS_ROW,), skipped={name: picture.reason})
    else:
        row = Row(name=name, pixels=picture.shown, allowed=picture.allowed)
        right = Right(rows=(row, _WITNESS_ROW))
    return Case(
        group=picture.group,
        name=picture.name,
        make=make,
        right=right,
        known=picture.known,
        before=picture.before,
        options=picture.options,
    )

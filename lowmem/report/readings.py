"""Read the memory readings of a job, one a second, and thin them for a chart."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - msgspec reads the annotation
from typing import TYPE_CHECKING, Annotated

import msgspec

from lowmem.base.files import storage_errors
from lowmem.base.outside import BAD_JSON

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryReading:
    """The largest reading within one second; see docs/formats/private.md, "Telemetry"."""

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    attempt: int
    ram_bytes: int
    vram_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a curve.

    Attributes
    ----------
    elapsed_s
        Seconds of work before it.
    stretch
        Points are joined by a line only within one stretch.
    n_bytes
        Memory in use.
    """

    elapsed_s: float
    stretch: int
    n_bytes: int


_decoder = msgspec.json.Decoder(TelemetryReading)


def read_telemetry(path: Path) -> Iterator[TelemetryReading]:
    """Yield the readings of a file in order; none where there is no file.

    Notes
    -----
    Readings are not made durable, and a crash may tear a line anywhere between two
    runs. A line that cannot be read is left out: no number depends on it.
    """
    if not path.exists():
        return
    with storage_errors(path), path.open("rb") as stream:
        for line in stream:
            with suppress(*BAD_JSON):
                yield _decoder.decode(line)


def thin(points: Sequence[Point], *, at_most: int) -> list[Point]:
    """Return the highest point of each of ``at_most`` equal spans of time.

    Notes
    -----
    No peak is lost, which is what the curve is for; the valleys between are.
    """
    if len(points) <= at_most:
        return list(points)
    span = points[-1].elapsed_s / at_most or 1.0
    highest: dict[int, Point] = {}
    for point in points:
        # The very last point would otherwise open one span more.
        place = min(int(point.elapsed_s / span), at_most - 1)
        known = highest.get(place)
        if known is None or point.n_bytes > known.n_bytes:
            highest[place] = point
    return list(highest.values())


def by_stretch(points: Iterable[Point]) -> list[list[Point]]:
    """Return the points in groups that are joined by one line each."""
    groups: dict[int, list[Point]] = {}
    for point in points:
        groups.setdefault(point.stretch, []).append(point)
    return list(groups.values())

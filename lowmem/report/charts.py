"""The charts of the page as geometry: paths, bars and labels, no markup.

The template draws the shapes in an SVG that stretches to the width of the screen, and
sets every label over it as text of the page, so that a phone shows readable words.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import dropwhile
from typing import TYPE_CHECKING

from lowmem.base.units import format_budget, format_bytes
from lowmem.report.readings import Point, by_stretch, thin
from lowmem.report.scales import HEIGHT, WIDTH, MemoryScale, Tick, time_ticks
from lowmem.report.timeline import timeline_from_readings
from lowmem.report.wording import mebibytes, moment_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowmem.report.readings import TelemetryReading
    from lowmem.report.schema import CycleReport, JobReport
    from lowmem.report.timeline import Timeline

_MOST_POINTS = 2000
_MOST_BOUNDARIES = 120
_MOST_BARS = 120
_MOST_BAR_LABELS = 8
# A job of two cycles would otherwise show two walls.
_FEWEST_SLOTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """An event on the time axis; ``number`` is its place in the list, from 1."""

    percent: float
    number: int
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveChart:
    """Memory over time.

    Attributes
    ----------
    area, line
        SVG paths: from the bottom up to the curve, and the curve.
    boundaries
        SVG path of the upright lines where cycles ended; empty if there are too many.
    """

    name: str
    label: str
    scale: MemoryScale
    time_ticks: tuple[Tick, ...]
    area: str
    line: str
    boundaries: str
    markers: tuple[Marker, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One cycle: coordinates of the bar of its peak, and of what was left at its end.

    ``start_y`` and ``end_y`` are None where nothing was measured.
    """

    x: float
    width: float
    peak_y: float
    start_y: float | None
    end_y: float | None
    outcome: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BarChart:
    """Memory of each cycle.

    Attributes
    ----------
    per_bar
        Cycles that one bar stands for; it shows the one with the highest peak.
    """

    label: str
    scale: MemoryScale
    bars: tuple[Bar, ...]
    bar_ticks: tuple[Tick, ...]
    per_bar: int


def curve_charts(
    name: str, job: JobReport, readings: Sequence[TelemetryReading]
) -> list[CurveChart]:
    """Return the curves of RAM and, where it was measured, of VRAM."""
    begun = moment_of(job.begun_at)
    # Readings from before a restart from nothing belong to history. As they were taken:
    # by their times, those after a clock was set back would lie among those before.
    own = list(
        dropwhile(lambda reading: begun is not None and reading.at < begun, readings)
    )
    line = timeline_from_readings(own)
    ram = [reading.ram_bytes for reading in own]
    vram = [reading.vram_bytes for reading in own]
    curves = (
        ("RAM", ram, job.ram_peak_bytes, job.budgets.ram_bytes),
        ("VRAM", vram, job.vram_peak_bytes, job.budgets.vram_bytes),
    )
    charts = []
    for kind, values, peak, budget in curves:
        points = _points(line, values)
        if points:
            # Cycles are read more often than once a second: they may know a higher peak.
            highest = max(peak or 0, *(point.n_bytes for point in points))
            scale = MemoryScale.of(highest, budget)
            charts.append(
                CurveChart(
                    name=kind,
                    label=_label(f"{kind} of {name} over time", highest, budget),
                    scale=scale,
                    time_ticks=time_ticks(line.total_s),
                    area=_area(points, scale, line),
                    line=_line(points, scale, line),
                    boundaries=_boundaries(job, line),
                    markers=_markers(job, line),
                )
            )
    return charts


def bar_chart(name: str, job: JobReport) -> BarChart | None:
    """Return the bars of a job's cycles; None where no peak was measured."""
    measured = [cycle for cycle in job.cycles if cycle.ram_peak_bytes is not None]
    if not measured:
        return None
    per_bar = -(-len(measured) // _MOST_BARS)
    groups = [measured[at : at + per_bar] for at in range(0, len(measured), per_bar)]
    shown = [max(group, key=_peak) for group in groups]
    highest = max(map(_peak, shown))
    scale = MemoryScale.of(highest, job.budgets.ram_bytes)
    return BarChart(
        label=_label(f"RAM of {name} by cycle", highest, job.budgets.ram_bytes),
        scale=scale,
        bars=tuple(
            _bar(cycle, place, len(shown), scale) for place, cycle in enumerate(shown)
        ),
        bar_ticks=_bar_ticks(shown),
        per_bar=per_bar,
    )


def _label(subject: str, peak: int, budget: int | None) -> str:
    limit = f" of a budget of {format_budget(budget)}" if budget is not None else ""
    return f"{subject}: at most {format_bytes(peak)}{limit}"


# --- curves -----------------------------------------------------------------------


def _points(line: Timeline, values: Sequence[int | None]) -> list[Point]:
    points = [
        Point(elapsed, stretch, value)
        for elapsed, stretch, value in zip(
            line.elapsed_s, line.stretches, values, strict=True
        )
        if value is not None
    ]
    return thin(points, at_most=_MOST_POINTS)


def _x(elapsed_s: float, line: Timeline) -> float:
    return round(WIDTH * elapsed_s / line.total_s, 2)


def _corners(points: Sequence[Point], scale: MemoryScale, line: Timeline) -> str:
    return " ".join(
        f"{_x(point.elapsed_s, line)} {scale.y(point.n_bytes)}" for point in points
    )


def _line(points: Sequence[Point], scale: MemoryScale, line: Timeline) -> str:
    # A stretch of one point is a line of no length: its round cap shows as a dot.
    return " ".join(
        f"M {_corners([*group, group[-1]], scale, line)}"
        for group in by_stretch(points)
    )


def _area(points: Sequence[Point], scale: MemoryScale, line: Timeline) -> str:
    return " ".join(
        f"M {_x(group[0].elapsed_s, line)} {HEIGHT} "
        f"L {_corners(group, scale, line)} "
        f"L {_x(group[-1].elapsed_s, line)} {HEIGHT} Z"
        for group in by_stretch(points)
    )


def _boundaries(job: JobReport, line: Timeline) -> str:
    if len(job.cycles) > _MOST_BOUNDARIES:
        return ""
    ends = (moment_of(c.started_at, after_s=c.seconds) for c in job.cycles)
    return " ".join(
        f"M {_x(line.elapsed_at(end), line)} 0 V {HEIGHT}"
        for end in ends
        if end is not None
    )


def _markers(job: JobReport, line: Timeline) -> tuple[Marker, ...]:
    return tuple(
        Marker(
            percent=round(100 * line.elapsed_at(at) / line.total_s, 3),
            number=number,
            title=f"{event.verdict}: {event.action}",
        )
        for number, event in enumerate(job.events, start=1)
        if (at := moment_of(event.at)) is not None
    )


# --- bars -------------------------------------------------------------------------


def _peak(cycle: CycleReport) -> int:
    return -1 if cycle.ram_peak_bytes is None else cycle.ram_peak_bytes


def _bar(cycle: CycleReport, place: int, n_bars: int, scale: MemoryScale) -> Bar:
    room = WIDTH / max(n_bars, _FEWEST_SLOTS)
    start, end = cycle.ram_start_bytes, cycle.ram_end_bytes
    return Bar(
        x=round(room * (place + 0.14), 2),
        width=round(room * 0.72, 2),
        peak_y=scale.y(_peak(cycle)),
        start_y=None if start is None else scale.y(start),
        end_y=None if end is None else scale.y(end),
        outcome=cycle.outcome,
        title=(
            f"cycle {cycle.index}, attempt {cycle.attempt}, "
            f"{cycle.outcome.replace('_', ' ')}; MiB: start {mebibytes(start)}, "
            f"peak {mebibytes(cycle.ram_peak_bytes)}, end {mebibytes(end)}"
        ),
    )


def _bar_ticks(cycles: Sequence[CycleReport]) -> tuple[Tick, ...]:
    step = -(-len(cycles) // _MOST_BAR_LABELS)
    n_slots = max(len(cycles), _FEWEST_SLOTS)
    return tuple(
        Tick(round(100 * (place + 0.5) / n_slots, 3), str(cycles[place].index))
        for place in range(0, len(cycles), step)
    )

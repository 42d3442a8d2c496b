"""Training curves: from ``model/history.csv`` to lines of a chart."""

from __future__ import annotations

import csv
import itertools
import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.report.scales import HEIGHT, WIDTH, Tick

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lowmem.base.workspace import Workspace

# Bounds of the page, far above a real history: its rows, its columns, a line's points.
_MOST_ROWS = 100_000
_MOST_COLUMNS = 32
_MOST_POINTS = 1000
_MOST_TICKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One quantity over the epochs.

    Attributes
    ----------
    path
        SVG path; it is interrupted where a value is no finite number.
    last
        Its value in the last epoch, as it is in the file; empty if there is none.
    """

    name: str
    path: str
    last: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingChart:
    """A quantity of the training data and, where it was measured, of the validation."""

    name: str
    label: str
    curves: tuple[Curve, ...]
    y_ticks: tuple[Tick, ...]
    x_ticks: tuple[Tick, ...]


Column = list[tuple[int, float, str]]


def training_charts(workspace: Workspace) -> list[TrainingChart]:
    """Return a chart for each quantity of the history; none where there is no history.

    A history that cannot be read costs its chart, never the page.
    """
    columns: dict[str, Column] = {}
    path = workspace.model / "history.csv"
    with (
        suppress(OSError, UnicodeDecodeError, csv.Error),
        path.open(newline="", encoding="utf-8") as stream,
    ):
        for row in itertools.islice(csv.DictReader(stream), _MOST_ROWS):
            _add(row, columns)
    names = [name for name in columns if not name.startswith("val_")][:_MOST_COLUMNS]
    charts = (
        _chart(name, [c for c in (name, f"val_{name}") if c in columns], columns)
        for name in names
    )
    return [chart for chart in charts if chart is not None]


def _add(row: dict[str | None, str | None], columns: dict[str, Column]) -> None:
    try:
        epoch = int(row.get("epoch") or "")
    except ValueError:
        return
    for name, text in row.items():
        if name is None or name == "epoch" or not isinstance(text, str):
            continue
        with suppress(ValueError):
            columns.setdefault(name, []).append((epoch, float(text), text))


def _chart(
    name: str, shown: Sequence[str], columns: dict[str, Column]
) -> TrainingChart | None:
    points = [point for column in shown for point in columns[column]]
    finite = [value for _, value, _ in points if math.isfinite(value)]
    if not finite:
        return None
    epochs = [epoch for epoch, _, _ in points]
    first, last = min(epochs), max(epochs)
    low, high = min(finite), max(finite)
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    bottom, top = low - room, high + room

    def x(epoch: int) -> float:
        return round(WIDTH * (epoch - first) / max(last - first, 1), 2)

    def y(value: float) -> float:
        return round(HEIGHT * (top - value) / (top - bottom), 2)

    curves = []
    for column in shown:
        stretches = " ".join(
            "M " + " ".join(f"{x(e)} {y(v)}" for e, v in [*group, group[-1]])
            for group in _stretches(columns[column])
        )
        curves.append(Curve(name=column, path=stretches, last=columns[column][-1][2]))
    ends = ", ".join(f"{curve.name} {curve.last}" for curve in curves)
    step = -(-max(last - first, 1) // _MOST_TICKS)
    return TrainingChart(
        name=name,
        label=f"{name} by epoch, {first} to {last}; in the last: {ends}",
        curves=tuple(curves),
        y_ticks=tuple(
            Tick(round(100 * y(value) / HEIGHT, 3), f"{value:.4g}")
            for value in (low + (high - low) * part / 4 for part in range(5))
        )
        if high > low
        else (Tick(50.0, f"{high:.4g}"),),
        x_ticks=tuple(
            Tick(round(100 * x(epoch) / WIDTH, 3), str(epoch))
            for epoch in range(first, last + 1, step)
        ),
    )


def _stretches(column: Column) -> Iterator[list[tuple[int, float]]]:
    """Yield runs of finite values; of a very long history every so many epochs."""
    every = -(-len(column) // _MOST_POINTS)
    kept = [*column[::every], *(column[-1:] if (len(column) - 1) % every else ())]
    for is_finite, group in itertools.groupby(kept, lambda p: math.isfinite(p[1])):
        if is_finite:
            yield [(epoch, value) for epoch, value, _ in group]

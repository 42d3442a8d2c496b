"""Choose the scales of a chart: round ticks, and whether the budget fits on it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from lowmem.base.units import format_bytes

# A chart's own coordinates; the page stretches them to the width there is.
WIDTH = 1000.0
HEIGHT = 260.0

_MOST_TICKS = 5
_TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
# Below this share of the budget the curve would be a flat line at the bottom.
_LEAST_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Tick:
    """A label on an axis, in per cent of the chart's width or height."""

    percent: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryScale:
    """The vertical axis: bytes, from 0 at the bottom.

    Attributes
    ----------
    top_bytes
        What the upper edge stands for.
    budget_bytes
        The limit, if there is one; it may lie above the upper edge.
    """

    top_bytes: float
    budget_bytes: int | None

    @classmethod
    def of(cls, peak_bytes: int, budget_bytes: int | None) -> MemoryScale:
        """Return a scale that holds the peak, and the budget unless it is far above."""
        top = max(peak_bytes, 1) * 1.12
        if budget_bytes is not None and peak_bytes >= _LEAST_SHARE * budget_bytes:
            top = max(top, budget_bytes * 1.08)
        return cls(top_bytes=top, budget_bytes=budget_bytes)

    @property
    def is_budget_shown(self) -> bool:
        """Whether the line of the budget lies within the chart."""
        return self.budget_bytes is not None and self.budget_bytes <= self.top_bytes

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """Labels at multiples of a power of two, from the bottom up."""
        step = next(2**k for k in count() if 2**k * _MOST_TICKS >= self.top_bytes)
        places = range(0, int(self.top_bytes) + 1, step)
        return tuple(Tick(self.percent(place), _bytes_label(place)) for place in places)

    def y(self, n_bytes: float) -> float:
        """Return the vertical coordinate, which grows downwards."""
        return round(HEIGHT * (1 - n_bytes / self.top_bytes), 2)

    def percent(self, n_bytes: float) -> float:
        """Return the distance from the top in per cent of the height."""
        return round(100 * (1 - n_bytes / self.top_bytes), 3)


def time_ticks(total_s: float) -> tuple[Tick, ...]:
    """Return labels for an axis of that many seconds."""
    longest = _TIME_STEPS[-1]
    steps = (*_TIME_STEPS, *range(2 * longest, int(total_s) + 3 * longest, longest))
    step = next(step for step in steps if step * _MOST_TICKS >= total_s)
    places = range(0, int(total_s) + 1, step)
    return tuple(
        Tick(round(100 * place / total_s, 3), duration_label(place)) for place in places
    )


def duration_label(seconds: int) -> str:
    """Return whole seconds, without the units that are 0.

    Examples
    --------
    >>> duration_label(90), duration_label(7200), duration_label(0)
    ('1 min 30 s', '2 h', '0')
    """
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "min"), (left, "s"))
    return " ".join(f"{value} {unit}" for value, unit in parts if value) or "0"


def _bytes_label(n_bytes: int) -> str:
    """Return a label without the zeros that `format_bytes` prints after the point."""
    if n_bytes == 0:
        return "0"
    number, unit = format_bytes(n_bytes).split()
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"

"""Tell counts of values with a step, such as whole numbers, from those of any values.

Bins finer than the step are a comb: between two of the values every bin is empty, however
many rows there are. A curve fitted to the comb is far too wide, for the empty bins count
as observed. So the comb is found by its even teeth, and counted once more a step at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

# The teeth are looked at between these shares of the rows; of few, further out.
_CORES = ((0.16, 0.84), (0.025, 0.975), (0.0, 1.0))
# By which the stretch grows from one estimate of their distance to the next.
_GROWTH = 1.5
_LEAST_TEETH = 4
# Rows to a bin of the core above which an empty one is no accident: where one bin in six
# or more is empty, and where fewer are.
_MANY, _VERY_MANY = 5, 20
_CLEAR_STEP = 1.2
# Bins to a step below which a bin says too little of the number of its value: there the
# empty bins between others are left out.
_DISTINCT = 1.3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Teeth:
    """Counts of one feature, one for each of its values.

    Attributes
    ----------
    places : shape (n,)
        Where the values are, as numbers of bins.
    counts : shape (n,)
    step
        Bins from one value to the next.
    """

    places: Floats
    counts: Counts
    step: float


def find_teeth(counts: Counts) -> Teeth | None:
    """Return the counts by value; None where the bins are not finer than a step.

    Parameters
    ----------
    counts : shape (n_bins,)
    """
    for shares in _CORES:
        core = _core_of(counts, shares)
        if len(core) >= _LEAST_TEETH:
            break
    else:
        return None
    gaps = np.diff(core)
    is_even = gaps.max() - gaps.min() <= 1 and _is_straight(core)
    if not is_even or not _is_no_accident(counts, core):
        return None
    first, step = _line_through(counts, core)
    bins = np.arange(len(counts))
    if step < _DISTINCT:
        occupied = np.flatnonzero(counts)
        kept = (counts > 0) | (bins < occupied[0]) | (bins > occupied[-1])
        return Teeth(places=bins[kept], counts=counts[kept], step=gaps.mean())
    number = np.rint((bins - first) / step).astype(np.int64)
    least = number[0]
    number -= least
    found = np.bincount(number, weights=counts).astype(np.int64)
    # A value is where its rows are; one without rows, where the line has it.
    even = first + step * (least + np.arange(len(found)))
    seen = np.bincount(number, weights=counts * bins) / np.maximum(found, 1)
    places = np.where(found > 0, seen, even)
    return Teeth(places=places, counts=found, step=step)


def _line_through(counts: Counts, core: NDArray[np.int64]) -> tuple[float, float]:
    """Return the bin of the first value of the core, and the bins between two values.

    From the core outwards: the longer the stretch, the better the estimate, and the
    further out it numbers the values rightly.
    """
    occupied = np.flatnonzero(counts)
    step, first = np.polyfit(np.arange(len(core)), core, 1)
    middle, reach = (core[0] + core[-1]) / 2, (core[-1] - core[0]) / 2
    while reach < len(counts):
        reach *= _GROWTH
        near = occupied[np.abs(occupied - middle) <= reach]
        number = np.rint((near - first) / step)
        step, first = np.polyfit(number, near, 1)
    return float(first), float(step)


def _core_of(counts: Counts, shares: tuple[float, float]) -> NDArray[np.int64]:
    """Return the occupied bins of the middle of the rows."""
    below = np.cumsum(counts) / max(1, counts.sum())
    low, high = (int(at) for at in np.searchsorted(below, shares))
    occupied: NDArray[np.int64] = np.flatnonzero(counts[low : high + 1]) + low
    return occupied


def _is_straight(core: NDArray[np.int64]) -> bool:
    """Return whether the bins are those of evenly spaced values."""
    order = np.arange(len(core))
    slope, first = np.polyfit(order, core, 1)
    return bool(np.abs(core - (first + slope * order)).max() <= 1)


def _is_no_accident(counts: Counts, core: NDArray[np.int64]) -> bool:
    """Return whether rows of any values would not leave such bins empty."""
    gaps = np.diff(core)
    if gaps.min() > 1:
        return True
    n_bins = core[-1] - core[0] + 1
    rows = counts[core[0] : core[-1] + 1].sum() / n_bins
    least = _MANY if gaps.mean() >= _CLEAR_STEP else _VERY_MANY
    return bool(gaps.max() > 1 and rows >= least)

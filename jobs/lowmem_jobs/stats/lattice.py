"""Tell counts of values with a step, such as whole numbers, from those of any values.

Bins finer than the step are a comb: between two of the values every bin is empty, however
many rows there are. A curve fitted to the comb is far too wide, for the empty bins count
as observed. So the comb is found by its even teeth, and counted once more a step at a time.
Rows off the step, as of a few means among counts, lie between the teeth and hide no comb.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

# The teeth are looked at between these shares of the rows; of few, further out.
_CORES = ((0.16, 0.84), (0.025, 0.975), (0.0, 1.0))
# A bin is between two values where bins on both sides of it, so many bins near, hold so
# many times more; in the middle, where each value does. All such bins there together hold
# no more than this share of the rows.
_NEAR, _TIMES, _MOST_STRAY = 32, 8, 0.15
# By which the stretch grows from one estimate of their distance to the next.
_GROWTH = 1.5
_LEAST_TEETH = 4
_LEAST_CLEAR_TEETH = 3
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
    on_step = _without_strays(counts)
    core = _core_of_most(counts, on_step)
    if core is None:
        on_step, core = counts, _core_of_all(counts)
    if core is None:
        return None
    first, step = _line_through(on_step, core)
    bins = np.arange(len(counts))
    if step < _DISTINCT:
        occupied = np.flatnonzero(counts)
        kept = (on_step > 0) | (bins < occupied[0]) | (bins > occupied[-1])
        return Teeth(places=bins[kept], counts=counts[kept], step=np.diff(core).mean())
    number = np.rint((bins - first) / step).astype(np.int64)
    least = number[0]
    number -= least
    found = np.bincount(number, weights=counts).astype(np.int64)
    # A value is where its rows are; one without rows, where the line has it.
    even = first + step * (least + np.arange(len(found)))
    seen = np.bincount(number, weights=counts * bins) / np.maximum(found, 1)
    places = np.where(found > 0, seen, even)
    return Teeth(places=places, counts=found, step=step)


def _without_strays(counts: Counts) -> Counts:
    """Return the counts without the few rows that lie between two values."""
    behind = maximum_filter1d(counts, _NEAR, origin=_NEAR // 2 - 1, mode="constant")
    ahead = maximum_filter1d(counts, _NEAR, origin=-_NEAR // 2, mode="constant")
    is_between = _TIMES * counts < np.minimum(behind, ahead)
    return np.where(is_between, 0, counts)


def _core_of_most(counts: Counts, on_step: Counts) -> NDArray[np.int64] | None:
    """Return the teeth in the middle, where nearly all rows are at one."""
    cores = (_core_of(on_step, shares) for shares in _CORES)
    core = next((core for core in cores if len(core) >= _LEAST_CLEAR_TEETH), None)
    if core is None or not _is_even(core):
        return None
    gaps = np.diff(core)
    if gaps.max() == 1 or (len(core) < _LEAST_TEETH and gaps.min() == 1):
        return None
    rows, teeth = counts[core[0] : core[-1] + 1], on_step[core]
    strays = rows[on_step[core[0] : core[-1] + 1] == 0]
    least = _MANY if gaps.mean() >= _CLEAR_STEP else _VERY_MANY
    is_found = (
        rows.mean() >= least
        and strays.sum() <= _MOST_STRAY * rows.sum()
        and _TIMES * strays.max() < teeth.min()
    )
    return core if is_found else None


def _core_of_all(counts: Counts) -> NDArray[np.int64] | None:
    """Return the teeth in the middle, where each row is at one."""
    for shares in _CORES:
        core = _core_of(counts, shares)
        if len(core) >= _LEAST_TEETH:
            is_found = _is_even(core) and _is_no_accident(counts, core)
            return core if is_found else None
    return None


def _is_even(core: NDArray[np.int64]) -> bool:
    """Return whether the bins are as far from each other as values with a step are."""
    gaps = np.diff(core)
    return bool(gaps.max() - gaps.min() <= 1) and _is_straight(core)


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

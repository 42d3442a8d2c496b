"""How the pair of axes (2, 3) turns as outer rows are cut off.

The reference study saw that pair turn with the cut. So for each cut, and for all rows,
the principal axes of the rows that survive are found, and these rows are counted in the
plane of their own axes 2 and 3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lowmem_jobs.stats.plane import PlaneCounts
from lowmem_jobs.stats.principal import principal_axes, turn_of_plane

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from lowmem_jobs.analyze.stages import Arrays
    from lowmem_jobs.stats.moments import Moments
    from lowmem_jobs.stats.trimming import Cut

    Floats = NDArray[np.float64]

PAIR = (2, 3)
_BLOCK_ROWS = 2**14
_GRIDS = ("counts", "along_u", "along_v", "within")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plane:
    """The plane of the axes 2 and 3 of the rows that survive one cut.

    Attributes
    ----------
    factor
        The cut; None for all rows.
    n_rows
        Rows that survive it.
    centre : shape (d,)
        Their mean.
    axes : shape (2, d)
        The two axes, orthonormal, each less than 90 degrees from that of all rows.
    deviation : shape (2,)
        Standard deviation along each, > 0.
    """

    factor: float | None
    n_rows: int
    centre: Floats
    axes: Floats
    deviation: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Turning:
    """The planes of all cuts, all rows last, and the rows in them.

    Attributes
    ----------
    planes
        Where the axes lie.
    counts
        The survivors of each in its own plane.
    """

    planes: tuple[Plane, ...]
    counts: tuple[PlaneCounts, ...]

    def turn(self, number: int) -> tuple[float, float]:
        """Return how a plane has turned from that of all rows, see `turn_of_plane`."""
        return turn_of_plane(self.planes[-1].axes, self.planes[number].axes)


def planes_of(
    cuts: Iterable[tuple[float, Moments]], everything: Moments
) -> tuple[Plane, ...]:
    """Return the plane of each cut that leaves one, and of all rows last.

    Parameters
    ----------
    cuts
        Each cut with the moments of its survivors.
    everything
        Moments of all rows.
    """
    # One after the other: the moments of a cut are d x d numbers.
    found = [_plane(factor, moments) for factor, moments in cuts]
    found.append(_plane(None, everything))
    # Without the axes of all rows there is nothing to turn from.
    if found[-1] is None:
        return ()
    return tuple(_aligned(plane, found[-1]) for plane in found if plane)


def _aligned(plane: Plane, everything: Plane) -> Plane:
    """Return the same plane; its axes point where those of all rows do.

    Which way an axis points is arbitrary, and side by side the planes would be mirrored.
    """
    cosines = np.einsum("ij,ij->i", plane.axes, everything.axes)
    return replace(plane, axes=np.where(cosines < 0, -1.0, 1.0)[:, None] * plane.axes)


def within(
    shells: Iterable[Moments], cuts: Iterable[float]
) -> Iterator[tuple[float, Moments]]:
    """Yield each cut with the moments of its survivors: all shells up to it."""
    total: Moments | None = None
    for factor, shell in zip(cuts, shells, strict=True):
        total = shell if total is None else total.merge(shell)
        yield factor, total


def _plane(factor: float | None, moments: Moments) -> Plane | None:
    if moments.n_samples < 2:  # noqa: PLR2004 - no spread without two
        return None
    axes = principal_axes(moments.covariance)
    if axes.rank <= max(PAIR):
        return None
    return Plane(
        factor=factor,
        n_rows=moments.n_samples,
        centre=moments.mean,
        axes=axes.components[list(PAIR)],
        deviation=np.sqrt(axes.eigenvalues[list(PAIR)] * (1 - 1 / moments.n_samples)),
    )


class TurningSweep:
    """Counts the survivors of each cut in the plane of their own axes."""

    def __init__(self, cut: Cut, planes: tuple[Plane, ...]) -> None:
        self._cut, self._planes = cut, planes
        self._counts = [PlaneCounts.empty() for _ in planes]

    def add(self, start: int, block: Floats) -> None:  # noqa: ARG002 - of all sweeps
        """Take in the rows from ``start``."""
        distance = self._cut.distance(block)
        for k, plane in enumerate(self._planes):
            is_kept = distance <= (np.inf if plane.factor is None else plane.factor)
            kept = block if is_kept.all() else block[is_kept]
            along = (kept - plane.centre) @ plane.axes.T / plane.deviation
            x, y = np.ascontiguousarray(along.T, dtype=np.float32)
            counts = PlaneCounts.of(x, y, 0.0, block_rows=_BLOCK_ROWS)
            self._counts[k] = self._counts[k].merge(counts)

    def arrays(self) -> Arrays:
        """Return the counts."""
        arrays = {
            name: np.stack([getattr(counts, name) for counts in self._counts])
            for name in _GRIDS
        }
        return {**arrays, "n": np.array([counts.n_samples for counts in self._counts])}

    def restore(self, arrays: Arrays) -> None:
        """Take up the counts."""
        self._counts = list(counts_from(arrays))

    def flush(self) -> None:
        """Do nothing: there is nothing to make durable."""


def counts_from(arrays: Arrays) -> Iterator[PlaneCounts]:
    """Yield the counts of each plane that `TurningSweep.arrays` described."""
    for k, n_samples in enumerate(arrays["n"]):
        grids = {name: np.asarray(arrays[name][k]) for name in _GRIDS}
        yield PlaneCounts(n_samples=int(n_samples), **grids)

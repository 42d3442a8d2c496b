"""Draw correlated normals inside every pairwise ellipse: each the end of its own chain.

Two moves take turns, since each is slow where the other is fast. Elliptical slice
sampling moves all components at once, along the correlations, but little where many
ellipses confine a vector. A sweep of Gibbs sampling draws each component anew given all
others, exactly, since the region cuts an interval out of each line; but it is slow along
strong correlations.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowmem_jobs.stats.pair_region import PairRegion

    Array = NDArray[np.float64]

# Measured in 256 dimensions at 2 and 3 sigma, with variances along the principal axes that
# are equal, or fall to 1e-2 or 1e-6 of the largest: the means of radius, largest magnitude,
# largest two squares and sums of squares and fourth powers are off by up to 6 standard
# deviations at the start; a round leaves at most 0.62 of that, with weak correlations 0.1.
# So 12 leave 0.01 of a standard deviation where mixing is slowest.
ROUNDS = 12
_SLICES = 4  # of a round, before its sweep
# How much stronger vectors are drawn towards the mean, each time, until they are inside.
_PULL, _STRONGER = 0.1, 1.3
# A bracket is then 1e-9 of a turn wide, at most: a chain stays where it is.
_MOST_SHRINKS = 100
# Angles: a value that is cut at a bound stays inside it in spite of rounding.
_MARGIN = 1e-12
# Standard deviations given all others, below which a component does not move alone.
_FIXED = 1e-6
_SMALLEST_EIGENVALUE = 1e-13


class _Conditionals(NamedTuple):
    """The normal distribution of each component given all others.

    Attributes
    ----------
    weights : shape (d, d)
        Row i: the mean of component i is its product with the components; 0 at i.
    scales : shape (d,)
        Standard deviations.
    """

    weights: Array
    scales: Array


@dataclass(frozen=True, eq=False, kw_only=True)
class PairChains:
    """Normal vectors inside a region, standardised.

    Attributes
    ----------
    region
        Where they are.
    mixing : shape (m, d)
        A row of m standard normals times this is a vector; its columns have length 1,
        and their products are the correlations of the region.
    """

    region: PairRegion
    mixing: Array

    def draw(self, rng: np.random.Generator, n_rows: int) -> Array:
        """Return vectors, shape (n_rows, d).

        Notes
        -----
        In 256 dimensions 5 to 30 ms a vector on one core, most with strong correlations. Plain rejection takes 10
        microseconds divided by the share of normal vectors that are inside.

        References
        ----------
        Murray, Adams & MacKay (2010), AISTATS, PMLR 9:541-548, figure 2.
        """
        s = self._start(rng.standard_normal((n_rows, len(self.mixing))))
        for _ in range(ROUNDS):
            for _ in range(_SLICES):
                self._slice(rng, s)
            self._sweep(rng, s)
        return s

    def _start(self, normal: Array) -> Array:
        """Return normal vectors drawn to the mean, wide axes first, until inside."""
        widths = np.square(self.mixing).sum(axis=1)
        widths = widths / widths.max()
        s: Array = normal @ self.mixing
        rows, pull = np.arange(len(s)), _PULL
        while len(rows := rows[self.region.excludes(s[rows])]):
            s[rows] = (normal[rows] / (1.0 + pull * widths)) @ self.mixing
            pull *= _STRONGER
        return s

    def _slice(self, rng: np.random.Generator, s: Array) -> None:
        """Move each vector along the ellipse through it and a normal one, in place."""
        other = rng.standard_normal((len(s), len(self.mixing))) @ self.mixing
        angle = rng.uniform(0.0, 2.0 * np.pi, len(s))
        low, high = angle - 2.0 * np.pi, angle.copy()
        start, rows = s.copy(), np.arange(len(s))
        for _ in range(_MOST_SHRINKS):
            at = angle[rows, None]
            s[rows] = start[rows] * np.cos(at) + other[rows] * np.sin(at)
            rows = rows[self.region.excludes(s[rows])]
            # What is outside becomes an end of the bracket, which always holds angle 0.
            high[rows] = np.where(angle[rows] > 0.0, angle[rows], high[rows])
            low[rows] = np.where(angle[rows] > 0.0, low[rows], angle[rows])
            angle[rows] = rng.uniform(low[rows], high[rows])
            if not len(rows):
                return
        s[rows] = start[rows]

    def _sweep(self, rng: np.random.Generator, s: Array) -> None:
        """Draw each component anew given the others, one after the other, in place."""
        weights, scales = self._conditionals
        k = self.region.sigma
        columns = np.ascontiguousarray(s.T)
        angles = np.arcsin(np.clip(columns / k, -1.0, 1.0))
        for i in np.flatnonzero(scales > _FIXED):
            low, high = self.region.interval(angles, int(i))
            low, high = low + _MARGIN, high - _MARGIN
            mean = weights[i] @ columns
            value = mean + scales[i] * _normal_between(
                rng.random(len(s)),
                (k * np.sin(low) - mean) / scales[i],
                (k * np.sin(high) - mean) / scales[i],
            )
            angle = np.clip(np.arcsin(np.clip(value / k, -1.0, 1.0)), low, high)
            has_room = low < high
            angles[i] = np.where(has_room, angle, angles[i])
            columns[i] = np.where(has_room, k * np.sin(angle), columns[i])
        s[:] = columns.T

    @cached_property
    def _conditionals(self) -> _Conditionals:
        values, vectors = np.linalg.eigh(self.mixing.T @ self.mixing)
        values = np.maximum(values, _SMALLEST_EIGENVALUE * values[-1])
        precision = (vectors / values) @ vectors.T
        diagonal = np.diag(precision)
        weights = -precision / diagonal[:, None]
        np.fill_diagonal(weights, 0.0)
        return _Conditionals(weights, 1.0 / np.sqrt(diagonal))


def _normal_between(uniform: Array, low: Array, high: Array) -> Array:
    """Return standard normals between two bounds by inversion; all of one shape."""
    # In the left tail, where small probabilities are resolved.
    is_right = low > 0.0
    left, right = np.where(is_right, -high, low), np.where(is_right, -low, high)
    first, last = special.ndtr(left), special.ndtr(right)
    value = np.clip(special.ndtri(first + uniform * (last - first)), left, right)
    between: Array = np.where(is_right, -value, value)
    return between

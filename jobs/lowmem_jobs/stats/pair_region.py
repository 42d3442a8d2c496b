"""The region inside the ellipse of every pair of correlated components.

A pair of standardised components a, b of correlation rho is inside its k-sigma ellipse if
(a^2 + b^2 - 2 rho a b) / (1 - rho^2) <= k^2. With a = k sin(x), b = k sin(y) and
rho = sin(c), that ellipse becomes a rectangle:

    y <= pi/2 - |x - c|   and   y >= -pi/2 + |x + c|

since for a given a, b reaches from k sin(x + c - pi/2) to k sin(pi/2 - x + c), cut at the
turning points. So the sum of |x| and |y| is at least pi/2 - |c| in any pair outside, and
one of them at least half of that: few components of a vector have to be looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import NDArray

# 1 - rho^2 below which two components are one, up to the rounding of rho.
_SAME = 1e-10
# Values at once: 512 KiB each array, so that all stay in a core's cache.
_VALUES_AT_ONCE = 2**16
_RIGHT = np.pi / 2.0


class _Angles(NamedTuple):
    """Components as angles, arcsin(s / k), and how far off they may be.

    Attributes
    ----------
    low, high : shape (n, d)
        The angle is between them; they are one array where it is known.
    centre : shape (n, d)
        Half way.
    """

    low: NDArray[np.float64]
    centre: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def of(
        cls, s: NDArray[np.float64], slack: NDArray[np.float64] | None, sigma: float
    ) -> _Angles:
        """Return the angles of standardised components, shape (n, d)."""
        if slack is None:
            centre = np.arcsin(s / sigma)
            return cls(centre, centre, centre)
        low = np.arcsin(np.clip((s - slack) / sigma, -1.0, 1.0))
        high = np.arcsin(np.clip((s + slack) / sigma, -1.0, 1.0))
        return cls(low, (low + high) / 2.0, high)


class _Split(NamedTuple):
    """How pairs are looked at.

    Attributes
    ----------
    first, second : shape (n,)
        Tight pairs, strongly correlated: looked at each time.
    half : shape (d,)
        A pair that is not tight is outside only if one of both has a larger angle than
        this.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    half: NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class PairRegion:
    """Where every pair of standardised components is inside its k-sigma ellipse.

    Attributes
    ----------
    correlation : shape (d, d)
        Pearson's coefficients, 1 on the diagonal.
    sigma
        k, > 0.

    Notes
    -----
    Of two components with 1 - rho^2 < 1e-10, the same up to rounding, nothing more is
    asked than of each alone: a magnitude of at most k.
    """

    correlation: NDArray[np.float64]
    sigma: float

    def excludes(
        self, s: NDArray[np.float64], slack: NDArray[np.float64] | None = None
    ) -> NDArray[np.bool_]:
        """Return for each vector whether it is outside, shape (n,).

        Parameters
        ----------
        s : shape (n, d)
            Standardised components.
        slack : shape (n, d)
            How far each may be off: then only vectors that are outside wherever they
            are within it.

        Notes
        -----
        Memory: 3 MB and four copies of ``s``.
        """
        wide = 0.0 if slack is None else slack
        least = np.abs(s) - wide
        excluded: NDArray[np.bool_] = np.any(least > self.sigma, axis=1)
        rows = np.flatnonzero(~excluded)
        angles = _Angles.of(s[rows], None if slack is None else slack[rows], self.sigma)
        excluded[rows[self._outside(angles)]] = True
        return excluded

    def interval(
        self, angles: NDArray[np.float64], component: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return between which angles a component is inside, given all others.

        Parameters
        ----------
        angles : shape (d, n)
            arcsin(s / k) of n vectors that are inside, one a column.
        component
            Which; its own angles do not matter.

        Returns
        -------
        low, high : shape (n,)
        """
        turn = self._turns[component][:, None]
        free = self._is_free[component]
        near = np.abs(angles - turn)
        near[free] = 0.0
        far = angles + turn
        np.abs(far, out=far)
        far[free] = 0.0
        return far.max(axis=0) - _RIGHT, _RIGHT - near.max(axis=0)

    def _outside(self, angles: _Angles) -> NDArray[np.bool_]:
        """Return for each row whether a pair is outside."""
        outside = self._tight_outside(angles)
        # The largest by itself decides on most vectors that are outside.
        rows = np.flatnonzero(~outside)
        largest = np.abs(angles.centre[rows]).argmax(axis=1)
        outside[rows] = self._any_outside(angles, rows, largest)
        rows = np.flatnonzero(~outside)
        at, component = np.nonzero(np.abs(angles.centre[rows]) > self._split.half)
        found = self._any_outside(angles, rows[at], component)
        outside[rows[at][found]] = True
        return outside

    def _any_outside(
        self, angles: _Angles, rows: NDArray[np.intp], component: NDArray[np.intp]
    ) -> NDArray[np.bool_]:
        """Return whether a component of a row is outside with any other, shape (n,)."""
        outside = np.empty(len(rows), np.bool_)
        size = max(_VALUES_AT_ONCE // len(self.correlation), 1)
        for start in range(0, len(rows), size):
            row, own = rows[start : start + size], component[start : start + size]
            x, turn = angles.centre[row, own], self._turns[own]
            beyond = _beyond(x[:, None], turn, angles.low[row], angles.high[row])
            beyond[self._is_free[own]] = 0.0
            width = (angles.high[row, own] - angles.low[row, own]) / 2.0
            outside[start : start + size] = beyond.max(axis=1) - width > _RIGHT
        return outside

    def _tight_outside(self, angles: _Angles) -> NDArray[np.bool_]:
        """Return for each row whether a tight pair is outside, shape (n,)."""
        outside = np.zeros(len(angles.centre), np.bool_)
        size = max(_VALUES_AT_ONCE // max(len(outside), 1), 1)
        for start in range(0, len(self._split.first), size):
            own = self._split.first[start : start + size]
            other = self._split.second[start : start + size]
            beyond = _beyond(
                angles.centre[:, own],
                self._turns[own, other],
                angles.low[:, other],
                angles.high[:, other],
            )
            beyond -= (angles.high[:, own] - angles.low[:, own]) / 2.0
            outside |= np.any(beyond > _RIGHT, axis=1)
        return outside

    @cached_property
    def _turns(self) -> NDArray[np.float64]:
        """Return c of each pair, shape (d, d)."""
        rho = self.correlation
        rest = np.sqrt(np.maximum((1.0 - rho) * (1.0 + rho), 0.0))
        turns: NDArray[np.float64] = np.arctan2(rho, rest)
        return turns

    @cached_property
    def _is_free(self) -> NDArray[np.bool_]:
        """Return whether nothing is asked of a pair, shape (d, d)."""
        rho = self.correlation
        free: NDArray[np.bool_] = (1.0 - rho) * (1.0 + rho) < _SAME
        return free | np.eye(len(rho), dtype=np.bool_)

    @cached_property
    def _split(self) -> _Split:
        """Return the split that leaves the least to look at of a normal vector."""
        angle = np.where(self._is_free, 0.0, np.abs(self._turns))
        splits = (_split_at(angle, step) for step in np.linspace(0.0, _RIGHT, 41))
        return min(splits, key=self._n_pairs)

    def _n_pairs(self, split: _Split) -> float:
        """Return how many pairs of a normal vector are looked at."""
        d = len(split.half)
        share_larger = special.erfc(self.sigma * np.sin(split.half) / np.sqrt(2.0))
        return len(split.first) + d * float(share_larger.sum())


def _beyond(
    x: NDArray[np.float64],
    turn: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return what has to be at most pi/2 of pairs x and y, y from low to high."""
    above = np.abs(x - turn)
    above += low
    below = x + turn
    np.abs(below, out=below)
    below -= high
    beyond: NDArray[np.float64] = np.maximum(above, below, out=above)
    return beyond


def _split_at(angle: NDArray[np.float64], step: float) -> _Split:
    """Return the split into pairs with |c| above ``step`` and others."""
    is_tight = angle > step
    loosest = np.where(is_tight, 0.0, angle).max(axis=1)
    first, second = np.nonzero(np.triu(is_tight, 1))
    return _Split(first, second, (_RIGHT - loosest) / 2.0)

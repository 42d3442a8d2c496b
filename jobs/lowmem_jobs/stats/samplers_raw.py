"""Draw vectors of the fitted normal inside the ellipses of all pairs of raw components."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lowmem_jobs.stats.frame import STORED_PRECISION
from lowmem_jobs.stats.pair_chains import PairChains
from lowmem_jobs.stats.pair_region import PairRegion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowmem_jobs.stats.frame import PrincipalFrame

# A try costs 10 microseconds in 256 dimensions, a chain 5 to 30 ms. From this share of
# normal vectors inside, rejection is the cheaper one, and exact.
_ENOUGH_INSIDE = 1 / 512
_PILOT_ROWS = 8192
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class RawEllipses:
    """The fitted normal inside the ``sigma`` ellipse of every pair of raw components.

    Notes
    -----
    By rejection where enough normal vectors are inside, as a fixed sample of them tells;
    else by Markov chains, one a vector: see `lowmem_jobs.stats.pair_chains`. Components that
    do not vary stay at the mean.
    """

    frame: PrincipalFrame
    sigma: float

    @property
    def promise(self) -> str:
        """What holds for every vector."""
        return f"every pair of raw components within its {self.sigma:g}-sigma ellipse"

    def draw(self, rng: np.random.Generator, n_rows: int) -> NDArray[np.float64]:
        """Return vectors z, shape (n_rows, d)."""
        z = np.tile(self.frame.mean, (n_rows, 1))
        if self._varies.any():
            draw = self._rejected if self._is_roomy else self._chains.draw
            z[:, self._varies] += draw(rng, n_rows) * self._std
        return z

    def breaks_promise(self, z: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return for each stored vector whether a pair is outside, shape (n,)."""
        if not self._varies.any():
            return np.zeros(len(z), np.bool_)
        wide = np.asarray(z, np.float64)[:, self._varies]
        s = (wide - self.frame.mean[self._varies]) / self._std
        slack = STORED_PRECISION * np.abs(wide) / self._std
        return self._chains.region.excludes(s, slack)

    def _rejected(self, rng: np.random.Generator, n_rows: int) -> NDArray[np.float64]:
        """Return normal vectors, standardised, without those outside."""
        kept: list[NDArray[np.float64]] = []
        while sum(map(len, kept)) < n_rows:
            kept.append(self._inside(rng, _ROWS_AT_ONCE))
        return np.concatenate(kept)[:n_rows]

    def _inside(self, rng: np.random.Generator, n_tries: int) -> NDArray[np.float64]:
        mixing = self._chains.mixing
        s = rng.standard_normal((n_tries, len(mixing))) @ mixing
        inside: NDArray[np.float64] = s[~self._chains.region.excludes(s)]
        return inside

    @cached_property
    def _is_roomy(self) -> bool:
        rng = np.random.Generator(np.random.Philox(key=0))
        tries = range(_PILOT_ROWS // _ROWS_AT_ONCE)
        n_inside = sum(len(self._inside(rng, _ROWS_AT_ONCE)) for _ in tries)
        return n_inside >= _ENOUGH_INSIDE * _PILOT_ROWS

    @cached_property
    def _varies(self) -> NDArray[np.bool_]:
        """Return whether a component varies by more than rounding, shape (d,)."""
        largest = max(float(self.frame.eigenvalues.max()), 0.0)
        rounding = np.finfo(np.float64).eps * self.frame.dimension * largest
        varies: NDArray[np.bool_] = self.frame.raw_std**2 > rounding
        return varies

    @cached_property
    def _std(self) -> NDArray[np.float64]:
        return self.frame.raw_std[self._varies]

    @cached_property
    def _chains(self) -> PairChains:
        along = self.frame.scales[:, None] * self.frame.components
        mixing = along[:, self._varies] / self._std
        correlation = np.clip(mixing.T @ mixing, -1.0, 1.0)
        np.fill_diagonal(correlation, 1.0)
        region = PairRegion(correlation=correlation, sigma=self.sigma)
        return PairChains(region=region, mixing=mixing)

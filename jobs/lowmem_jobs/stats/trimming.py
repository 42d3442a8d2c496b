"""Removal of outer rows: those with a component too many half-widths from its centre."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, exp, log1p, sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lowmem_jobs.stats.gaussian import FWHM_PER_SIGMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowmem_jobs.stats.moments import Rows

Floats = NDArray[np.float64]

# The cuts of the reference study, which kept 122,000 to 164,000 of its 170,000 rows.
STUDY_FACTORS = (1.25, 1.35, 1.45, 1.55, 1.7, 1.8)


def outer_distance(block: Rows, centre: Floats, fwhm: Floats) -> Floats:
    """Return how far out each row is: its largest |z_j - centre_j| / fwhm_j.

    A row survives the cut ``factor`` if this is at most ``factor``; the answer does not
    depend on the other rows, nor on their order.

    Parameters
    ----------
    block : shape (n_samples, n_features)
    centre, fwhm : shape (n_features,)
        A feature with a width of 0 is left out: it cannot be far from its centre.
    """
    has_width = fwhm > 0
    if not has_width.any():
        return np.zeros(len(block))
    inverse = np.divide(1.0, fwhm, out=np.zeros_like(fwhm), where=has_width)
    distance = block - centre
    np.abs(distance, out=distance)
    distance *= inverse
    return np.asarray(distance.max(axis=1), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cut:
    """Which rows survive: those with every component near its centre.

    Attributes
    ----------
    centre, fwhm : shape (n_features,)
        Centre and full width at half maximum of each feature.
    factor
        How many widths are near; None keeps all rows.
    """

    centre: Floats
    fwhm: Floats
    factor: float | None

    def distance(self, block: Floats) -> Floats:
        """Return how far out each row is, in widths."""
        return outer_distance(block, self.centre, self.fwhm)

    def is_kept(self, block: Floats) -> NDArray[np.bool_]:
        """Return which rows survive."""
        if self.factor is None:
            return np.ones(len(block), dtype=bool)
        return np.asarray(self.distance(block) <= self.factor)

    def keep(self, block: Floats) -> Floats:
        """Return the rows that survive; the block itself where all do."""
        return block if self.factor is None else block[self.is_kept(block)]


def count_survivors(distance: Floats, factors: Sequence[float]) -> NDArray[np.int64]:
    """Return how many rows survive each cut, shape (n_factors,)."""
    kept = distance[:, None] <= np.asarray(factors)
    counts: NDArray[np.int64] = kept.sum(axis=0, dtype=np.int64)
    return counts


def expected_survival(factor: float, n_features: int) -> float:
    """Return the share that survives if the features are independent Gaussians.

    Examples
    --------
    >>> [round(expected_survival(factor, 256), 4) for factor in (1.35, 1.8)]
    [0.6848, 0.9943]
    """
    k = FWHM_PER_SIGMA * factor
    return exp(n_features * log1p(-erfc(k / sqrt(2))))

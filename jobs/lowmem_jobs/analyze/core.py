"""All rows, before any cut: their radius, and the inner core found by iteration.

The core is a principled way to leave outer rows out of mean and covariance: those whose
squared Mahalanobis distance exceeds the quantile q of chi-squared. The covariance of
the others is made larger by what the cut takes off a Gaussian's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import chi2

from lowmem_jobs.analyze.component_frames import pca_frame
from lowmem_jobs.analyze.stages import CORE_STAGES
from lowmem_jobs.analyze.sweeps import radius_arrays, radius_from
from lowmem_jobs.stats.moments import Moments
from lowmem_jobs.stats.principal import principal_axes
from lowmem_jobs.stats.radius import RadiusSample

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from lowmem import CommitPoint
    from lowmem_jobs.analyze.component_frames import ComponentFrame
    from lowmem_jobs.analyze.stages import AnalysisState, Arrays
    from lowmem_jobs.analyze.vectors import Latents

    Floats = NDArray[np.float64]

# Largest relative change of an axis' variance at which the core counts as found.
_SETTLED = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Core:
    """The inner core of all rows.

    Attributes
    ----------
    quantile
        Share of a Gaussian that lies within the bound.
    n_iterations
        Passes that were made.
    is_settled
        Whether the last pass changed it by little.
    n_inside
        Rows within the bound.
    variance_ratio
        Sum of the core's variances over that of all rows.
    mean : shape (d,)
        Mean of these rows.
    covariance : shape (d, d)
        Theirs, made larger by what the bound takes off a Gaussian's.
    radius
        Distribution of the Mahalanobis distance of all rows from the core.
    """

    quantile: float
    n_iterations: int
    is_settled: bool
    n_inside: int
    variance_ratio: float
    mean: Floats
    covariance: Floats
    radius: RadiusSample


def shrinkage(quantile: float, n_dimensions: int) -> float:
    """Return how much smaller the variance of a Gaussian is within the bound.

    Examples
    --------
    >>> round(1 / shrinkage(0.9, 256), 4), round(1 / shrinkage(0.9, 2), 4)
    (1.0182, 1.3438)
    """
    bound = chi2.ppf(quantile, n_dimensions)
    return float(chi2.cdf(bound, n_dimensions + 2)) / quantile


class CoreSweep:
    """Radius of all rows in one frame, and the moments of those within a bound."""

    def __init__(self, frame: ComponentFrame, quantile: float | None) -> None:
        self._frame = frame
        self.n_dimensions = max(int((frame.deviation > 0).sum()), 1)
        q = 1.0 if quantile is None else quantile
        self._bound = np.inf if q == 1 else float(chi2.ppf(q, self.n_dimensions))
        self._radius = RadiusSample.empty(self.n_dimensions)
        self._inside = Moments.empty(frame.centre.size)

    def add(self, start: int, block: Floats) -> None:  # noqa: ARG002 - of all sweeps
        """Take in the rows from ``start``."""
        r2 = np.square(self._frame.standardised(block)).sum(axis=1)
        self._radius = self._radius.updated(r2)
        if np.isfinite(self._bound):
            self._inside = self._inside.merge(Moments.of(block[r2 <= self._bound]))

    def arrays(self) -> Arrays:
        """Return the state."""
        return {**self._inside.arrays(), **radius_arrays(self._radius)}

    def restore(self, arrays: Arrays) -> None:
        """Take up a state."""
        self._inside = Moments.from_arrays(arrays)
        self._radius = radius_from(arrays, self.n_dimensions)

    def flush(self) -> None:
        """Do nothing: there is nothing to make durable."""


def measure_radius(
    state: AnalysisState, latents: Latents, everything: Moments
) -> Generator[CommitPoint, None, RadiusSample]:
    """Return the radius of all rows."""
    sweep = CoreSweep(_own_frame(everything), None)
    found = yield from state.sweep(CORE_STAGES[0], latents, sweep)
    yield from state.skip_to(CORE_STAGES[-1])
    return radius_from(found, sweep.n_dimensions)


def measure_core(
    state: AnalysisState, latents: Latents, everything: Moments, quantile: float
) -> Generator[CommitPoint, None, tuple[RadiusSample, Core | None]]:
    """Return the radius of all rows, and their core if it has enough of them."""
    moments = everything
    radii: list[RadiusSample] = []
    core: Core | None = None
    for number, stage in enumerate(CORE_STAGES, start=1):
        frame = _own_frame(moments)
        sweep = CoreSweep(frame, quantile)
        found = yield from state.sweep(stage, latents, sweep)
        radii.append(radius_from(found, sweep.n_dimensions))
        inside = Moments.from_arrays(found)
        if inside.n_samples <= everything.mean.size:
            # Too few rows for a covariance: what came before is all there is.
            break
        smaller = shrinkage(quantile, sweep.n_dimensions)
        moments = replace(inside, m2=inside.m2 / smaller)
        core = Core(
            quantile=quantile,
            n_iterations=number,
            is_settled=_change(frame, moments) < _SETTLED,
            n_inside=inside.n_samples,
            variance_ratio=_variance(moments) / _variance(everything),
            mean=moments.mean,
            covariance=moments.covariance,
            radius=radii[-1],
        )
        if core.is_settled:
            break
    yield from state.skip_to(CORE_STAGES[-1])
    return radii[0], core


def _own_frame(moments: Moments) -> ComponentFrame:
    return pca_frame(moments, principal_axes(moments.covariance))


def _change(frame: ComponentFrame, moments: Moments) -> float:
    """Return the largest relative change of the variance along the frame's axes."""
    after = _own_frame(moments).deviation
    has_spread = frame.deviation > 0
    ratio = np.square(after[has_spread] / frame.deviation[has_spread])
    return float(np.abs(ratio - 1).max(initial=0))


def _variance(moments: Moments) -> float:
    return float(np.trace(moments.covariance))

"""Everything an analysis found, as one value for the results and the figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowmem_jobs.analyze.axis_rotation import Turning
    from lowmem_jobs.analyze.component_frames import ComponentFrame, SolvedAxes
    from lowmem_jobs.analyze.core import Core
    from lowmem_jobs.analyze.known_features import Recovery
    from lowmem_jobs.analyze.pair_selection import Selection
    from lowmem_jobs.stats.gaussian import GaussianFits
    from lowmem_jobs.stats.histograms import Histograms
    from lowmem_jobs.stats.moments import Moments
    from lowmem_jobs.stats.pairs import PairMeasures
    from lowmem_jobs.stats.principal import PrincipalAxes
    from lowmem_jobs.stats.projections import ProjectionSample
    from lowmem_jobs.stats.radius import RadiusSample

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trimming:
    """How many rows survive which cut.

    Attributes
    ----------
    chosen
        The cut that was made, in full widths at half maximum; None for no cut.
    cuts
        All cuts that were counted.
    survivors : shape (n_cuts,)
        Rows that survive each.
    """

    chosen: float | None
    cuts: tuple[float, ...]
    survivors: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """The components of one frame.

    Attributes
    ----------
    frame
        The frame.
    histograms
        Of the standardised components.
    fits
        Gaussians fitted to them.
    rho : shape (d, d)
        Correlation of the components, as measured in this frame.
    """

    frame: ComponentFrame
    histograms: Histograms
    fits: GaussianFits
    rho: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Before:
    """All rows, where not all were kept.

    Attributes
    ----------
    moments
        Of all rows.
    view
        Their raw components.
    """

    moments: Moments
    view: View


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Study:
    """All that was found.

    Attributes
    ----------
    n_rows
        Rows that were read.
    moments
        Of the rows that survive.
    trimming
        Which rows those are.
    solved
        The principal axes, and how they were found.
    raw, pca
        Components before and after the turn to the principal axes.
    pca_skewness, pca_kurtosis : shape (d,)
        Of the components along the axes.
    radius
        Distribution of the Mahalanobis distance.
    projections
        Distribution along random directions of the whitened space.
    frame
        Name of the frame in which pairs were measured.
    selection
        Which pairs.
    measures
        Correlation and Mardia's measures of each.
    coverage : shape (n_pairs, 3)
        Share of rows within 2, 2.5 and 3 sigma.
    scores : shape (n_pairs, 4)
        How elliptic the density is, see `lowmem_jobs.analyze.counting.SCORES`.
    recovery
        What z holds of the features behind the images; None where none are known.
    radius_of_all
        The same of all rows, where not all were kept.
    core
        The inner core of all rows, if asked for.
    before
        All rows, where not all were kept.
    turning
        How the axes 2 and 3 turn with the cut; None where there are none, or too many
        components.
    """

    n_rows: int
    moments: Moments
    trimming: Trimming
    solved: SolvedAxes
    raw: View
    pca: View
    pca_skewness: Floats
    pca_kurtosis: Floats
    radius: RadiusSample
    projections: ProjectionSample
    frame: str
    selection: Selection
    measures: PairMeasures
    coverage: Floats
    scores: Floats
    recovery: Recovery | None = None
    radius_of_all: RadiusSample | None = None
    core: Core | None = None
    before: Before | None = None
    turning: Turning | None = None

    @property
    def axes(self) -> PrincipalAxes:
        """Principal axes of the covariance."""
        return self.solved.covariance

    @property
    def iou(self) -> Floats:
        """Overlap of contour and ellipse, shape (n_pairs,)."""
        return np.asarray(self.scores[:, 0])

    @property
    def n_features(self) -> int:
        """Number of components d."""
        return self.moments.mean.size

    def view(self, name: str) -> View:
        """Return the components of the frame ``name``."""
        return self.raw if name == "raw" else self.pca

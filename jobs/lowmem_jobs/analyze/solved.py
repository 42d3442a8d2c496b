"""The principal axes that were found, and by which solver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem_jobs.analyze.component_frames import pca_frame

if TYPE_CHECKING:
    from lowmem_jobs.analyze.component_frames import Frame
    from lowmem_jobs.stats.moments import Moments
    from lowmem_jobs.stats.principal import PrincipalAxes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solved:
    """The principal axes of the rows that are kept.

    Attributes
    ----------
    covariance
        Axes of the covariance.
    frame
        Axes that the frame stands on: the same, or those of the correlation.
    is_standardised
        Whether it is the correlation.
    solver
        What found the frame's axes: "covariance", which is exact, or "incremental".
    difference
        Largest difference of their eigenvalues from the exact ones, relative to the
        largest; 0 for the exact solver itself.
    """

    covariance: PrincipalAxes
    frame: PrincipalAxes
    is_standardised: bool
    solver: str
    difference: float

    def pca_frame(self, moments: Moments) -> Frame:
        """Return the frame of these axes for rows of these moments."""
        scale = moments.deviation if self.is_standardised else None
        return pca_frame(moments, self.frame, scale=scale)

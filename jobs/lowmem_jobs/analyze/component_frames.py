"""The two frames in which components are measured: raw, and along the principal axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowmem_jobs.stats.moments import Moments
    from lowmem_jobs.stats.principal import PrincipalAxes

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComponentFrame:
    """A linear map from rows to standardised components.

    Attributes
    ----------
    name
        "raw" or "pca".
    centre : shape (d,)
        Taken off every row, in the units of the data.
    axes : shape (d, d), optional
        The centred rows are multiplied by these: orthonormal axes, divided by scales
        where components were standardised; None for raw.
    deviation : shape (d,)
        Standard deviation of each component (divisor n), in the units of the data; 0
        for a component without spread, which becomes 0 throughout.
    """

    name: str
    centre: Floats
    axes: Floats | None
    deviation: Floats

    def standardised(
        self, block: Floats, columns: NDArray[np.int64] | None = None
    ) -> Floats:
        """Return components of mean 0 and variance 1.

        Parameters
        ----------
        block : shape (n, d)
            Rows in the units of the data.
        columns : shape (n_columns,), optional
            Which components; None for all.

        Notes
        -----
        Takes two copies of the block at once, the returned one among them.
        """
        chosen = slice(None) if columns is None else columns
        centred: Floats = block - self.centre
        if self.axes is None:
            components = centred[:, chosen]
        else:
            components = centred @ self.axes[chosen].T
        deviation = self.deviation[chosen]
        scale = np.divide(
            1, deviation, out=np.zeros_like(deviation), where=deviation > 0
        )
        components *= scale
        return components


def raw_frame(moments: Moments) -> ComponentFrame:
    """Return the frame of the components as they are."""
    return ComponentFrame(
        name="raw", centre=moments.mean, axes=None, deviation=moments.deviation
    )


def pca_frame(
    moments: Moments, axes: PrincipalAxes, *, scale: Floats | None = None
) -> ComponentFrame:
    """Return the frame of the principal axes.

    Parameters
    ----------
    moments
        Of the rows.
    axes
        Of their covariance, or of what they are after a division by ``scale``.
    scale : shape (d,), optional
        Divides each component; 0 for one that has no part in any axis.

    Notes
    -----
    The deviations are those of the data along the axes, from the covariance, whichever
    solver found the axes. Axes beyond the rank have none.
    """
    rows = axes.components
    if scale is not None:
        rows = rows * np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    variance = np.einsum("ij,ij->i", rows @ moments.m2, rows) / moments.n_samples
    variance[axes.rank :] = 0.0
    return ComponentFrame(
        name="pca",
        centre=moments.mean,
        axes=rows,
        deviation=np.sqrt(np.maximum(variance, 0.0)),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SolvedAxes:
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

    def pca_frame(self, moments: Moments) -> ComponentFrame:
        """Return the frame of these axes for rows of these moments."""
        scale = moments.deviation if self.is_standardised else None
        return pca_frame(moments, self.frame, scale=scale)

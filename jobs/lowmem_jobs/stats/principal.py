"""Principal axes of a covariance or correlation matrix, and what they tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PrincipalAxes:
    """Orthonormal axes in the order of the variance along them.

    Attributes
    ----------
    eigenvalues : shape (n_features,)
        Variance along each axis, descending, never negative.
    components : shape (n_features, n_features)
        Rows are axes; the largest loading of each is positive.
    """

    eigenvalues: Floats
    components: Floats

    @property
    def explained_variance_ratio(self) -> Floats:
        """Share of each axis in the whole variance; zeros where there is none."""
        total = self.eigenvalues.sum()
        return (
            self.eigenvalues / total if total > 0 else np.zeros_like(self.eigenvalues)
        )

    @property
    def effective_dimension(self) -> float:
        """(sum lambda)^2 / sum lambda^2: n for n equal axes, 1 for a single one."""
        squares = float(np.square(self.eigenvalues).sum())
        return float(self.eigenvalues.sum()) ** 2 / squares if squares > 0 else 0.0

    @property
    def rank(self) -> int:
        """Number of axes whose variance is above the rounding of the largest.

        Notes
        -----
        The bound is that of `numpy.linalg.matrix_rank` for a symmetric matrix.
        """
        tolerance = np.finfo(np.float64).eps * self.eigenvalues.size
        return int((self.eigenvalues > tolerance * self.eigenvalues[0]).sum())

    def n_components_for(self, share: float) -> int:
        """Return how many axes together hold at least ``share`` of the variance."""
        reached = np.cumsum(self.explained_variance_ratio)
        # Rounding may leave the sum of all just below a share of 1.
        return min(int(np.searchsorted(reached, share)) + 1, reached.size)


def principal_axes(matrix: Floats) -> PrincipalAxes:
    """Return the principal axes of a symmetric non-negative matrix.

    Parameters
    ----------
    matrix : shape (n_features, n_features)
        A covariance matrix, or a correlation matrix for standardised features.

    Notes
    -----
    Exact to rounding. Time O(n_features^3), memory four times the matrix.
    """
    values, vectors = np.linalg.eigh(matrix)
    return PrincipalAxes(
        eigenvalues=np.maximum(values[::-1], 0.0),
        components=with_fixed_signs(vectors.T[::-1]),
    )


def completed_axes(eigenvalues: Floats, components: Floats) -> PrincipalAxes:
    """Return axes of the whole space from some leading ones.

    Parameters
    ----------
    eigenvalues : shape (n_components,)
    components : shape (n_components, n_features)
        Orthonormal rows. The missing axes, of no variance, are any orthonormal basis of
        what these leave out.
    """
    n_components, n_features = components.shape
    basis, _ = np.linalg.qr(components.T, mode="complete")
    order = np.argsort(-eigenvalues, kind="stable")
    rows = np.concatenate([components[order], basis.T[n_components:]])
    values = np.zeros(n_features)
    values[:n_components] = np.maximum(eigenvalues[order], 0.0)
    return PrincipalAxes(eigenvalues=values, components=with_fixed_signs(rows))


def turn_of_plane(before: Floats, after: Floats) -> tuple[float, float]:
    """Return how far two axes have turned: within their plane, and out of it.

    Parameters
    ----------
    before, after : shape (2, n_features)
        Orthonormal rows: the two axes.

    Returns
    -------
    turn
        Angle from the first axis before to the first axis after, within the plane of
        those before, degrees in (-90, 90]: an axis has no sign of its own.
    tilt
        Largest angle between the two planes, degrees from 0 to 90.
    """
    cosines = after @ before.T
    turn = np.degrees(np.arctan2(cosines[0, 1], cosines[0, 0]))
    smallest = float(np.linalg.svd(cosines, compute_uv=False)[-1])
    return float(90 - (90 - turn) % 180), float(
        np.degrees(np.arccos(min(smallest, 1.0)))
    )


def with_fixed_signs(components: Floats) -> Floats:
    """Return the axes turned so that the largest loading of each is positive.

    Without it, a plot would flip from run to run: an axis has no sign of its own.
    """
    largest = np.abs(components).argmax(axis=1)
    signs = np.sign(components[np.arange(len(components)), largest])
    return components * np.where(signs == 0, 1.0, signs)[:, None]

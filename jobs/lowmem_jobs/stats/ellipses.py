"""Ellipses of equal Mahalanobis distance of two correlated features."""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, cos, exp, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ellipse:
    """The ellipse x^T S^-1 x = k^2 about a centre.

    Attributes
    ----------
    centre
        (x, y), in the units of the data.
    semi_axes
        Larger and smaller half axis, in the units of the data.
    angle
        Direction of the larger one, radians from the x axis, in (-pi/2, pi/2].
    """

    centre: tuple[float, float]
    semi_axes: tuple[float, float]
    angle: float

    def points(self, n_points: int = 181) -> Floats:
        """Return a closed curve along the ellipse, shape (n_points, 2)."""
        t = np.linspace(0.0, 2 * pi, n_points)
        along = self.semi_axes[0] * np.cos(t)
        across = self.semi_axes[1] * np.sin(t)
        c, s = cos(self.angle), sin(self.angle)
        x = self.centre[0] + c * along - s * across
        y = self.centre[1] + s * along + c * across
        return np.stack([x, y], axis=1)


def ellipse_from_covariance(
    centre: tuple[float, float], covariance: Floats, k: float
) -> Ellipse:
    """Return the ellipse at ``k`` standard deviations.

    Parameters
    ----------
    centre
        Its centre.
    covariance : shape (2, 2)
        Symmetric, non-negative.
    k
        Mahalanobis distance of the curve.
    """
    a, b, c = float(covariance[0, 0]), float(covariance[0, 1]), float(covariance[1, 1])
    middle, half = (a + c) / 2, sqrt(((a - c) / 2) ** 2 + b**2)
    return Ellipse(
        centre=centre,
        semi_axes=(k * sqrt(middle + half), k * sqrt(max(middle - half, 0.0))),
        angle=atan2(2 * b, a - c) / 2,
    )


def mass_within(k: float) -> float:
    """Return the share of a bivariate Gaussian within ``k`` sigma.

    Examples
    --------
    >>> round(mass_within(2), 4), round(mass_within(2.5), 4), round(mass_within(3), 4)
    (0.8647, 0.9561, 0.9889)
    """
    return 1 - exp(-(k**2) / 2)

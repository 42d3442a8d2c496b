"""Lead from one latent vector to another.

`straight` is what comes to mind, and in many dimensions leaves the region where vectors
lie: half way between two of radius r that have nothing in common, the radius is
r / sqrt(2). `constant_radius` stays in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowmem_jobs.stats.frame import PrincipalFrame

    Vector = NDArray[np.float32] | NDArray[np.float64]

# Axes whose variance is below this share of the largest have no part in the radius:
# along them, float32 rounding would be many standard deviations.
EIGENVALUE_FLOOR = 1e-6
# Sine of the angle below which two directions leave the plane of their turn to rounding.
_PARALLEL = 1e-9


def straight(
    start: Vector, end: Vector, fractions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return points between two vectors, shape (n, d).

    Parameters
    ----------
    start, end : shape (d,)
        Where the path begins and ends.
    fractions : shape (n,)
        Shares of the way, 0 to 1; at 0 and 1 the points are start and end to the bit.
    """
    at = np.asarray(fractions, np.float64)[:, None]
    points = (1.0 - at) * start + at * np.asarray(end, np.float64)
    return _with_ends(points, start, end, fractions)


def constant_radius(
    start: Vector, end: Vector, fractions: NDArray[np.float64], *, frame: PrincipalFrame
) -> NDArray[np.float64]:
    """Return points of the path that turns around the mean at a steady rate, (n, d).

    Whitened, the direction goes along a great circle and the radius, the Mahalanobis
    distance, from that of start to that of end in proportion: constant if they are
    equal.

    Parameters
    ----------
    start, end : shape (d,)
        Where the path begins and ends.
    fractions : shape (n,)
        Shares of the way, 0 to 1; at 0 and 1 the points are start and end to the bit.
    frame
        The fitted distribution.

    Notes
    -----
    Many great circles join opposite directions: the one taken passes through the
    principal axis that the start has the least part in (the first of several), and
    where there is one axis only, the path is straight. The mean has no direction: a
    path that begins or ends there is straight. Along axes of less than 1e-6 of the
    largest variance, and outside all axes of the frame, the path is straight too.

    References
    ----------
    Shoemake (1985), SIGGRAPH Computer Graphics 19(3):245-254, section 3.3.
    """
    largest = max(float(frame.eigenvalues.max()), 0.0)
    is_wide = frame.eigenvalues > EIGENVALUE_FLOOR * largest
    axes, scales = frame.components[is_wide], frame.scales[is_wide]
    ends = np.stack([start, end]).astype(np.float64) - frame.mean
    white = (ends @ axes.T) / scales
    beside = ends - (white * scales) @ axes
    turned = (_turned(white[0], white[1], fractions) * scales) @ axes
    points = frame.mean + turned + straight(beside[0], beside[1], fractions)
    return _with_ends(points, start, end, fractions)


def _turned(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    fractions: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the spherical path between whitened vectors, shape (n, m)."""
    radii = np.linalg.norm(first), np.linalg.norm(second)
    if not min(radii):
        return straight(first, second, fractions)
    one, two = first / radii[0], second / radii[1]
    # Kahan's form: exact for small angles and for those near pi.
    angle = 2.0 * np.arctan2(np.linalg.norm(one - two), np.linalg.norm(one + two))
    across = _across(one, two)
    if across is None:
        return straight(first, second, fractions)
    at = np.asarray(fractions, np.float64)[:, None]
    way = np.cos(at * angle) * one + np.sin(at * angle) * across
    points: NDArray[np.float64] = way * ((1.0 - at) * radii[0] + at * radii[1])
    return points


def _across(
    one: NDArray[np.float64], two: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Return the unit vector at right angles to ``one`` towards ``two``.

    None where there is but one axis.
    """
    across = _rest(two, one)
    if np.linalg.norm(across) < _PARALLEL:
        axis, parts = np.zeros_like(one), np.abs(one)
        # Parts that only rounding tells apart are equal: no release of a library may
        # choose another axis.
        axis[np.argmax(parts <= parts.min() + _PARALLEL)] = 1.0
        across = _rest(axis, one)
    length = np.linalg.norm(across)
    # Twice is enough: what the first subtraction left of `one` was rounding.
    return _rest(across / length, one) if length > _PARALLEL else None


def _rest(
    vector: NDArray[np.float64], direction: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return what is left of a vector without its part along a unit direction."""
    rest: NDArray[np.float64] = vector - (vector @ direction) * direction
    return rest


def _with_ends(
    points: NDArray[np.float64],
    start: Vector,
    end: Vector,
    fractions: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the points with those at 0 and 1 exactly at both ends."""
    points[fractions == 0.0] = start
    points[fractions == 1.0] = end
    return points

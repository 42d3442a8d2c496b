"""Draw vectors of the fitted normal inside a region of its principal axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from lowmem_jobs.stats.truncated import InsideAllEllipses, ball_radius, truncated_normal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowmem_jobs.stats.frame import PrincipalFrame
    from lowmem_jobs.stats.sampler import Sampler


@dataclass(frozen=True, slots=True)
class Box:
    """The fitted normal with each principal component cut at ``sigma``."""

    frame: PrincipalFrame
    sigma: float

    @property
    def promise(self) -> str:
        """What holds for every vector."""
        return f"every principal component within {self.sigma:g} sigma"

    def draw(self, rng: np.random.Generator, n_rows: int) -> NDArray[np.float64]:
        """Return vectors z, shape (n_rows, d)."""
        uniform = rng.random((n_rows, self.frame.n_axes))
        return self.frame.vectors(truncated_normal(uniform, self.sigma))

    def breaks_promise(self, z: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return for each stored vector whether a component is outside, shape (n,)."""
        outside: NDArray[np.bool_] = np.any(
            self.frame.least_white(z) > self.sigma, axis=1
        )
        return outside


@dataclass(frozen=True, slots=True)
class Ball:
    """The fitted normal inside the ellipsoid that holds a share ``quantile`` of it."""

    frame: PrincipalFrame
    quantile: float

    @property
    def promise(self) -> str:
        """What holds for every vector."""
        return (
            f"Mahalanobis radius within {self.radius:.4g}, which holds "
            f"{self.quantile:g} of the fitted normal"
        )

    @property
    def radius(self) -> float:
        """Largest Mahalanobis radius."""
        largest = special.gammaincinv(self.frame.n_axes / 2.0, self.quantile)
        return float(np.sqrt(2.0 * largest))

    def draw(self, rng: np.random.Generator, n_rows: int) -> NDArray[np.float64]:
        """Return vectors z, shape (n_rows, d)."""
        d = self.frame.n_axes
        radius = ball_radius(rng.random(n_rows), dimension=d, quantile=self.quantile)
        way = rng.standard_normal((n_rows, d))
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        return self.frame.vectors(way * radius[:, None])

    def breaks_promise(self, z: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return for each stored vector whether it is outside, shape (n,)."""
        radius = np.linalg.norm(self.frame.least_white(z), axis=1)
        outside: NDArray[np.bool_] = radius > self.radius
        return outside


@dataclass(frozen=True, slots=True)
class Ellipses:
    """The fitted normal inside the ``sigma`` ellipse of every pair of components."""

    frame: PrincipalFrame
    sigma: float
    region: InsideAllEllipses

    @property
    def promise(self) -> str:
        """What holds for every vector."""
        return f"every pair of principal components within its {self.sigma:g}-sigma ellipse"

    def draw(self, rng: np.random.Generator, n_rows: int) -> NDArray[np.float64]:
        """Return vectors z, shape (n_rows, d)."""
        return self.frame.vectors(self.region.draw(rng, n_rows))

    def breaks_promise(self, z: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return for each stored vector whether a pair is outside, shape (n,)."""
        squares = self.frame.least_white(z) ** 2
        # The worst pair of a vector is that of its two largest squares.
        squares.partition(max(self.frame.n_axes - 2, 0), axis=1)
        outside: NDArray[np.bool_] = squares[:, -2:].sum(axis=1) > self.sigma**2
        return outside


@dataclass(frozen=True, slots=True)
class LeadingAxes:
    """Vectors of the leading ``n_axes`` principal axes, at the mean along the others.

    Attributes
    ----------
    source
        Draws them, in the frame of these axes alone.
    frame
        All axes.
    n_axes
        How many lead.
    """

    source: Sampler
    frame: PrincipalFrame
    n_axes: int

    @property
    def promise(self) -> str:
        """What holds for every vector."""
        of_source = f"{self.source.promise}, and " if self.source.promise else ""
        return (
            f"{of_source}at the mean along all principal axes but the leading "
            f"{self.n_axes}"
        )

    def draw(self, rng: np.random.Generator, n_rows: int) -> NDArray[np.float64]:
        """Return vectors z, shape (n_rows, d)."""
        return self.source.draw(rng, n_rows)

    def breaks_promise(self, z: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return for each stored vector whether it is outside, shape (n,)."""
        is_off = np.any(self.frame.least_along(z)[:, self.n_axes :] > 0.0, axis=1)
        outside: NDArray[np.bool_] = is_off | self.source.breaks_promise(z)
        return outside

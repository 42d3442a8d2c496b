"""Draw vectors of the fitted normal as it is, around one vector, and as contrasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowmem_jobs.stats.frame import STORED_PRECISION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowmem_jobs.stats.frame import PrincipalFrame


class _AnyVector:
    """What draws where any vector is possible: nothing is promised."""

    __slots__ = ()
    promise: None = None

    def breaks_promise(self, z: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return False for each vector."""
        return np.zeros(len(z), np.bool_)


@dataclass(frozen=True, slots=True)
class Correlated(_AnyVector):
    """The fitted multivariate normal itself."""

    frame: PrincipalFrame

    def draw(self, rng: np.random.Generator, n_rows: int) -> NDArray[np.float64]:
        """Return vectors z, shape (n_rows, d)."""
        return self.frame.vectors(rng.standard_normal((n_rows, self.frame.n_axes)))


@dataclass(frozen=True, slots=True)
class Independent(_AnyVector):
    """A contrast: each raw component as fitted, but without any correlation."""

    frame: PrincipalFrame

    def draw(self, rng: np.random.Generator, n_rows: int) -> NDArray[np.float64]:
        """Return vectors z, shape (n_rows, d)."""
        normal = rng.standard_normal((n_rows, self.frame.dimension))
        return self.frame.mean + normal * self.frame.raw_std


@dataclass(frozen=True, slots=True)
class Uniform:
    """A contrast: anywhere in the box of ``sigma`` around each raw component."""

    frame: PrincipalFrame
    sigma: float

    @property
    def promise(self) -> str:
        """What holds for every vector."""
        return f"every raw component within {self.sigma:g} sigma of its mean"

    def draw(self, rng: np.random.Generator, n_rows: int) -> NDArray[np.float64]:
        """Return vectors z, shape (n_rows, d)."""
        sides = 2.0 * rng.random((n_rows, self.frame.dimension)) - 1.0
        return self.frame.mean + sides * self.sigma * self.frame.raw_std

    def breaks_promise(self, z: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return for each stored vector whether a component is outside, shape (n,)."""
        wide = np.asarray(z, np.float64)
        off = np.abs(wide - self.frame.mean) - STORED_PRECISION * np.abs(wide)
        outside: NDArray[np.bool_] = np.any(
            off > self.sigma * self.frame.raw_std, axis=1
        )
        return outside


@dataclass(frozen=True, slots=True)
class Near(_AnyVector):
    """The fitted normal, shrunk to ``sigma`` and moved to one vector."""

    frame: PrincipalFrame
    centre: NDArray[np.float64]
    sigma: float

    def draw(self, rng: np.random.Generator, n_rows: int) -> NDArray[np.float64]:
        """Return vectors z, shape (n_rows, d)."""
        normal = rng.standard_normal((n_rows, self.frame.n_axes))
        off = (normal * self.frame.scales) @ self.frame.components
        return self.centre + self.sigma * off

"""Draw latent vectors from a fitted distribution, in the ways the study compares.

`draw_block` is the entry: rows come in blocks of fixed size, each from a generator keyed
by (seed, method, block), so a vector depends on its index alone and never on how many
are drawn, in which pieces, or where a job was cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy import special

from lowmem.stats.frame import STORED_PRECISION
from lowmem.stats.truncated import InsideAllEllipses, ball_radius, truncated_normal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from lowmem.stats.frame import Frame

BLOCK_ROWS = 256


class Sampler(Protocol):
    """One way of drawing vectors, with what it promises of each."""

    @property
    def promise(self) -> str | None:
        """What holds for every vector; None where any vector is possible."""
        ...

    def draw(self, rng: np.random.Generator, n_rows: int) -> NDArray[np.float64]:
        """Return vectors z, shape (n_rows, d)."""
        ...

    def breaks_promise(self, z: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return for each stored vector whether it breaks the promise, shape (n,)."""
        ...


@dataclass(frozen=True, slots=True)
class Correlated:
    """The fitted multivariate normal itself."""

    frame: Frame
    promise: str | None = None

    def draw(self, rng: np.random.Generator, n_rows: int) -> NDArray[np.float64]:
        """Return vectors z, shape (n_rows, d)."""
        return self.frame.vectors(rng.standard_normal((n_rows, self.frame.dimension)))

    def breaks_promise(self, z: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return False for each vector: nothing is promised."""
        return np.zeros(len(z), np.bool_)


@dataclass(frozen=True, slots=True)
class Independent:
    """A contrast: each raw component as fitted, but without any correlation."""

    frame: Frame
    promise: str | None = None

    def draw(self, rng: np.random.Generator, n_rows: int) -> NDArray[np.float64]:
        """Return vectors z, shape (n_rows, d)."""
        normal = rng.standard_normal((n_rows, self.frame.dimension))
        return self.frame.mean + normal * self.frame.raw_std

    def breaks_promise(self, z: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return False for each vector: nothing is promised."""
        return np.zeros(len(z), np.bool_)


@dataclass(frozen=True, slots=True)
class Uniform:
    """A contrast: anywhere in the box of ``sigma`` around each raw component."""

    frame: Frame
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
class Box:
    """The fitted normal with each principal component cut at ``sigma``."""

    frame: Frame
    sigma: float

    @property
    def promise(self) -> str:
        """What holds for every vector."""
        return f"every principal component within {self.sigma:g} sigma"

    def draw(self, rng: np.random.Generator, n_rows: int) -> NDArray[np.float64]:
        """Return vectors z, shape (n_rows, d)."""
        uniform = rng.random((n_rows, self.frame.dimension))
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

    frame: Frame
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
        largest = special.gammaincinv(self.frame.dimension / 2.0, self.quantile)
        return float(np.sqrt(2.0 * largest))

    def draw(self, rng: np.random.Generator, n_rows: int) -> NDArray[np.float64]:
        """Return vectors z, shape (n_rows, d)."""
        d = self.frame.dimension
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

    frame: Frame
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
        squares.partition(max(self.frame.dimension - 2, 0), axis=1)
        outside: NDArray[np.bool_] = squares[:, -2:].sum(axis=1) > self.sigma**2
        return outside


def _ellipses(frame: Frame, sigma: float, _: float) -> Sampler:
    region = InsideAllEllipses(dimension=frame.dimension, sigma=sigma)
    return Ellipses(frame, sigma, region)


# The order is part of the recipe: a method's place keys its random numbers.
_METHODS: Mapping[str, Callable[[Frame, float, float], Sampler]] = {
    "mvn": lambda frame, _sigma, _quantile: Correlated(frame),
    "ball": lambda frame, _sigma, quantile: Ball(frame, quantile),
    "box": lambda frame, sigma, _quantile: Box(frame, sigma),
    "ellipses": _ellipses,
    "independent": lambda frame, _sigma, _quantile: Independent(frame),
    "uniform": lambda frame, sigma, _quantile: Uniform(frame, sigma),
}
METHODS = tuple(_METHODS)


def sampler(method: str, frame: Frame, *, sigma: float, quantile: float) -> Sampler:
    """Return the sampler of one of `METHODS`.

    Parameters
    ----------
    method
        One of `METHODS`.
    frame
        The fitted distribution.
    sigma
        Reach of ``box``, ``ellipses`` and ``uniform``, in standard deviations, > 0.
    quantile
        Share of the fitted normal that ``ball`` keeps, in (0, 1].
    """
    return _METHODS[method](frame, sigma, quantile)


def draw_block(
    source: Sampler, *, method: str, seed: int, block: int
) -> NDArray[np.float32]:
    """Return rows ``block * BLOCK_ROWS`` onwards, shape (BLOCK_ROWS, d).

    Notes
    -----
    The generator is counter-based: key (seed, method), counter starting at
    block x 2^128, so no two blocks ever share a random number.
    """
    key = np.array([seed % 2**64, METHODS.index(method)], np.uint64)
    counter = np.array([0, 0, block, 0], np.uint64)
    rng = np.random.Generator(np.random.Philox(counter=counter, key=key))
    return source.draw(rng, BLOCK_ROWS).astype(np.float32)

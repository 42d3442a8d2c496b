"""Draw latent vectors from a fitted distribution, in the ways the study compares.

`draw_block` is the entry: rows come in blocks of fixed size, each from a generator keyed
by (seed, method, block), so a vector depends on its index alone and never on how many
are drawn, in which pieces, or where a job was cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from lowmem_jobs.stats.samplers_free import Correlated, Independent, Uniform
from lowmem_jobs.stats.samplers_inside import Ball, Box, Ellipses, LeadingAxes
from lowmem_jobs.stats.samplers_raw import RawEllipses
from lowmem_jobs.stats.truncated import InsideAllEllipses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from lowmem_jobs.stats.frame import Frame

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


def _ellipses(frame: Frame, sigma: float, _: float) -> Sampler:
    region = InsideAllEllipses(dimension=frame.n_axes, sigma=sigma)
    return Ellipses(frame, sigma, region)


_METHODS: Mapping[str, Callable[[Frame, float, float], Sampler]] = {
    "mvn": lambda frame, _sigma, _quantile: Correlated(frame),
    "ball": lambda frame, _sigma, quantile: Ball(frame, quantile),
    "box": lambda frame, sigma, _quantile: Box(frame, sigma),
    "ellipses": _ellipses,
    "ellipses-raw": lambda frame, sigma, _quantile: RawEllipses(frame, sigma),
    "independent": lambda frame, _sigma, _quantile: Independent(frame),
    "uniform": lambda frame, sigma, _quantile: Uniform(frame, sigma),
}
METHODS = tuple(_METHODS)
# Those that draw along principal axes, and so along some of them alone.
METHODS_BY_AXES = ("mvn", "ball", "box", "ellipses")
# The order is part of the recipe: a place keys the random numbers. Append only.
_KEYS = (
    "mvn",
    "ball",
    "box",
    "ellipses",
    "independent",
    "uniform",
    "near",
    "ellipses-raw",
)


def sampler(
    method: str,
    frame: Frame,
    *,
    sigma: float,
    quantile: float,
    n_axes: int | None = None,
) -> Sampler:
    """Return the sampler of one of `METHODS`.

    Parameters
    ----------
    method
        One of `METHODS`.
    frame
        The fitted distribution.
    sigma
        Reach of ``box``, both ``ellipses`` and ``uniform``, in standard deviations, > 0.
    quantile
        Share of the fitted normal that ``ball`` keeps, in (0, 1].
    n_axes
        Draw along the leading axes alone, so many of them; all by default. For one of
        `METHODS_BY_AXES`.

    Raises
    ------
    ValueError
        If there are not so many axes, or the method does not draw along axes.
    """
    if n_axes is None:
        return _METHODS[method](frame, sigma, quantile)
    if method not in METHODS_BY_AXES:
        raise ValueError(f"method must be one of {METHODS_BY_AXES}, got {method}")
    leading = _METHODS[method](frame.leading(n_axes), sigma, quantile)
    return LeadingAxes(leading, frame, n_axes)


def draw_block(
    source: Sampler, *, method: str, seed: int, block: int
) -> NDArray[np.float32]:
    """Return rows ``block * BLOCK_ROWS`` onwards, shape (BLOCK_ROWS, d).

    Parameters
    ----------
    source
        What draws them.
    method
        Its name, one of `METHODS` or ``near``.
    seed, block
        Which of all possible rows.

    Notes
    -----
    The generator is counter-based: key (seed, method), counter starting at
    block x 2^128, so no two blocks ever share a random number.
    """
    key = np.array([seed % 2**64, _KEYS.index(method)], np.uint64)
    counter = np.array([0, 0, block, 0], np.uint64)
    rng = np.random.Generator(np.random.Philox(counter=counter, key=key))
    return source.draw(rng, BLOCK_ROWS).astype(np.float32)

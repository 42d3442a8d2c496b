"""Draw latent vectors from a fitted distribution, in the ways the study compares.

`draw_block` is the entry: rows come in blocks of fixed size, each from a generator keyed
by (seed, method, block), so a vector depends on its index alone and never on how many
are drawn, in which pieces, or where a job was cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowmem_jobs.stats.methods import METHODS, along_axes, key_of
from lowmem_jobs.stats.samplers_inside import LeadingAxes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowmem_jobs.stats.frame import PrincipalFrame
    from lowmem_jobs.stats.sampler import Sampler

BLOCK_ROWS = 256


def sampler(
    method: str,
    frame: PrincipalFrame,
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
        `along_axes`.

    Raises
    ------
    ValueError
        If there are not so many axes, or the method does not draw along axes.
    """
    if n_axes is None:
        return METHODS[method].make(frame, sigma, quantile)
    if not METHODS[method].is_along_axes:
        raise ValueError(f"method must be one of {along_axes()}, got {method}")
    leading = METHODS[method].make(frame.leading(n_axes), sigma, quantile)
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
    key = np.array([seed % 2**64, key_of(method)], np.uint64)
    counter = np.array([0, 0, block, 0], np.uint64)
    rng = np.random.Generator(np.random.Philox(counter=counter, key=key))
    return source.draw(rng, BLOCK_ROWS).astype(np.float32)

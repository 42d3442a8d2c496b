"""Compare sets of latent vectors by their neighbours: no normal has to fit either.

All take whitened vectors (see `lowmem_jobs.stats.frame`), so that each axis counts alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowmem_jobs.stats.neighbours import nearest_rows, pairs_within

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32] | NDArray[np.float64]

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifoldScores:
    """How two sets of vectors lie in each other's neighbourhoods.

    A neighbourhood is a ball around a vector, as wide as the distance to its k-th
    nearest in its own set.

    Attributes
    ----------
    n_neighbours, n_real, n_generated
        k, and the sizes of both sets.
    precision
        Share of the generated inside a neighbourhood of a real vector, 0 to 1.
    recall
        Share of the real inside a neighbourhood of a generated vector, 0 to 1.
    density
        Neighbourhoods of real vectors that a generated one is in, mean over the
        generated, divided by k: about 1 for equal distributions, and not bounded by 1.
    coverage
        Share of the real vectors with a generated one in their neighbourhood, 0 to 1.
    """

    n_neighbours: int
    n_real: int
    n_generated: int
    precision: float
    recall: float
    density: float
    coverage: float


def manifold_scores(
    real: Vectors, generated: Vectors, *, n_neighbours: int = 5, memory_bytes: int
) -> ManifoldScores | None:
    """Return precision, recall, density and coverage of ``generated``.

    Parameters
    ----------
    real, generated : shapes (n, d) and (m, d)
        Finite.
    n_neighbours
        k, >= 1.
    memory_bytes
        Memory to use beside the arguments and a few numbers a vector; the result does
        not depend on it. See `lowmem_jobs.stats.neighbours.Neighbours.updated`.

    Returns
    -------
    scores
        None where a set has no more than k vectors, and so no k-th neighbour.

    Notes
    -----
    Precision and recall fall with the dimension and the size of the sets even for equal
    distributions; of those, coverage is 1 - (n - 1) ... (n - k) / ((n + m - 1) ...
    (n + m - k)) whatever the dimension. Compare with two sets of real vectors of the
    same sizes.

    The boundary of a neighbourhood belongs to it, as in the first reference; the
    authors' code of the second leaves it out. This differs only where vectors repeat:
    a set has precision 1 and recall 1 against itself, whatever it repeats.

    References
    ----------
    Kynkaanniemi, Karras, Laine, Lehtinen & Aila (2019), NeurIPS, equations 1 and 2.
    Naeem, Oh, Uh, Choi & Yoo (2020), ICML, equations 3 and 4.
    """
    if min(len(real), len(generated)) <= n_neighbours:
        return None
    sizes = _own_reach(real, n_neighbours, memory_bytes)
    n_around = np.zeros(len(generated), np.int64)
    is_covered = np.zeros(len(real), np.bool_)
    for pairs in pairs_within(real, generated, sizes, memory_bytes=memory_bytes):
        n_around += np.bincount(pairs.second, minlength=len(generated))
        is_covered[pairs.first] = True
    is_recalled = np.zeros(len(real), np.bool_)
    sizes = _own_reach(generated, n_neighbours, memory_bytes)
    for pairs in pairs_within(generated, real, sizes, memory_bytes=memory_bytes):
        is_recalled[pairs.second] = True
    return ManifoldScores(
        n_neighbours=n_neighbours,
        n_real=len(real),
        n_generated=len(generated),
        precision=float(np.mean(n_around > 0)),
        recall=float(np.mean(is_recalled)),
        density=float(np.mean(n_around) / n_neighbours),
        coverage=float(np.mean(is_covered)),
    )


def _own_reach(
    vectors: Vectors, n_neighbours: int, memory_bytes: int
) -> NDArray[np.float64]:
    """Return the squared distance of each vector to its k-th nearest other, (n,)."""
    # Each is its own nearest: at distance 0, first or equal to the first.
    found = nearest_rows(
        vectors, [vectors], n_neighbours=n_neighbours + 1, memory_bytes=memory_bytes
    )
    return found.squares[:, -1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memorisation:
    """How near generated vectors are to training ones, beside held-out vectors.

    Attributes
    ----------
    n_generated, n_held_out
        Sizes of both sets.
    quantile
        The share q of the held-out vectors that are nearer than ``threshold``.
    threshold
        A distance, in units of the vectors'.
    share_nearer
        Share of the generated vectors nearer than ``threshold``: about q if the model
        draws as from the distribution of the held-out ones, more if it memorises.
    share_standard_error
        Of ``share_nearer``, were both sets of one distribution.
    generated, held_out
        The distances at `QUANTILES`, the fourth of them the median.
    """

    n_generated: int
    n_held_out: int
    quantile: float
    threshold: float
    share_nearer: float
    share_standard_error: float
    generated: tuple[float, ...]
    held_out: tuple[float, ...]


def memorisation(
    generated: NDArray[np.float64],
    held_out: NDArray[np.float64],
    *,
    quantile: float = 0.05,
) -> Memorisation | None:
    """Return how distances to the nearest training vector compare.

    Parameters
    ----------
    generated, held_out : shapes (n,) and (m,)
        Distance of each generated and of each held-out vector to the nearest of one
        set of training vectors, as `lowmem_jobs.stats.neighbours.nearest_rows` finds it.
    quantile
        Share of the held-out vectors that sets the threshold, in (0, 1).

    Returns
    -------
    memorisation
        None where a set is empty.

    Notes
    -----
    Vectors nearer to the mean have nearer neighbours: a generator confined to a
    smaller region lies nearer without having memorised. Its nearest images decide.
    """
    n, m = len(generated), len(held_out)
    if not min(n, m):
        return None
    threshold = float(np.quantile(held_out, quantile))
    variance = quantile * (1.0 - quantile) * (1.0 / n + 1.0 / m)
    return Memorisation(
        n_generated=n,
        n_held_out=m,
        quantile=quantile,
        threshold=threshold,
        share_nearer=float(np.mean(generated < threshold)),
        share_standard_error=float(np.sqrt(variance)),
        generated=_quantiles(generated),
        held_out=_quantiles(held_out),
    )


def _quantiles(distances: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(value) for value in np.quantile(distances, QUANTILES))

"""Where vectors come from: a region, or the way between two images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lowmem_jobs.stats.samplers import BLOCK_ROWS, draw_block

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lowmem_jobs.stats.sampler import Sampler

    Floats = NDArray[np.float64]


class VectorSource(Protocol):
    """Vectors by their number, with what is promised of each."""

    @property
    def promise(self) -> str | None:
        """What holds for every vector; None where any vector is possible."""
        ...

    @property
    def is_sample(self) -> bool:
        """Whether the vectors are draws of one distribution."""
        ...

    def block(self, block: int) -> NDArray[np.float32]:
        """Return rows ``block * BLOCK_ROWS`` onwards, shape (at most BLOCK_ROWS, d)."""
        ...

    def breaks_promise(self, z: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return for each stored vector whether it breaks the promise, shape (n,)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AtRandom:
    """Vectors of a sampler, each a function of seed, method and its number."""

    sampler: Sampler
    method: str
    seed: int
    is_sample: bool = True

    @property
    def promise(self) -> str | None:
        """What holds for every vector; None where any vector is possible."""
        return self.sampler.promise

    def block(self, block: int) -> NDArray[np.float32]:
        """Return rows ``block * BLOCK_ROWS`` onwards, shape (BLOCK_ROWS, d)."""
        return draw_block(self.sampler, method=self.method, seed=self.seed, block=block)

    def breaks_promise(self, z: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return for each stored vector whether it breaks the promise, shape (n,)."""
        return self.sampler.breaks_promise(z)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AlongPath:
    """Vectors at even steps of a path, both ends included.

    Attributes
    ----------
    vectors_at
        Returns vectors, shape (n, d), at fractions of the way, shape (n,), 0 to 1.
    n_vectors
        Vectors in all; one alone is the beginning.
    """

    vectors_at: Callable[[Floats], Floats]
    n_vectors: int
    promise: str | None = None
    is_sample: bool = False

    def block(self, block: int) -> NDArray[np.float32]:
        """Return rows ``block * BLOCK_ROWS`` onwards, shape (at most BLOCK_ROWS, d)."""
        start = block * BLOCK_ROWS
        steps = np.arange(start, min(start + BLOCK_ROWS, self.n_vectors))
        fractions = steps / max(self.n_vectors - 1, 1)
        return self.vectors_at(fractions).astype(np.float32)

    def breaks_promise(self, z: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return False for each vector: nothing is promised."""
        return np.zeros(len(z), np.bool_)

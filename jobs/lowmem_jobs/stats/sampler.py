"""What every sampling method gives: vectors, and a promise of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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

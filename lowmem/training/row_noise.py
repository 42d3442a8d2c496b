"""Noise that a model takes as an input, the same wherever a training is cut.

A generator within a layer draws for whatever rows it is called with: in micro-batches it
draws other numbers than for the whole batch. Here the numbers of a row follow from where it
stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TRAINING, _VALIDATION = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RowNoise:
    """Standard normal numbers for each row of a batch.

    Attributes
    ----------
    seed
        Of the run; not negative.
    size
        Numbers of each row.

    Examples
    --------
    >>> noise = RowNoise(seed=1, size=3)
    >>> whole = noise.training(epoch=0, batch=5, n_rows=4)
    >>> whole.shape, whole.dtype.name
    ((4, 3), 'float32')
    >>> bool((noise.training(epoch=0, batch=5, n_rows=2) == whole[:2]).all())
    True
    >>> bool((noise.training(epoch=1, batch=5, n_rows=4) == whole).any())
    False
    """

    seed: int
    size: int

    def training(self, *, epoch: int, batch: int, n_rows: int) -> NDArray[np.float32]:
        """Return the numbers of a training batch: those of (seed, epoch, batch, row)."""
        return self._drawn((_TRAINING, epoch, batch), n_rows)

    def validation(self, *, batch: int, n_rows: int) -> NDArray[np.float32]:
        """Return those of a validation batch: the same in each epoch, to be compared."""
        return self._drawn((_VALIDATION, 0, batch), n_rows)

    def _drawn(self, key: tuple[int, ...], n_rows: int) -> NDArray[np.float32]:
        random = np.random.default_rng(np.random.SeedSequence([self.seed, *key]))
        return random.standard_normal((n_rows, self.size), np.float32)

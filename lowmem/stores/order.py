"""In which order the samples of an epoch are visited: a pure function of (seed, epoch)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    RowNumbers = np.ndarray[tuple[int], np.dtype[np.int64]]

_SEED_WORDS = 2**64


def epoch_order(*, n_rows: int, seed: int, epoch: int) -> RowNumbers:
    """Return a permutation of ``range(n_rows)``: an exact shuffle, not a window's.

    Notes
    -----
    Counter-based randomness (Philox, keyed by seed and epoch): epoch 7 is known without
    the six before it, so a resumed run needs no generator state. Cost: 8 bytes and some
    10 ns a row.
    """
    key = np.array([seed % _SEED_WORDS, epoch], dtype=np.uint64)
    generator = np.random.Generator(np.random.Philox(key=key))
    return generator.permutation(n_rows)

"""In which order the samples of an epoch are visited: a pure function of (seed, epoch)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    RowNumbers = np.ndarray[tuple[int], np.dtype[np.int64]]

_SEED_WORDS = 2**64


def epoch_order(
    *, n_rows: int, seed: int, epoch: int, run_length: int = 1
) -> RowNumbers:
    """Return a permutation of ``range(n_rows)``: an exact shuffle, not a window's.

    Parameters
    ----------
    run_length
        With 1 each row is shuffled by itself. Else runs of so many neighbours are,
        which slow disks read faster. Where runs begin is drawn anew each epoch, so no
        rows keep together, and each row is at each place equally often. It is part of
        the recipe: another length is another order.

    Notes
    -----
    Counter-based randomness (Philox, keyed by seed and epoch): epoch 7 is known without
    the six before it, so a resumed run needs no generator state. Cost: 8 bytes and some
    10 ns a row; with runs twice that.
    """
    key = np.array([seed % _SEED_WORDS, epoch], dtype=np.uint64)
    generator = np.random.Generator(np.random.Philox(key=key))
    if run_length == 1:
        return generator.permutation(n_rows)
    shift = generator.integers(max(n_rows, 1))
    starts = generator.permutation(-(-n_rows // run_length)) * run_length
    order = (starts[:, None] + np.arange(run_length)).ravel()
    # The last run may be shorter than the others.
    order = order[order < n_rows]
    order += shift
    order[order >= n_rows] -= n_rows
    return order

"""A Keras data set over a Zarr store: shuffled exactly, resumable, in bounded memory.

It stands alone: any Keras user can give it to `fit`, without the rest of lowmem.

    data = lowmem.ZarrSequence("images.zarr", batch_size=64, seed=1)
    model.fit(data, epochs=10)
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from lowmem.stores.batches import open_batches
from lowmem.stores.metadata import read_array_info
from lowmem.stores.order import epoch_order

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_CACHE_BYTES = 64 * 2**20


class ZarrSequence(keras.utils.Sequence):
    """Batches of rows of a Zarr array, as they are stored: uint8 stays uint8.

    Parameters
    ----------
    store
        Folder of a Zarr group, or of an array where ``name`` is None.
    name
        Array within the group; axis 0 counts the samples.
    batch_size
        Rows in a batch; the last one of an epoch may be smaller.
    rows : shape (n,)
        The rows to use; all of them where None.
    seed
        With the epoch's number it fixes the order of the samples.
    is_shuffled
        Whether to visit the rows in a new order each epoch, or as they are given.
    epoch, start_batch
        Where to begin: batch ``start_batch`` of epoch ``epoch``. Finish such an epoch
        with a `fit` of its own: within one call Keras takes all epochs to be as long as
        the first.
    is_autoencoding
        Whether a batch is ``(x, x)``, or ``x`` alone.
    cache_bytes
        Memory for decoded chunks of a compressed store.

    Notes
    -----
    The order depends on (seed, epoch) alone: neither memory settings, threads nor the
    place where a run was resumed change it. Memory: the batch, ``cache_bytes``, and 16
    bytes a row. Keras holds up to ``max_queue_size + 2`` batches more; one reading
    thread is enough, so leave ``workers`` at 1.
    """

    def __init__(
        self,
        store: Path | str,
        *,
        name: str | None = "images",
        batch_size: int = 32,
        rows: ArrayLike | None = None,
        seed: int = 0,
        is_shuffled: bool = True,
        epoch: int = 0,
        start_batch: int = 0,
        is_autoencoding: bool = True,
        cache_bytes: int = _CACHE_BYTES,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self._reader = open_batches(Path(store), name, cache_bytes=cache_bytes)
        self._rows = _row_numbers(Path(store), name, rows)
        self._batch_size = batch_size
        self._seed = seed
        self._is_shuffled = is_shuffled
        self._is_autoencoding = is_autoencoding
        # Keras may ask from several threads; the reader is made for one.
        self._lock = Lock()
        self.go_to(epoch=epoch, start_batch=start_batch)

    def go_to(self, *, epoch: int, start_batch: int = 0) -> None:
        """Make batch ``start_batch`` of ``epoch`` the one with index 0."""
        self._epoch = epoch
        self._start_batch = start_batch
        self._is_begun = self._is_read_through = False
        n_rows = len(self._rows)
        if self._is_shuffled:
            order = epoch_order(n_rows=n_rows, seed=self._seed, epoch=epoch)
            self._order = self._rows[order]
        else:
            self._order = self._rows

    @property
    def epoch(self) -> int:
        """Number of the current epoch, from 0."""
        return self._epoch

    @property
    def n_samples(self) -> int:
        """Number of samples in a whole epoch."""
        return len(self._rows)

    def __len__(self) -> int:
        """Return the number of batches left in the current epoch."""
        return -(-len(self._rows) // self._batch_size) - self._start_batch

    def __getitem__(
        self, index: int
    ) -> NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]:
        """Return batch ``index``, counted from where the epoch was begun."""
        x = self.batch(index)
        return (x, x) if self._is_autoencoding else x

    def batch(self, index: int) -> NDArray[Any]:
        """Return the samples of batch ``index``, in a fresh array."""
        self._is_read_through |= index == len(self) - 1
        start = (self._start_batch + index) * self._batch_size
        rows = self._order[start : start + self._batch_size]
        with self._lock:
            return self._reader.read(rows)

    def on_epoch_begin(self) -> None:
        """Note that Keras begins an epoch."""
        self._is_begun, self._is_read_through = True, False

    def on_epoch_end(self) -> None:
        """Go to the beginning of the next epoch, in its own order.

        Keras calls this before the first epoch too, after it has looked at a batch or
        two: nothing is skipped then.
        """
        if self._is_begun and self._is_read_through:
            self.go_to(epoch=self._epoch + 1)

    def close(self) -> None:
        """Close the files of the store."""
        self._reader.__exit__(None, None, None)


def _row_numbers(store: Path, name: str | None, rows: ArrayLike | None) -> NDArray[Any]:
    if rows is not None:
        return np.asarray(rows, np.int64)
    info = read_array_info(store / name if name else store)
    # `open_batches` has refused a store without the array.
    return np.arange(info.shape[0] if info else 0, dtype=np.int64)

"""A Keras data set over a Zarr store: shuffled exactly, resumable, in bounded memory.

It stands alone: any Keras user can give it to `fit`, without the rest of lowmem.

    data = lowmem.ZarrSequence("images.zarr", batch_size=64, seed=1)
    model.fit(data, epochs=10)

With TensorFlow a `tf.data.Dataset` of the same batches, in the place of it, is faster:

    model.fit(data.tf_dataset(epochs=10), epochs=10, steps_per_epoch=len(data))
"""

from __future__ import annotations

from copy import copy
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.stores.batches import native, open_batches
from lowmem.stores.epoch_order import (
    ORDER_VERSION,
    EpochOrder,
    chosen_rows,
    row_number_type,
)
from lowmem.stores.labels import read_labels
from lowmem.stores.metadata import read_array_info
from lowmem.training import backend
from lowmem.training.next_batch import Asked, InOrder
from lowmem.training.row_transform import RowTransform

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from lowmem.stores.epoch_order import RowNumbers

# An epoch's order, and that of the next, which is read ahead of its beginning.
_ORDERS_KEPT = 2


class ZarrSequence(InOrder):
    """Batches of rows of a Zarr array, as they are stored: uint8 stays uint8.

    Only the byte order may change: batches have the machine's own.

    Parameters
    ----------
    store
        Local folder of a Zarr group, or of an array where ``name`` is None.
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
        the first, and is told if they are not.
    is_autoencoding
        Whether a batch is ``(x, x)``, or ``x`` alone.
    labels
        Array beside ``name`` with one number a row: then a batch is ``(x, labels)``.
        ``"labels"`` in stores that `ingest` made of a folder a class.
    transform
        ``transform(row, rng)`` makes the sample of a row: an array of one shape and dtype
        for all. ``rng`` is a `numpy.random.Generator` of its own for (seed, epoch, row).
    run_length
        Whether rows are shuffled one by one (1), or so many neighbours at a time, which
        slow disks read faster. It belongs to the recipe: another length, another order.
    memory_bytes
        What the reading may hold; 4 batches by default. Never changes the order.
    spill_folder
        Where a compressed store may be decoded to, in a file without a name; the folder
        for temporary files by default.

    Attributes
    ----------
    is_function_of_index
        True: each batch follows from the epoch and its index, see docs/fit.md.
    note
        What should be known of how the store is read; mostly nothing.
    class_names
        What the labels stand for, where the store tells.

    Raises
    ------
    ValueError
        For arguments out of their range.
    IndexError
        If ``rows`` holds a number that is none of the store's rows.
    DataError
        If there is no such array, or ``labels`` has not one number a row.

    Notes
    -----
    The order depends on (seed, epoch) and ``run_length`` alone: neither memory settings,
    threads, codec, chunks nor the place where a run was resumed change it. Memory: 4
    batches, at most 2 MiB for orders, 4 bytes for each of the ``rows``, and all labels; of
    a compressed store 4 chunks more. A batch is the caller's for as long as anything
    refers to it. One thread reads, which is enough: ``workers`` of Keras' own are taken as
    1, and its ``shuffle`` changes nothing.

    Checksums of an uncompressed store are verified beside the reading; what was found is
    raised with one of the next batches, and `verify` waits for the rest.
    """

    is_function_of_index = True

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
        labels: str | None = None,
        transform: Callable[[NDArray[Any], np.random.Generator], object] | None = None,
        run_length: int = 1,
        memory_bytes: int | None = None,
        spill_folder: Path | str | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        _refuse_below(1, batch_size=batch_size, run_length=run_length)
        if "://" in str(store):
            raise ValueError(f"store must be a local folder, got {store}")
        self._reader = open_batches(
            Path(store),
            name,
            batch_rows=batch_size,
            memory_bytes=memory_bytes,
            spill_folder=Path(spill_folder) if spill_folder else None,
        )
        self.note = self._reader.note
        # Of a whole array none are held.
        self._rows: RowNumbers | None = None
        self._n_stored = self._n_samples = _n_rows(Path(store), name)
        self._number_type: np.dtype[Any] = row_number_type(self._n_stored)
        self._batch_size = batch_size
        self._seed = seed
        self._run_length = run_length
        self._is_autoencoding = is_autoencoding
        self._labels: NDArray[Any] | None = None
        self.class_names: tuple[str, ...] = ()
        # Keras may ask from several threads; the reader is made for one.
        self._lock = Lock()
        self._order_version = ORDER_VERSION
        self._orders: dict[int, EpochOrder] = {}
        try:
            if labels is not None:
                found = read_labels(Path(store), labels, n_rows=self._n_stored)
                self._labels, self.class_names = found
            self._take_transform(transform)
            self._take_rows(rows, is_shuffled=is_shuffled)
            self.go_to(epoch=epoch, start_batch=start_batch)
        except Exception:
            self.close()
            raise

    def _take_transform(self, function: Callable[..., object] | None) -> None:
        self._transform: RowTransform | None = None
        if function is not None and self._n_stored:
            sample = native(self._reader.read(np.zeros(1, self._number_type)))[0]
            self._transform = RowTransform(function, seed=self._seed, sample=sample)

    def go_to(self, *, epoch: int, start_batch: int = 0) -> None:
        """Make batch ``start_batch`` of ``epoch`` the one with index 0.

        Raises
        ------
        ValueError
            If either is negative, or an epoch has fewer batches.
        """
        _refuse_below(0, epoch=epoch, start_batch=start_batch)
        if start_batch > self._n_batches:
            raise ValueError(
                f"start_batch must be at most {self._n_batches}, the batches of an "
                f"epoch, got {start_batch}"
            )
        self._epoch = epoch
        self._start_batch = start_batch
        self._asked.forget()

    @property
    def epoch(self) -> int:
        """Number of the current epoch, from 0."""
        return self._epoch

    @property
    def order_version(self) -> int:
        """How orders are drawn: see `lowmem.stores.epoch_order`. Set it to go on with another."""
        return self._order_version

    @order_version.setter
    def order_version(self, version: int) -> None:
        with self._lock:
            self._order_version, self._orders = version, {}

    @property
    def n_samples(self) -> int:
        """Number of samples in a whole epoch."""
        return self._n_samples

    def __len__(self) -> int:
        """Return the number of batches left in the current epoch."""
        return self._n_batches - self._start_batch

    @property
    def _n_batches(self) -> int:
        return -(-self._n_samples // self._batch_size)

    def __getitem__(self, index: int) -> NDArray[Any] | tuple[NDArray[Any], ...]:
        """Return batch ``index``, counted from where the epoch was begun.

        Within an epoch of Keras' the next batch, whatever number it shuffled them to.
        """
        with self._lock:
            index = self._asked.place(index)
        x = self.batch(index)
        if self._labels is not None:
            return x, self._read_labels(self._epoch, self._start_batch + index)
        return (x, x) if self._is_autoencoding else x

    def batch(self, index: int) -> NDArray[Any]:
        """Return the samples of batch ``index``, without targets."""
        return self._read(self._epoch, self._start_batch + index)

    def of_rows(
        self,
        rows: ArrayLike,
        *,
        is_shuffled: bool = False,
        is_transformed: bool = False,
    ) -> ZarrSequence:
        """Return a sequence of other rows that shares this one's files and memory.

        They are as they are stored, as validation wants them, unless ``is_transformed``.
        Close one of the two.
        """
        other = copy(self)
        other._take_rows(  # noqa: SLF001 - its own class
            rows, is_shuffled=is_shuffled, is_transformed=is_transformed
        )
        other.go_to(epoch=0)
        return other

    def _take_rows(
        self, rows: ArrayLike | None, *, is_shuffled: bool, is_transformed: bool = True
    ) -> None:
        if not is_transformed:
            self._transform = None
        if rows is not None:
            self._rows = chosen_rows(rows, n_stored=self._n_stored)
            self._n_samples = len(self._rows)
        self._is_shuffled = is_shuffled
        self._orders = {}
        # Its own, of a sequence that shares another's files.
        self._asked = Asked()

    def tf_dataset(self, *, epochs: int) -> Any:  # noqa: ANN401 - TensorFlow has no types
        """Return a `tf.data.Dataset` of the batches up to the end of epoch ``epochs``.

        Each epoch in its own order, beginning where this sequence stands. Batches go to
        TensorFlow without being copied. Close the sequence only after the last one.

        Raises
        ------
        MissingDependencyError
            If TensorFlow is not installed.
        ValueError
            If the sequence is past the end of that epoch already.
        """
        if epochs <= self._epoch:
            raise ValueError(
                f"epochs must be above {self._epoch}, the epochs that this sequence is "
                f"past, got {epochs}: it continues where it stands; for epoch 0 make "
                "another, or call go_to(epoch=0)"
            )
        first = self._epoch * self._n_batches + self._start_batch

        def read(number: int) -> NDArray[Any]:
            return self._read(*divmod(int(number), self._n_batches))

        def read_labels_of(number: int) -> NDArray[Any]:
            return self._read_labels(*divmod(int(number), self._n_batches))

        labels = (
            (read_labels_of, self._labels.dtype) if self._labels is not None else None
        )
        shape, dtype = self._row_type
        return backend.tensorflow_dataset(
            read,
            range(first, epochs * self._n_batches),
            row_shape=shape,
            dtype=dtype,
            is_autoencoding=self._is_autoencoding,
            queue_depth=self._reader.queue_depth,
            labels=labels,
        )

    def verify(self) -> None:
        """Return once all chunks of the store are known to be as they were written.

        Raises
        ------
        DataError
            If a chunk is damaged; it names the chunk and its samples.
        """
        with self._lock:
            self._reader.verify()

    def _read(self, epoch: int, batch: int) -> NDArray[Any]:
        with self._lock:
            numbers = self._rows_of(epoch, batch)
            found = native(self._reader.read(numbers))
        # Beside the lock: it is the user's code, and may take long.
        transform = self._transform
        return transform(found, numbers, epoch=epoch) if transform else found

    def _read_labels(self, epoch: int, batch: int) -> NDArray[Any]:
        if self._labels is None:
            return np.empty(0)
        with self._lock:
            return self._labels[self._rows_of(epoch, batch)]

    def _rows_of(self, epoch: int, batch: int) -> RowNumbers:
        start = batch * self._batch_size
        stop = min(start + self._batch_size, self._n_samples)
        return self._rows_at(epoch, start, stop)

    @property
    def _row_type(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        if self._transform is not None:
            return self._transform.shape, self._transform.dtype
        with self._lock:
            nothing = native(self._reader.read(np.empty(0, self._number_type)))
        return nothing.shape[1:], nothing.dtype

    def _rows_at(self, epoch: int, start: int, stop: int) -> RowNumbers:
        """Return the rows at these places of an epoch."""
        places: RowNumbers
        if self._is_shuffled:
            places = self._order_of(epoch).rows(start, stop)
        else:
            places = np.arange(start, stop).astype(self._number_type)
        return places if self._rows is None else self._rows[places]

    def _order_of(self, epoch: int) -> EpochOrder:
        if epoch not in self._orders:
            while len(self._orders) >= _ORDERS_KEPT:
                del self._orders[next(iter(self._orders))]
            self._orders[epoch] = EpochOrder(
                n_rows=self._n_samples,
                seed=self._seed,
                epoch=epoch,
                run_length=self._run_length,
                version=self._order_version,
            )
        return self._orders[epoch]

    def on_epoch_end(self) -> None:
        """Go to the beginning of the next epoch, in its own order.

        Keras calls this before the first epoch too, after it has looked at a batch or
        two: nothing is skipped then.
        """
        if self._asked.has_all(len(self)):
            self.go_to(epoch=self._epoch + 1)

    def close(self) -> None:
        """Close the files of the store."""
        self._reader.__exit__(None, None, None)


def _n_rows(store: Path, name: str | None) -> int:
    info = read_array_info(store / name if name else store)
    return (
        info.shape[0] if info else 0
    )  # `open_batches` has refused a store without it.


def _refuse_below(least: int, **arguments: int) -> None:
    for name, value in arguments.items():
        if value < least:
            raise ValueError(f"{name} must be {least} or more, got {value}")

"""What a training reads: each batch is a function of epoch and index, and of nothing else."""

from __future__ import annotations

import hashlib
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import keras
import numpy as np

from lowmem.base.errors_fit import InexactFitError
from lowmem.stores.epoch_order import ORDER_VERSION, EpochOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from lowmem.stores.epoch_order import RowNumbers

Batch = tuple[Any, ...]
# An epoch's, and that of the next, which may be read ahead.
_ORDERS_KEPT = 2
_DECLARED = "is_function_of_index"
# Bytes of rows that are copied at once for their checksum.
_PIECE_BYTES = 2**23


class Source(Protocol):
    """Batches by epoch and index.

    Attributes
    ----------
    n_batches
        In an epoch; None where there is no end.
    order_version
        How orders are drawn: that of a training which goes on is set here.
    """

    n_batches: int | None
    order_version: int

    def batch(self, epoch: int, index: int) -> Batch:
        """Return one batch, as Keras takes it from a data set."""
        ...

    def described(self) -> dict[str, Any]:
        """Return what must be equal for a training to go on."""
        ...

    def verify(self) -> None:
        """Return once all that was read is known to be as it was written."""
        ...


class _Orders:
    """The orders of epochs, of which a few are held."""

    def __init__(self, n_rows: int, seed: int) -> None:
        self._n_rows, self._seed = n_rows, seed
        self.version = ORDER_VERSION
        self._held: dict[tuple[int, int], EpochOrder] = {}

    def rows(self, epoch: int, start: int, stop: int) -> RowNumbers:
        key = epoch, self.version
        if key not in self._held:
            while len(self._held) >= _ORDERS_KEPT:
                del self._held[next(iter(self._held))]
            self._held[key] = EpochOrder(
                n_rows=self._n_rows, seed=self._seed, epoch=epoch, version=self.version
            )
        return self._held[key].rows(start, stop)


class RowSource:
    """Arrays of one row a sample.

    Parameters
    ----------
    parts
        Inputs, and maybe targets and weights: each an array, or a structure of arrays.

    Notes
    -----
    Memory: one batch beside the arrays, and at most 1 MiB an order.
    """

    def __init__(
        self, parts: Batch, *, batch_size: int, seed: int, is_shuffled: bool
    ) -> None:
        self._parts = parts
        self._n_rows = _common_length(parts)
        self._batch_size = batch_size
        self._seed = seed
        self._is_shuffled = is_shuffled
        self._orders = _Orders(self._n_rows, seed)
        self._lock = Lock()
        self.n_batches: int | None = -(-self._n_rows // batch_size)

    @property
    def order_version(self) -> int:
        """How orders are drawn."""
        return self._orders.version

    @order_version.setter
    def order_version(self, version: int) -> None:
        self._orders.version = version

    def batch(self, epoch: int, index: int) -> Batch:
        """Return the rows of one batch; floats in Keras' precision, as `fit` gives them."""
        start = index * self._batch_size
        stop = min(start + self._batch_size, self._n_rows)
        rows: slice | RowNumbers = slice(start, stop)
        if self._is_shuffled:
            with self._lock:
                rows = self._orders.rows(epoch, start, stop)
        batch: Batch = mapped(self._parts, lambda array: _in_precision(array[rows]))
        return batch

    def described(self) -> dict[str, Any]:
        """Return what the batches follow from.

        Notes
        -----
        Time: one pass over all rows, for their SHA-256.
        """
        return {
            "kind": "arrays",
            "n_rows": self._n_rows,
            "batch_size": self._batch_size,
            "order": self._seed if self._is_shuffled else None,
            "order_version": self.order_version,
            "rows_sha256": rows_digest(self._parts),
        }

    def verify(self) -> None:
        """Do nothing: memory is taken as it is."""


class Indexed:
    """A data set of Keras' that says its batches are functions of their index.

    Parameters
    ----------
    dataset
        With ``go_to(epoch=...)`` it has an order of its own in each epoch. Else its
        batches are shuffled if ``is_shuffled``.
    """

    def __init__(
        self, dataset: keras.utils.PyDataset, *, seed: int, is_shuffled: bool
    ) -> None:
        self._dataset = dataset
        self._seed = seed
        self._epoch: int | None = None
        self._lock = Lock()
        self._has_order = callable(getattr(dataset, "go_to", None))
        if self._has_order:
            dataset.go_to(epoch=0)
        self.n_batches: int | None = dataset.num_batches
        self._orders = (
            _Orders(self.n_batches, seed)
            if self.n_batches and is_shuffled and not self._has_order
            else None
        )
        self._refuse_another_batch()

    @property
    def order_version(self) -> int:
        """How orders are drawn, here or by the data set."""
        if self._orders is not None:
            return self._orders.version
        return int(getattr(self._dataset, "order_version", ORDER_VERSION))

    @order_version.setter
    def order_version(self, version: int) -> None:
        if self._orders is not None:
            self._orders.version = version
        elif hasattr(self._dataset, "order_version"):
            self._dataset.order_version = version

    def batch(self, epoch: int, index: int) -> Batch:
        """Return one batch of the data set, for one caller at a time."""
        with self._lock:
            if self._has_order and epoch != self._epoch:
                self._dataset.go_to(epoch=epoch)
                self._epoch = epoch
            if self._orders is not None:
                index = int(self._orders.rows(epoch, index, index + 1)[0])
            return _as_tuple(self._dataset[index])

    def described(self) -> dict[str, Any]:
        """Return what the batches follow from, as far as it can be seen."""
        return {
            "kind": type(self._dataset).__name__,
            "n_batches": self.n_batches,
            "order": self._seed if self._orders is not None else None,
            "order_version": self.order_version,
            "first_batch": digest(self.batch(0, 0)),
        }

    def verify(self) -> None:
        """Let the data set look for damage, if it can."""
        getattr(self._dataset, "verify", lambda: None)()

    def _refuse_another_batch(self) -> None:
        first, again = (digest(self.batch(0, 0)) for _ in range(2))
        if first != again:
            raise InexactFitError(
                thing=f"{type(self._dataset).__name__}",
                problem=f"says {_DECLARED} and gave another batch 0 the second time",
                expected="the same batch for the same index",
                todo="Draw what is random in it from (seed, epoch, index).",
            )


def source_of(
    x: object,
    y: object = None,
    sample_weight: object = None,
    *,
    batch_size: int,
    seed: int,
    is_shuffled: bool,
    name: str = "x",
) -> Source:
    """Return the source that data of a caller are.

    Parameters
    ----------
    name
        What the caller gave them as, for messages.

    Raises
    ------
    InexactFitError
        If a batch of theirs cannot be returned to.
    """
    if isinstance(x, keras.utils.PyDataset):
        _refuse_beside(y, sample_weight, name)
        if getattr(x, _DECLARED, False) is not True:
            raise InexactFitError(
                thing=f"{name}, a {type(x).__name__},",
                problem="does not say that its batches are functions of their index",
                expected=f"a data set with {_DECLARED} = True",
                todo="If batch i is always the same, or follows from (seed, epoch, i) "
                "with go_to(epoch=...), say so in its class; or give arrays.",
            )
        return Indexed(x, seed=seed, is_shuffled=is_shuffled)
    given = {name: x, "y": y, "sample_weight": sample_weight}
    parts = {key: _arrays(value, key) for key, value in given.items()}
    if y is None:
        _refuse_weights_alone(sample_weight)
    elif isinstance(y, dict | list | tuple) and hasattr(sample_weight, "__array__"):
        # One weight a sample is that of each output, as `fit` takes it.
        weights = parts["sample_weight"]
        parts["sample_weight"] = mapped(parts["y"], lambda _: weights)
    return RowSource(
        tuple(value for value in parts.values() if value is not None),
        batch_size=batch_size,
        seed=seed,
        is_shuffled=is_shuffled,
    )


def digest(batch: object) -> str:
    """Return the SHA-256 of all arrays of a batch, with their types and shapes."""
    found = hashlib.sha256()
    for leaf in leaves(batch):
        array = np.ascontiguousarray(np.asarray(leaf))
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def rows_digest(parts: Batch) -> str:
    """Return the SHA-256 of all rows of arrays, as batches have them."""
    found = hashlib.sha256()
    for array in leaves(parts):
        found.update(f"{_in_precision(array[:0]).dtype} {array.shape}".encode())
        n_rows = max(1, _PIECE_BYTES // max(1, array[:1].nbytes))
        for start in range(0, len(array), n_rows):
            found.update(_in_precision(array[start : start + n_rows]).tobytes())
    return found.hexdigest()


def mapped(value: Any, of_leaf: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    """Return the same structure of other leaves; lists become tuples, None stays.

    `tf.data` takes a list for one tensor.
    """
    if isinstance(value, dict):
        return {key: mapped(one, of_leaf) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return tuple(mapped(one, of_leaf) for one in value)
    return None if value is None else of_leaf(value)


def leaves(value: object) -> Iterator[Any]:
    """Yield the leaves of a structure."""
    if isinstance(value, dict):
        for one in value.values():
            yield from leaves(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from leaves(one)
    elif value is not None:
        yield value


def _arrays(value: object, name: str) -> Any:  # noqa: ANN401 - a structure
    return mapped(value, lambda leaf: _array(leaf, name))


def _array(leaf: Any, name: str) -> NDArray[Any]:  # noqa: ANN401 - a caller's
    kind = f"{type(leaf).__module__}.{type(leaf).__name__}"
    if kind.startswith(("zarr.", "h5py.")):
        raise InexactFitError(
            thing=name,
            problem=f"is a {kind}, which is read from a disk",
            expected="arrays in memory, or a lowmem.ZarrSequence",
            todo="Give lowmem.ZarrSequence(store, name=...), which reads in order.",
        )
    has_rows = getattr(leaf, "ndim", None) or getattr(leaf, "shape", ())
    if not hasattr(leaf, "__array__") or not has_rows:
        raise InexactFitError(
            thing=name,
            problem=f"is a {kind}, to whose position nothing can return",
            expected="arrays, a lowmem.ZarrSequence, or a PyDataset that says "
            f"{_DECLARED}",
            todo="Give the arrays that it is made from, or such a data set.",
        )
    array = np.asarray(leaf)
    if array.dtype.hasobject or array.dtype.kind in "USMm":
        raise InexactFitError(
            thing=name,
            problem=f"holds {array.dtype}",
            expected="numbers",
            todo="Turn them into numbers first, such as by keras.layers.StringLookup.",
        )
    return array


def _in_precision(rows: NDArray[Any]) -> NDArray[Any]:
    """Return floats in Keras' precision: what `fit` does to arrays."""
    dtype = keras.backend.standardize_dtype(rows.dtype)
    precision = keras.config.floatx()
    is_other = keras.backend.is_float_dtype(dtype) and dtype != precision
    return rows.astype(precision) if is_other else rows


def _common_length(parts: Batch) -> int:
    lengths = {len(array) for array in leaves(parts)}
    if len(lengths) != 1 or 0 in lengths:
        raise InexactFitError(
            thing="the data",
            problem=f"have arrays of {', '.join(map(str, sorted(lengths)))} rows",
            expected="one row a sample in each, and at least one",
            todo="Give inputs, targets and weights of the same samples.",
        )
    return lengths.pop()


def _refuse_beside(y: object, sample_weight: object, name: str) -> None:
    if y is not None or sample_weight is not None:
        raise InexactFitError(
            thing=name,
            problem="is a data set, and targets or weights are given beside it",
            expected="batches of (inputs, targets, weights) from the data set itself",
            todo="Let its batches hold them.",
        )


def _refuse_weights_alone(sample_weight: object) -> None:
    if sample_weight is not None:
        raise InexactFitError(
            thing="sample_weight",
            problem="is given without y",
            expected="targets, which it weighs",
            todo="Give y too.",
        )


def _as_tuple(batch: object) -> Batch:
    if isinstance(batch, list | tuple):
        found: Batch = mapped(batch, lambda leaf: leaf)
        return found
    return (batch,)

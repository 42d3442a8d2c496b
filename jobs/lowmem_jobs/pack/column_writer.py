"""Put rows into the arrays of a store: whole chunks are written, the rest waits.

What waits is part of a commit, so a chunk holds the same rows wherever a run was cut and
however many rows were read at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.base import sync_file
from lowmem.stores import CLASS_NAMES, RowWriter, write_group_attributes
from lowmem_jobs.pack.class_codes import ClassCodes
from lowmem_jobs.pack.column_types import (
    LARGEST_EXACT,
    ColumnRows,
    ColumnType,
    RowRefusedError,
)
from lowmem_jobs.pack.table_arrays import n_stored_of, offset_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lowmem_jobs.pack.table_arrays import TableArray

# The two arrays of a ragged column: row i is values[offsets[i]:offsets[i + 1]].
_OFFSETS, _VALUES = "offsets", "values"
_OFFSET_TYPE = ColumnType(dtype="int64")
_NOTHING = np.empty(0, np.uint8)
_WIDE_BYTES = 8  # of numbers that floats do not all hold


class GrowingArray:
    """One array of Zarr that takes any number of rows at a time.

    Parameters
    ----------
    n_rows
        Rows that are written or wait.
    waiting : shape (n_rows % chunk_rows, *row_shape)
        Those that do not fill a chunk yet.
    """

    def __init__(
        self,
        store: Path,
        name: str,
        *,
        column: ColumnType,
        chunk_rows: int,
        codec: str,
        n_rows: int,
        waiting: NDArray[Any] | None,
    ) -> None:
        self.n_rows = n_rows
        # Opening wrote its metadata.
        self._has_news = True
        self._n_waiting = n_rows % chunk_rows
        self._chunk = np.empty((chunk_rows, *column.shape), column.dtype)
        if waiting is not None:
            self._chunk[: self._n_waiting] = waiting
        self._writer = RowWriter.open(
            store,
            name,
            row_shape=column.shape,
            dtype=column.dtype,
            chunk_rows=chunk_rows,
            n_rows=n_rows - self._n_waiting,
            codec=codec,
            attributes=column.attributes,
        )

    @property
    def waiting(self) -> NDArray[Any]:
        """The rows that do not fill a chunk yet."""
        return self._chunk[: self._n_waiting]

    def append(self, rows: NDArray[Any]) -> None:
        """Take some rows; write each chunk that they fill."""
        done = 0
        while done < len(rows):
            free = len(self._chunk) - self._n_waiting
            part = rows[done : done + free]
            self._chunk[self._n_waiting : self._n_waiting + len(part)] = part
            self._n_waiting += len(part)
            done += len(part)
            if self._n_waiting == len(self._chunk):
                self._write(self._chunk)
        self.n_rows += len(rows)

    def finish(self, attributes: Mapping[str, object]) -> None:
        """Write what waits, and say what the numbers mean."""
        if self._n_waiting:
            self._write(self.waiting)
        if attributes:
            self._writer.set_attributes(attributes)
            self._has_news = True

    def _write(self, rows: NDArray[Any]) -> None:
        self._writer.append(rows)
        self._n_waiting, self._has_news = 0, True

    def flush(self) -> None:
        """Wait until all that was written is on the disk; at once where nothing was."""
        if self._has_news:
            self._writer.flush()
            self._has_news = False


class ColumnWriter:
    """The writers of all arrays of a table, which stand at the same row.

    Parameters
    ----------
    store
        The group.
    arrays
        What it holds.
    codec
        Compression of the chunks.
    state, waiting
        What `state` and `waiting` gave at the last commit; empty at first.
    has_own_order
        Whether codes are those of the file's own dictionaries.
    """

    def __init__(
        self,
        store: Path,
        arrays: Sequence[TableArray],
        *,
        codec: str,
        state: Mapping[str, Any],
        waiting: Mapping[str, NDArray[Any]],
        has_own_order: bool,
    ) -> None:
        self._store = store
        self._is_synced = False
        self._arrays = list(arrays)
        sizes: Sequence[int] = state.get("sizes", ())
        named: Mapping[str, Sequence[str]] = state.get("classes", {})
        self._classes = {
            one.name: ClassCodes(
                one.name, named.get(one.name, ()), has_own_order=has_own_order
            )
            for one in arrays
            if one.type.is_coded
        }
        self._grown: dict[str, GrowingArray] = {}
        for number, (place, column, chunk_rows) in enumerate(_places(arrays)):
            group, _, name = place.rpartition("/")
            self._grown[place] = GrowingArray(
                store / group,
                name,
                column=column,
                chunk_rows=chunk_rows,
                codec=codec,
                n_rows=sizes[number] if sizes else 0,
                waiting=waiting.get(_waiting_name(number)),
            )
            if name == _OFFSETS and not sizes:
                self._grown[place].append(np.zeros(1, np.int64))

    def append(
        self, columns: Mapping[str, ColumnRows], parts: NDArray[np.uint8] | None
    ) -> None:
        """Store some rows.

        Parameters
        ----------
        parts : shape (n_rows,)
            In which part of the split each is.

        Raises
        ------
        RowRefusedError
            For a whole number among features of floats that no float is.
        """
        for one in self._arrays:
            rows = [columns[name] for name in one.columns]
            if not rows:
                self._grown[one.name].append(parts if parts is not None else _NOTHING)
            elif one.type.is_coded:
                codes = self._classes[one.name].codes_of(rows[0])
                self._grown[one.name].append(codes)
            elif one.type.is_ragged:
                self._append_ragged(one.name, rows[0])
            elif one.type.shape != rows[0].values.shape[1:] or len(rows) > 1:
                self._grown[one.name].append(_side_by_side(one, rows))
            else:
                self._grown[one.name].append(rows[0].values)

    def _append_ragged(self, name: str, rows: ColumnRows) -> None:
        values = self._grown[f"{name}/{_VALUES}"]
        lengths = rows.lengths if rows.lengths is not None else _NOTHING
        ends = values.n_rows + np.cumsum(lengths, dtype=np.int64)
        self._grown[f"{name}/{_OFFSETS}"].append(ends)
        values.append(rows.values)

    def state(self) -> dict[str, Any]:
        """Return where it stands, as JSON values."""
        return {
            "sizes": [grown.n_rows for grown in self._grown.values()],
            "classes": {name: one.names for name, one in self._classes.items()},
        }

    def waiting(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Yield the rows that do not fill a chunk yet, by names for a commit."""
        for number, grown in enumerate(self._grown.values()):
            if len(grown.waiting):
                yield _waiting_name(number), grown.waiting

    def flush(self) -> None:
        """Wait until all that was written is on the disk."""
        for grown in self._grown.values():
            grown.flush()
        if not self._is_synced:
            # The folder that gained the store, where all arrays lie deeper.
            sync_file(self._store.parent)
            self._is_synced = True

    def finish(self, attributes: Mapping[str, Mapping[str, object]]) -> None:
        """Write what waits; all rows are there.

        Parameters
        ----------
        attributes
            By array: what its numbers mean beside what its type says.
        """
        for place, grown in self._grown.items():
            told = dict(attributes.get(place, {}))
            if place in self._classes:
                told[CLASS_NAMES] = self._classes[place].names
            grown.finish(told)
        for one in self._arrays:
            if one.type.is_ragged:
                write_group_attributes(
                    self._store / one.name, {**one.type.attributes, "ragged": True}
                )
        self.flush()


def _places(
    arrays: Sequence[TableArray],
) -> Iterator[tuple[str, ColumnType, int]]:
    """Yield place, type and rows in a chunk of each array of Zarr."""
    n_offsets = offset_rows(n_stored_of(arrays))
    for one in arrays:
        if not one.type.is_ragged:
            yield one.name, one.type, one.chunk_rows
            continue
        yield f"{one.name}/{_OFFSETS}", _OFFSET_TYPE, n_offsets
        elements = ColumnType(
            dtype=one.type.dtype, shape=one.type.shape, attributes=one.type.attributes
        )
        yield f"{one.name}/{_VALUES}", elements, one.chunk_rows


def _waiting_name(number: int) -> str:
    return f"waiting{number}"


def _side_by_side(one: TableArray, rows: Sequence[ColumnRows]) -> NDArray[Any]:
    """Return columns as one: numbers of the type that holds all of them exactly."""
    found = []
    for name, column in zip(one.columns, rows, strict=True):
        values = column.values
        is_wide = values.dtype.kind in "iu" and values.dtype.itemsize == _WIDE_BYTES
        if is_wide and np.dtype(one.type.dtype).kind == "f":
            _refuse_beyond(values, name)
        # Of a label, one number a row.
        found.append(values.reshape(len(values), -1) if one.type.shape else values)
    if len(found) == 1:
        return found[0].astype(one.type.dtype, copy=False)
    return np.concatenate(found, axis=1, dtype=one.type.dtype)


def _refuse_beyond(values: NDArray[Any], name: str) -> None:
    is_beyond = (values > LARGEST_EXACT) | (values < -LARGEST_EXACT)
    if is_beyond.any():
        row = int(np.argmax(is_beyond.reshape(len(values), -1).any(axis=1)))
        raise RowRefusedError(
            row=row,
            column=name,
            problem="is a whole number beyond 2^53, beside floats in --features",
            expected="one that a float holds exactly",
            todo=f"--types {name}=float64 takes the nearest float.",
        )

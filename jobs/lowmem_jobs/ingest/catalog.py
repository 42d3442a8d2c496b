"""Entries by the million, in the byte order of their names, kept in a nameless file.

They are sorted as whatever does not fit into memory is: in runs, which are then merged.
Where the names come in order, as those of most archives do, there is nothing to merge.
"""

from __future__ import annotations

import os
import struct
from array import array
from heapq import merge
from itertools import chain, islice, pairwise
from operator import itemgetter
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, NamedTuple, Self

from lowmem.base import storage_errors
from lowmem_jobs.ingest.entries import Entry, name_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_REPLACED = b"replaced by a later member of the same name"
# The numbers of an entry, and how long its name and its problem are.
_NUMBERS = struct.Struct("<6q")
_LENGTHS = struct.Struct("<2I")
# Entries that are sorted at once, in a MiB, which the interpreter may never give back: a
# multiple of those that are read at once, of which blocks the positions are kept.
_RUN_ENTRIES = 2**12
_BLOCK_ENTRIES = 16
_by_name = itemgetter(0)


class _Record(NamedTuple):
    """An entry as it is kept."""

    name: bytes
    problem: bytes
    numbers: bytes


class Catalog:
    """The entries of a source, by number; to be entered, for one thread.

    Of members with the same name the last one counts, as when an archive is unpacked.

    Parameters
    ----------
    entries
        In any order.
    folder
        Where the file lies. It has no name there, so it goes with the process, however
        that ends.

    Raises
    ------
    StorageError
        If there is no room for it.

    Notes
    -----
    Memory: half a byte for each entry, and while it is made a MiB and 1.2 bytes. Room on
    the disk: 56 bytes and the name's own for each, twice where names are not in order.
    """

    def __init__(self, entries: Iterable[Entry], folder: Path) -> None:
        self._records = _RecordFile(folder)
        try:
            if not self._add_runs(_record(entry) for entry in entries):
                self._records = self._merged(folder)
        except BaseException:
            self._records.close()
            raise
        self._block: list[Entry] = []
        self._n_block = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._records.close()

    def _add_runs(self, records: Iterator[_Record]) -> bool:
        """Write sorted runs; return whether each name comes after the one before."""
        last, is_ascending = None, True
        while run := list(islice(records, _RUN_ENTRIES)):
            run.sort(key=_by_name)
            for record in run:
                is_ascending = is_ascending and (last is None or last < record.name)
                last = record.name
                self._records.append(record)
            # The next run is collected before this name is bound to it.
            run.clear()
        return is_ascending

    def _merged(self, folder: Path) -> _RecordFile:
        """Return all runs as one, with those marked that a later one replaces."""
        n_entries = len(self._records)
        runs = [
            self._records.between(start, min(start + _RUN_ENTRIES, n_entries))
            for start in range(0, n_entries, _RUN_ENTRIES)
        ]
        merged = _RecordFile(folder)
        try:
            # Of equal names both keep the order in which they came.
            ordered: Iterator[_Record] = merge(*runs, key=_by_name)
            for record, following in pairwise(chain(ordered, (None,))):
                assert record is not None  # noqa: S101 - only the last one is
                is_replaced = following is not None and record.name == following.name
                merged.append(
                    record._replace(problem=_REPLACED) if is_replaced else record
                )
        except BaseException:
            merged.close()
            raise
        self._records.close()
        return merged

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Entry:
        n_block, place = divmod(range(len(self))[index], _BLOCK_ENTRIES)
        if n_block != self._n_block:
            self._block = [_entry(record) for record in self._records.block(n_block)]
            self._n_block = n_block
        return self._block[place]


class _RecordFile:
    """Records one after the other, written once and then read by number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with storage_errors(folder):
            self._stream = TemporaryFile(dir=folder)  # noqa: SIM115 - see `close`
        self._starts = array("Q")
        self._n_records = self._n_bytes = 0

    def close(self) -> None:
        """Give its room back."""
        with storage_errors(self._folder):
            self._stream.close()

    def __len__(self) -> int:
        return self._n_records

    def append(self, record: _Record) -> None:
        """Write one at the end."""
        if self._n_records % _BLOCK_ENTRIES == 0:
            self._starts.append(self._n_bytes)
        lengths = _LENGTHS.pack(len(record.name), len(record.problem))
        with storage_errors(self._folder):
            self._n_bytes += self._stream.write(
                lengths + record.numbers + record.name + record.problem
            )
        self._n_records += 1

    def between(self, start: int, stop: int) -> Iterator[_Record]:
        """Yield those from number ``start`` on, the first of a block."""
        n_blocks = range(start // _BLOCK_ENTRIES, -(-stop // _BLOCK_ENTRIES))
        return chain.from_iterable(map(self.block, n_blocks))

    def block(self, n_block: int) -> list[_Record]:
        """Return those that are read at once."""
        ends = (*self._starts[n_block : n_block + 2], self._n_bytes)
        with storage_errors(self._folder):
            self._stream.flush()
            data = os.pread(self._stream.fileno(), ends[1] - ends[0], ends[0])
        records, at = [], 0
        while at < len(data):
            n_name, n_problem = _LENGTHS.unpack_from(data, at)
            start = at + _LENGTHS.size + _NUMBERS.size
            middle, end = start + n_name, start + n_name + n_problem
            numbers = data[at + _LENGTHS.size : start]
            records.append(_Record(data[start:middle], data[middle:end], numbers))
            at = end
        return records


def _record(entry: Entry) -> _Record:
    # The fields of an entry are in this order: name, six numbers, problem.
    name, *numbers, problem = entry
    return _Record(name_bytes(name), name_bytes(problem), _NUMBERS.pack(*numbers))


def _entry(record: _Record) -> Entry:
    name, problem = (text.decode("utf-8", "surrogateescape") for text in record[:2])
    return Entry._make((name, *_NUMBERS.unpack(record.numbers), problem))

"""Read the rows that are encoded, some at a time; imported in the worker alone."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from lowmem.mapping import MapSource, UnchangedFile, open_rows
from lowmem.stores import Images, RowReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lowmem_jobs.encode.row_source import RowSource

    Rows = NDArray[Any] | Sequence[str]


class Reader(Protocol):
    """What gives rows."""

    def read(self, start: int, stop: int) -> Rows:
        """Return rows ``start`` to ``stop`` (exclusive), until the next are asked for."""
        ...


class OpenedRows:
    """The rows of a source that must stay as it is.

    Parameters
    ----------
    file
        Of what is read; taken before the first row is.
    """

    def __init__(self, reader: Reader, file: UnchangedFile) -> None:
        self._reader, self._file = reader, file

    def read(self, start: int, stop: int) -> Rows:
        """Return rows ``start`` to ``stop`` (exclusive), until the next are asked for."""
        return self._reader.read(start, stop)

    def refuse_changed(self) -> None:
        """Refuse rows that are used by now and may have changed under the use.

        Raises
        ------
        DataError
            If the source was written to or replaced since it was opened.
        """
        self._file.refuse_changed()


@contextmanager
def opened_rows(source: RowSource, *, most_rows: int) -> Iterator[OpenedRows]:
    """Open a source.

    Parameters
    ----------
    most_rows
        Rows that are asked for at once.
    """
    found = source.found
    if isinstance(found, Images):
        array = found.store / found.name if found.name else found.store
        file = UnchangedFile.at(array)
        with RowReader.open(found.store, found.name) as reader:
            yield OpenedRows(reader, file)
    elif isinstance(found, MapSource):
        file = UnchangedFile.at(found.path)
        yield OpenedRows(open_rows(found, call_rows=most_rows, held=1), file)
    else:
        yield OpenedRows(found, found.file)

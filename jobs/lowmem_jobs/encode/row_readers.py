"""Read the rows that are encoded, some at a time; imported in the worker alone."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from lowmem.mapping import MapSource, open_rows
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


@contextmanager
def opened_rows(source: RowSource, *, most_rows: int) -> Iterator[Reader]:
    """Open a source.

    Parameters
    ----------
    most_rows
        Rows that are asked for at once.
    """
    found = source.found
    if isinstance(found, Images):
        with RowReader.open(found.store, found.name) as reader:
            yield reader
    elif isinstance(found, MapSource):
        yield open_rows(found, call_rows=most_rows, held=1)
    else:
        yield found

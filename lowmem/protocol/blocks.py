"""Go through an array block by block: where a job is in it is kept in its commits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from lowmem.protocol.value_checks import require, whole


def blocks_of(
    array: Any,  # noqa: ANN401 - whatever has a shape and gives rows
    *,
    rows: int,
    held: int,
    name: str,
    places: dict[str, int],
    progress: Callable[[int, int], None],
) -> Iterator[Any]:
    """Yield ``array[start:stop]`` from the place of ``name`` on, and move it.

    Parameters
    ----------
    held
        Blocks that are read at once.
    places
        Rows given of each pass of the job: a commit that comes while the job has a block
        says that it is done.
    progress
        Is told of rows done and of all rows, when the next block is asked for.

    Raises
    ------
    ValueError
        If ``rows`` or ``held`` is less than one.
    """
    require("rows", ">= 1", rows, holds=whole("rows", rows) >= 1)
    require("held", ">= 1", held, holds=whole("held", held) >= 1)
    n_rows = int(array.shape[0])
    for start in range(places.get(name, 0), n_rows, rows * held):
        read = array[start : min(start + rows * held, n_rows)]
        for first in range(start, min(start + rows * held, n_rows), rows):
            stop = min(first + rows, n_rows)
            places[name] = stop
            # Of an array whose slices are copies, no second one.
            yield read if held == 1 else read[first - start : stop - start]
            progress(stop, n_rows)
        # Not beside what is read next.
        del read

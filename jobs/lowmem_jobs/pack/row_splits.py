"""In which part of a split each row is: a hash of seed and key, nothing else, decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowmem.stores import unit_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from lowmem_jobs.pack.column_types import ColumnRows


def split_parts(
    ends: Mapping[str, float],
    *,
    seed: int,
    first_row: int,
    n_rows: int,
    key: ColumnRows | None,
) -> NDArray[np.uint8]:
    """Return the part of each row, as its place among the parts.

    Parameters
    ----------
    ends
        Where each part ends in [0, 1].
    first_row
        Number in the table of the first of these rows.
    key
        Their values of the column whose equal values stay together; None: each row by
        its number.
    """
    keys = map(str, range(first_row, first_row + n_rows)) if key is None else _keys(key)
    places = np.fromiter((unit_hash(f"{seed}/{one}") for one in keys), float, n_rows)
    found: NDArray[np.uint8] = np.searchsorted(
        np.array(list(ends.values())), places, side="right"
    ).astype(np.uint8)
    return found


def _keys(key: ColumnRows) -> Iterator[str]:
    """Yield a text for each row; equal texts are of equal values."""
    if key.lengths is not None:
        data, end = key.values.tobytes(), 0
        for length in key.lengths.tolist():
            # Bytes of any kind: one character each.
            yield data[end : end + length].decode("latin-1")
            end += length
    elif key.names is not None:
        yield from (str(key.names[code]) for code in key.values.tolist())
    else:
        yield from (str(int(value)) for value in key.values.tolist())

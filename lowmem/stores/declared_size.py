"""Refuse arrays that declare far more than is stored: standard library."""

from __future__ import annotations

import os
from math import prod
from typing import TYPE_CHECKING

from lowmem.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# Zarr leaves out chunks that hold only the fill value, so an array may be larger than
# its files. From this size on, one chunk of so many must be there.
_FROM_BYTES = 2**32
_MOST_PER_FILE = 1_000


def refuse_hollow(
    path: Path, shape: Sequence[int], chunks: Sequence[int], *, item_bytes: int
) -> None:
    """Refuse an array whose metadata declare more than a thousand chunks for each file.

    A number in a text costs nothing: 10^12 rows of which one chunk is stored would be
    read, as zeros, for weeks.

    Raises
    ------
    DataError
        Saying how much is declared, and how much stored.

    Notes
    -----
    Looks at no file of an array below 4 GiB, and of a larger one at so many as are asked
    for.
    """
    if prod(shape) * max(1, item_bytes) <= _FROM_BYTES:
        return
    n_chunks = prod(
        -(-length // chunk) for length, chunk in zip(shape, chunks, strict=True)
    )
    wanted = n_chunks // _MOST_PER_FILE
    found = sum(1 for _, _ in zip(range(wanted), _files(path), strict=False))
    if found < wanted:
        raise DataError(
            thing=path,
            problem=f"declares {n_chunks} chunks and stores fewer than {found + 1}",
            expected=f"a file for one chunk of {_MOST_PER_FILE}, at the least",
            todo="Its metadata are damaged, or it was copied in part.",
        )


def _files(folder: Path) -> Iterator[str]:
    for _, _, names in os.walk(folder):
        yield from names

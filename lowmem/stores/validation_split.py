"""Which samples are held out for validation: decided by each sample's own name.

A hash of the name decides, not its place, so a sample never changes sides when others
are added to or removed from the store.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowmem.stores.metadata import read_array_info
from lowmem.stores.row_reader import RowReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    RowNumbers = np.ndarray[tuple[int], np.dtype[np.int64]]

_HASH_BYTES = 8
_BLOCK_ROWS = 4096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """The two sides of a data set.

    Attributes
    ----------
    training : shape (n_training,)
        Rows to learn from, ascending; never empty where there is any row.
    validation : shape (n_validation,)
        Rows held out, ascending; may be empty.
    """

    training: RowNumbers
    validation: RowNumbers


def split_rows(store: Path, *, n_rows: int, fraction: float) -> Split:
    """Return the split of a store: by its array ``names``, else by decimal row number.

    Parameters
    ----------
    fraction
        Expected share of validation rows, 0 to 1.

    Raises
    ------
    DataError
        If names are missing or damaged.
    """
    named = read_array_info(store / "names")
    if named is not None and named.shape == (n_rows,):
        return split_by_name(_names(store), fraction=fraction)
    return split_by_name((str(row) for row in range(n_rows)), fraction=fraction)


def split_by_name(names: Iterable[str], *, fraction: float) -> Split:
    """Return the split of samples with these names.

    Where every sample would be held out, all are trained on and none is held out: a
    model that learned from nothing is of no use.
    """
    held_out = np.fromiter((unit_hash(name) < fraction for name in names), np.bool_)
    if held_out.all():
        held_out[:] = False
    return Split(
        training=np.flatnonzero(~held_out), validation=np.flatnonzero(held_out)
    )


def unit_hash(name: str) -> float:
    """Return a number in [0, 1) that depends on ``name`` alone, evenly spread.

    Examples
    --------
    >>> 0 <= unit_hash("000001.jpg") < 1
    True
    """
    digest = hashlib.blake2b(name.encode(), digest_size=_HASH_BYTES).digest()
    # The top 53 bits: all that a float holds, so that 1.0 is never reached.
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def _names(store: Path) -> Iterator[str]:
    with RowReader.open(store, "names") as reader:
        n_rows = reader.shape[0]
        for start in range(0, n_rows, _BLOCK_ROWS):
            block = reader.read(start, min(start + _BLOCK_ROWS, n_rows))
            yield from (str(name) for name in block)

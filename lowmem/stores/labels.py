"""Read the labels of a store: one number a row, held in memory as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lowmem.base.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LABELS = "labels"
# Attribute of the array: what its numbers stand for.
CLASS_NAMES = "class_names"


def read_labels(
    store: Path, name: str, *, n_rows: int
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return the labels of all rows, and the names of the classes if they are told.

    Raises
    ------
    DataError
        If there is no such array, it has not one number a row, or it is damaged.
    """
    # Zarr: who only writes labels needs none of it.
    from lowmem.stores.row_reader import RowReader  # noqa: PLC0415

    with RowReader.open(store, name) as reader:
        if reader.shape != (n_rows,) or reader.dtype.kind not in "iufb":
            raise DataError(
                thing=store / name,
                problem=f"holds {reader.dtype} of shape {reader.shape}",
                expected=f"one number for each of the {n_rows} rows",
                todo="Give the name of the array with the labels.",
            )
        labels = reader.read(0, n_rows)
        listed = reader.attributes.get(CLASS_NAMES)
    class_names = tuple(map(str, listed)) if isinstance(listed, list) else ()
    return labels.astype(labels.dtype.newbyteorder("="), copy=False), class_names

"""Labels of images that lie in one folder a class, from the names of the stored rows.

They are made when all rows are there: a name tells its class wherever an ingest was cut,
and an image that could not be stored counts for nothing.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from lowmem.base import remove
from lowmem.stores import CLASS_NAMES, LABELS, RowWriter, read_array_info

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_BLOCK_ROWS = 4096
FEWEST_CLASSES = 2
# A folder for each image is no class; the largest sets in use have 22,000.
_MOST_CLASSES = 2**15


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """The label of each row.

    Attributes
    ----------
    class_names
        The classes, in the order of their numbers; none where labels are numbers.
    numbers : shape (n,)
        The class, or number, of each row.
    """

    class_names: tuple[str, ...]
    numbers: NDArray[np.int32]


def labels_from_names(
    names: Iterable[str], n_rows: Sequence[int], known: Sequence[str] = ()
) -> Labels | None:
    """Return the class of each row; None where the folders are no classes.

    Parameters
    ----------
    names
        Of all rows.
    n_rows
        Rows of each source: within one, all classes lie in the same folder.
    known
        Classes that have their numbers already; new ones follow, in their own order.

    Examples
    --------
    >>> found = labels_from_names(["x/dog/1.png", "x/cat/2.png", "x/dog/3.png"], [3])
    >>> found.class_names, found.numbers.tolist()
    (('cat', 'dog'), [1, 0, 1])
    >>> labels_from_names(["faces/1.png", "faces/2.png"], [2])
    """
    found: dict[str, int] = {}
    rows, rest = array("i"), iter(names)
    for n in n_rows:
        above = None
        for name in islice(rest, n):
            outside, _, folder = folder_of(name).rpartition("/")
            if not folder or outside != (above := outside if above is None else above):
                return None
            rows.append(found.setdefault(folder, len(found)))
            if len(found) > _MOST_CLASSES:
                return None
    if len(found) < FEWEST_CLASSES:
        return None
    class_names = (*known, *sorted(found.keys() - set(known)))
    number_of = {name: number for number, name in enumerate(class_names)}
    numbers = np.array([number_of[name] for name in found], np.int32)
    return Labels(class_names=class_names, numbers=numbers[rows])


def folder_of(name: str) -> str:
    """Return the path of the folder that an image lies in; empty where in none."""
    return name.rpartition("/")[0]


def write_labels(
    store: Path,
    n_rows: Sequence[int],
    known: Sequence[str] = (),
    folders: Collection[str] | None = None,
) -> Labels | None:
    """Write the array of labels, if the names of the rows have classes; return them.

    Parameters
    ----------
    n_rows, known
        See `labels_from_names`.
    folders
        Of all names, or `FEWEST_CLASSES` of them; None where that is not known. With
        fewer no name is read.

    Notes
    -----
    Memory: 12 bytes a row, and the names of a block.
    """
    if folders is not None and len(folders) < FEWEST_CLASSES:
        remove(store / LABELS)
        return None
    return write_made(store, lambda names: labels_from_names(names, n_rows, known))


def write_made(
    store: Path, made: Callable[[Iterable[str]], Labels | None]
) -> Labels | None:
    """Write the array of labels that are made of the names of all rows; return them.

    Notes
    -----
    One chunk: to make it again takes all names, which a repair has where it begins at
    the first row. Where it makes other chunks alone, names are missing, and nothing is
    written.
    """
    remove(store / LABELS)
    if not _has_all_names(store):
        return None
    found = made(_names(store))
    if found is not None:
        named = {CLASS_NAMES: list(found.class_names)} if found.class_names else {}
        writer = RowWriter.open(
            store,
            LABELS,
            row_shape=(),
            dtype="int32",
            chunk_rows=len(found.numbers),
            attributes=named,
        )
        writer.append(found.numbers)
        writer.flush()
    return found


def known_classes(store: Path) -> tuple[str, ...]:
    """Return the classes of a store that has labels; else none."""
    info = read_array_info(store / LABELS)
    listed = info.attributes.get(CLASS_NAMES, ()) if info is not None else ()
    return tuple(map(str, listed)) if isinstance(listed, list) else ()


def _has_all_names(store: Path) -> bool:
    info = read_array_info(store / "names")
    if info is None:
        return False
    n_chunks = -(-info.shape[0] // info.chunk_shape[0])
    return sum(1 for _ in (store / "names").glob("c.*")) == n_chunks


def _names(store: Path) -> Iterator[str]:
    # Zarr: a third of a second, and memory, that packing itself has no use for.
    from lowmem.stores import RowReader  # noqa: PLC0415

    with RowReader.open(store, "names") as reader:
        n_rows = reader.shape[0]
        for start in range(0, n_rows, _BLOCK_ROWS):
            block = reader.read(start, min(start + _BLOCK_ROWS, n_rows))
            yield from map(str, block)

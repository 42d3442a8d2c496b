"""The first difference between two results, in words: stores by value, files by byte."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[Any]

_STORE_FILES = ("zarr.json", ".zgroup", ".zarray")
_OWN_ATTRIBUTES = "lowmem"
# Values read at once of a store.
_VALUES = 2**22
# Characters shown of a line.
_SHOWN = 60


def first_difference(
    one: Path, other: Path, names: Iterable[str], *, is_rounded: bool = False
) -> str | None:
    """Return what differs first between results in two workspaces, and where.

    Parameters
    ----------
    one, other
        The workspaces; ``other`` is what is expected.
    names
        The results within them: files, folders and stores.
    is_rounded
        Whether numbers in stores may differ in their rounding: by half of the digits of
        their type, against the largest of the array.

    Returns
    -------
    difference
        ``NAME[INDEX] is ..., expected ...``; None where there is none.

    Notes
    -----
    Chunks, compression and the attributes of lowmem's own do not count in a store. Takes
    the memory of two files, and of 4 Mi values of a store.
    """
    for name in names:
        found = _of_path(one / name, other / name, name, is_rounded=is_rounded)
        if found is not None:
            return found
    return None


def first_of_mappings(
    one: Mapping[str, object], other: Mapping[str, object], name: str
) -> str | None:
    """Return the first key whose value differs, likewise."""
    for key in sorted(one.keys() | other.keys()):
        if key not in one or key not in other:
            return f"{name} {'lacks' if key in other else 'also has'} {key!r}"
        if _told(one[key]) != _told(other[key]):
            got, expected = _shown(repr(one[key])), _shown(repr(other[key]))
            return f"{name}[{key!r}] is {got}, expected {expected}"
    return None


def _told(value: object) -> str:
    """Return a value of JSON in a form in which a NaN equals itself."""
    return json.dumps(value, sort_keys=True)


def _of_path(one: Path, other: Path, name: str, *, is_rounded: bool) -> str | None:
    if not one.exists() or not other.exists():
        return f"{name} is {'missing' if other.exists() else 'there, expected none'}"
    if one.is_dir() != other.is_dir():
        kinds = ("a file", "a folder")
        return f"{name} is {kinds[one.is_dir()]}, expected {kinds[other.is_dir()]}"
    if not one.is_dir():
        return _of_files(one.read_bytes(), other.read_bytes(), name)
    if any((other / file).exists() for file in _STORE_FILES):
        return _of_stores(one, other, name, is_rounded=is_rounded)
    inner = sorted({path.name for folder in (one, other) for path in folder.iterdir()})
    found = (
        _of_path(one / part, other / part, f"{name}/{part}", is_rounded=is_rounded)
        for part in inner
    )
    return next(filter(None, found), None)


# --- files ------------------------------------------------------------------------


def _of_files(one: bytes, other: bytes, name: str) -> str | None:
    if one == other:
        return None
    of_kind = _of_array_files(one, other, name) or _of_texts(one, other, name)
    return of_kind or _of_bytes(one, other, name)


def _of_array_files(one: bytes, other: bytes, name: str) -> str | None:
    """Return where the values of a .npy or .npz file differ; None where they are equal."""
    if not name.endswith((".npy", ".npz")):
        return None
    try:
        arrays = _arrays_in(one), _arrays_in(other)
    except (ValueError, OSError, EOFError):
        return None
    for key in arrays[0].keys() | arrays[1].keys():
        if key not in arrays[0] or key not in arrays[1]:
            return f"{name} {'lacks' if key in arrays[1] else 'also has'} {key!r}"
        place = f"{name} {key}".rstrip()
        if found := _of_arrays(arrays[0][key], arrays[1][key], place):
            return found
    return None


def _arrays_in(content: bytes) -> dict[str, Array]:
    loaded = np.load(io.BytesIO(content), allow_pickle=False)
    return {"": loaded} if isinstance(loaded, np.ndarray) else dict(loaded.items())


def _of_texts(one: bytes, other: bytes, name: str) -> str | None:
    try:
        lines, expected = one.decode().splitlines(), other.decode().splitlines()
    except UnicodeDecodeError:
        return None
    for number, (line, wanted) in enumerate(
        zip(lines, expected, strict=False), start=1
    ):
        if line != wanted:
            return (
                f"{name}, line {number}, is {_shown(repr(line))}, "
                f"expected {_shown(repr(wanted))}"
            )
    if len(lines) != len(expected):
        return f"{name} has {len(lines)} lines, expected {len(expected)}"
    return None


def _of_bytes(one: bytes, other: bytes, name: str) -> str:
    pairs = enumerate(zip(one, other, strict=False))
    place = next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))
    return f"{name} ({len(one)} bytes, expected {len(other)}) differs at byte {place} and on"


# --- stores -----------------------------------------------------------------------


def _of_stores(one: Path, other: Path, name: str, *, is_rounded: bool) -> str | None:
    try:
        nodes, expected = _nodes(one), _nodes(other)
    except (ValueError, OSError, KeyError) as error:
        return f"{name} cannot be opened as a store ({error})"
    for path in sorted(nodes.keys() | expected.keys()):
        place = f"{name}/{path}".rstrip("/")
        if path not in nodes or path not in expected:
            return f"{place} is {'missing' if path in expected else 'there, expected none'}"
        found = _of_nodes(nodes[path], expected[path], place, is_rounded=is_rounded)
        if found is not None:
            return found
    return None


def _nodes(path: Path) -> dict[str, zarr.Array[Any] | zarr.Group]:
    root = zarr.open(path, mode="r")
    if isinstance(root, zarr.Array):
        return {"": root}
    return {"": root, **dict(root.members(max_depth=None))}


def _of_nodes(
    one: zarr.Array[Any] | zarr.Group,
    other: zarr.Array[Any] | zarr.Group,
    place: str,
    *,
    is_rounded: bool,
) -> str | None:
    is_array = isinstance(one, zarr.Array), isinstance(other, zarr.Array)
    if is_array[0] != is_array[1]:
        kinds = ("a group", "an array")
        return f"{place} is {kinds[is_array[0]]}, expected {kinds[is_array[1]]}"
    found = first_of_mappings(_attributes(one), _attributes(other), f"{place}.attrs")
    if found is not None or not isinstance(one, zarr.Array):
        return found
    assert isinstance(other, zarr.Array)  # noqa: S101 - seen above
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return f"{place} is {_kind(one)}, expected {_kind(other)}"
    largest = _largest(other) if is_rounded and other.dtype.kind == "f" else None
    for start, rows, wanted in _blocks(one, other):
        found = _of_arrays(rows, wanted, place, first=start, largest=largest)
        if found is not None:
            return found
    return None


def _attributes(node: zarr.Array[Any] | zarr.Group) -> dict[str, object]:
    attributes = dict(node.attrs)
    return {k: v for k, v in attributes.items() if not k.startswith(_OWN_ATTRIBUTES)}


def _kind(array: zarr.Array[Any] | Array) -> str:
    return f"{array.dtype} of shape {array.shape}"


def _blocks(
    one: zarr.Array[Any], other: zarr.Array[Any]
) -> Iterator[tuple[int, Array, Array]]:
    """Yield (first row, rows of the one, rows of the other)."""
    if not one.shape:
        yield 0, np.asarray(one[...]), np.asarray(other[...])
        return
    row_values = int(np.prod(one.shape[1:], dtype=np.int64))
    step = max(1, _VALUES // max(1, row_values))
    for start in range(0, one.shape[0], step):
        part = slice(start, start + step)
        yield start, np.asarray(one[part]), np.asarray(other[part])


def _largest(array: zarr.Array[Any]) -> float:
    peaks = (np.abs(rows[np.isfinite(rows)]) for _, rows, _ in _blocks(array, array))
    return max((float(peak.max(initial=0)) for peak in peaks), default=0.0)


def _of_arrays(
    one: Array,
    other: Array,
    place: str,
    *,
    first: int = 0,
    largest: float | None = None,
) -> str | None:
    """Return where two arrays differ.

    Parameters
    ----------
    first
        Number of their first row.
    largest
        Largest number of the whole; None where every bit counts.
    """
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return f"{place} is {_kind(one)}, expected {_kind(other)}"
    differs = _differing(one, other)
    if largest is not None:
        bound = float(np.sqrt(np.finfo(other.dtype).eps)) * largest
        with np.errstate(invalid="ignore"):
            differs &= ~(np.abs(one.astype("f8") - other.astype("f8")) <= bound)
    n_differing = int(np.count_nonzero(differs))
    if not n_differing:
        return None
    index = tuple(int(i) for i in np.argwhere(differs)[0])
    told = [index[0] + first, *index[1:]] if index else []
    of = f"; {n_differing} of {one.size} values differ"
    return f"{place}{told} is {one[index]}, expected {other[index]}{of}"


def _differing(one: Array, other: Array) -> NDArray[np.bool_]:
    """Return which values differ in any bit, a NaN from another too."""
    if one.dtype.hasobject or not one.dtype.itemsize:
        return np.asarray(one != other)
    bits = [
        np.ascontiguousarray(values).reshape(-1).view(np.uint8).reshape(one.size, -1)
        for values in (one, other)
    ]
    return np.asarray((bits[0] != bits[1]).any(axis=1).reshape(one.shape))


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."

"""What is mapped: found and measured by its metadata, without NumPy, for the planner."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from lowmem.base.errors import DataError, UsageError
from lowmem.base.files import storage_errors
from lowmem.base.outside import refuse_unless_regular
from lowmem.base.workspace import path_from_text
from lowmem.stores.metadata import array_names, read_array_info
from lowmem.stores.npy_header import NoHeaderError, header_fields, read_header

if TYPE_CHECKING:
    from pathlib import Path

    from lowmem.base.workspace import Workspace

_IMAGES = "images"
# NumPy's short names of numbers, as a .npy file gives them.
_NUMBER = re.compile(r"[<>|=]?[biufc](\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSource:
    """An array of rows.

    Attributes
    ----------
    path
        A Zarr array or a .npy file.
    shape
        Axis 0 counts the rows.
    dtype
        As the file calls it.
    row_bytes
        Bytes of one row, decoded.
    chunk_rows
        Rows that are decoded at once; None of a .npy file, which is mapped.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: str
    row_bytes: int
    chunk_rows: int | None

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return self.shape[0]


def find_source(text: str, space: Workspace) -> MapSource:
    """Return the array that a user names.

    Parameters
    ----------
    text
        A path; one that is relative is looked for in the current folder and in the
        workspace.

    Raises
    ------
    UsageError
        If both have it.
    DataError
        If neither has it, or it is no array of numbers with at least one row.
    """
    path = _place(text, space)
    source = _npy(path) if path.is_file() else _zarr(path)
    if not source.shape or not source.n_rows:
        raise _unfit(path, f"has the shape {source.shape}")
    return source


def _place(text: str, space: Workspace) -> Path:
    here, inside = path_from_text(text), space.root / text
    if not inside.exists() or here == inside:
        if here.exists():
            return here
        raise DataError(
            thing=here,
            problem=f"is missing, and in {space.root} there is no {text} either",
            expected="a Zarr array, a group with one, or a .npy file",
        )
    if here.exists() and not here.samefile(inside):
        raise UsageError(
            f"{text} is in the current folder and in {space.root}, expected one of "
            f"them. Say which: {here} or {inside}."
        )
    return inside


def _unfit(path: Path, problem: str) -> DataError:
    return DataError(
        thing=path, problem=problem, expected="numbers in one row or more along axis 0"
    )


def _zarr(path: Path) -> MapSource:
    info = read_array_info(path)
    if info is None:
        path = path / _array_of_group(path)
        info = read_array_info(path)
    # Zarr calls the type of booleans without a size.
    item_bytes = 1 if info and info.dtype == "bool" else info.item_bytes if info else 0
    if info is None or not item_bytes:
        raise _unfit(path, f"holds {info.dtype if info else 'no array'}")
    return MapSource(
        path=path,
        shape=info.shape,
        dtype=info.dtype,
        row_bytes=prod(info.shape[1:]) * item_bytes,
        chunk_rows=info.rows_at_once,
    )


def _array_of_group(path: Path) -> str:
    names = array_names(path)
    if len(names) == 1:
        return names[0]
    if _IMAGES in names:
        return _IMAGES
    several = f"holds the arrays {', '.join(names)}" if names else "holds no array"
    raise DataError(
        thing=path,
        problem=several,
        expected="a Zarr array, a group with one, or a .npy file",
        todo=f"Name one of them, such as {path / names[0]}." if names else "",
    )


def _npy(path: Path) -> MapSource:
    refuse_unless_regular(path)
    try:
        with storage_errors(path), path.open("rb") as stream:
            shape, dtype = header_fields(read_header(stream))
    except NoHeaderError as error:
        raise DataError(
            thing=path, problem=f"is no .npy file ({error})", expected="one, or a store"
        ) from error
    found = _NUMBER.fullmatch(dtype)
    if found is None:
        raise _unfit(path, f"holds {dtype}")
    return MapSource(
        path=path,
        shape=shape,
        dtype=dtype,
        row_bytes=prod(shape[1:]) * int(found[1]),
        chunk_rows=None,
    )

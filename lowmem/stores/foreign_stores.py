"""Refuse stores of other programs that would be read as what they are not."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from lowmem.base.errors import DataError
from lowmem.stores.packing import packing_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lowmem.stores.metadata import ArrayInfo
    from lowmem.stores.packing import Packing

# Names of chunks and of folders of chunks, whatever the layout.
_CHUNK_LIKE = re.compile(r"(c|(c\.)?\d+(\.\d+)*)")


def packing_at(path: Path, info: ArrayInfo) -> Packing:
    """Return what the stored values of an array stand for.

    Raises
    ------
    DataError
        If its attributes cannot be understood.
    """
    try:
        return packing_of(info)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(
            thing=path,
            problem=f"has attributes of packing that cannot be read ({error})",
            expected="scale_factor, add_offset, _FillValue ... as numbers",
        ) from error


def require_plain(path: Path, packing: Packing) -> None:
    """Refuse an array whose values stand for other numbers.

    Raises
    ------
    DataError
        If they do.
    """
    if not packing.is_plain:
        raise DataError(
            thing=path,
            problem=f"holds packed values ({packing.said()})",
            expected="the numbers themselves",
            todo="Write it unpacked: xarray.open_zarr(STORE).drop_encoding().to_zarr(OUT).",
        )


def require_chunks_in_place(path: Path, first_key: str) -> None:
    """Refuse an array with files of chunks, none of which is where its metadata say.

    Zarr takes chunks that are not there for empty: all of it would read as zeros.

    Parameters
    ----------
    first_key
        Where the first chunk should be, below ``path``.

    Raises
    ------
    DataError
        If that is so.

    Notes
    -----
    Ends at the first chunk that is in its place.
    """
    parts = [re.sub(r"\d+", r"\\d+", re.escape(part)) for part in first_key.split("/")]
    if _has_chunk(path, parts):
        return
    names = (entry.name for entry in path.iterdir())
    found = next((name for name in names if _CHUNK_LIKE.fullmatch(name)), None)
    if found is None:
        return
    raise DataError(
        thing=path,
        problem=f"holds {found}, and no chunk at a place such as {first_key}",
        expected="chunks where the metadata of the array say",
        todo='If chunks lie in nested folders, add "dimension_separator": "/" to .zarray.',
    )


def _has_chunk(folder: Path | str, parts: Sequence[str]) -> bool:
    head, *rest = parts
    with os.scandir(folder) as entries:
        for entry in entries:
            if not re.fullmatch(head, entry.name):
                continue
            if (
                entry.is_file()
                if not rest
                else entry.is_dir() and _has_chunk(entry.path, rest)
            ):
                return True
    return False

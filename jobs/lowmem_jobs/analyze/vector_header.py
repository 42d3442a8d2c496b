"""Find vectors and read their shape without NumPy, for the planner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base import DataError, refuse_unless_regular
from lowmem.stores import (
    NoHeaderError,
    array_names,
    header_fields,
    read_array_info,
    read_header,
)

if TYPE_CHECKING:
    from pathlib import Path

_LATENTS = "z"


def latents_array(store: Path) -> str | None:
    """Return which array of a Zarr store holds the vectors; None for the store itself.

    Raises
    ------
    DataError
        If it is a group without the array ``z``, of several others.
    """
    if read_array_info(store) is not None or not store.is_dir():
        return None
    names = array_names(store)
    if _LATENTS in names or not names:
        return _LATENTS if names else None
    if len(names) > 1:
        raise DataError(
            thing=store,
            problem=f"holds the arrays {', '.join(names)}, and no {_LATENTS}",
            expected="one array of vectors",
            todo=f"Name one of them, such as {store / names[0]}.",
        )
    return names[0]


def read_npy_shape(path: Path) -> tuple[int, ...] | None:
    """Return the shape that the header of ``path`` gives; None if it is no .npy file.

    Raises
    ------
    NotRegularError
        If it is no file.
    """
    refuse_unless_regular(path)
    with path.open("rb") as stream:
        try:
            return header_fields(read_header(stream)).shape
        except NoHeaderError:
            return None

"""Find vectors and read their shape without NumPy, for the planner."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from lowmem.base import DataError
from lowmem.stores import array_names, read_array_info

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC = b"\x93NUMPY"
_MAX_HEADER_BYTES = 2**16


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

    References
    ----------
    NumPy Enhancement Proposal 1: magic string, version, length of the header in two
    bytes (version 1) or four, and a Python literal.
    """
    with path.open("rb") as stream:
        start = stream.read(8)
        if len(start) < 8 or not start.startswith(_MAGIC):  # noqa: PLR2004
            return None
        length = int.from_bytes(stream.read(2 if start[6] == 1 else 4), "little")
        text = stream.read(min(length, _MAX_HEADER_BYTES))
    try:
        shape = ast.literal_eval(text.decode("latin1").strip())["shape"]
        return tuple(int(side) for side in shape)
    except (ValueError, SyntaxError, KeyError, TypeError):
        return None

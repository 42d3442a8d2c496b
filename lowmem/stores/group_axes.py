"""Names of an array's axes that the groups above it give, as OME-Zarr does.

OME-Zarr 0.3 and 0.4 name axes in the group that lists an array, not in the array; 0.5 does
both. Earlier ones name none, since all of their arrays have five axes.
"""

# A JSON document is what it is until it is parsed below.
from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowmem.base.errors import DataError
from lowmem.stores.metadata import read_mapping

if TYPE_CHECKING:
    from collections.abc import Iterator

# An image of a well of a plate lies four groups deep; of its labels, six.
_MOST_LEVELS = 12
_CHANNEL = "channel"


def axes_in_groups(path: Path) -> tuple[str, ...]:
    """Return the names that a group above an array gives its axes; empty where none does.

    An axis that is said to be one of channels is called ``channel``, whatever its name.

    Parameters
    ----------
    path
        The array. Groups above it are looked at wherever a user's path begins.

    Raises
    ------
    DataError
        If metadata of a group cannot be understood.
    """
    # Through a link it is the array of another group.
    for place in dict.fromkeys((Path(os.path.abspath(path)), path.resolve())):  # noqa: PTH100 - as it is spelt
        for group in place.parents[:_MOST_LEVELS]:
            attributes = list(_attributes(group))
            if not attributes:
                break
            below = place.relative_to(group).as_posix()
            for found in attributes:
                axes = _axes_of(found, below, group)
                if axes:
                    return axes
    return ()


def _attributes(group: Path) -> Iterator[dict[str, Any]]:
    """Yield the attributes of a group of format 3, of format 2; of no group, none."""
    v3 = group / "zarr.json"
    if v3.is_file():
        document = read_mapping(v3)
        if document.get("node_type") == "group":
            yield _mapping(document.get("attributes"))
    if (group / ".zgroup").is_file():
        v2 = group / ".zattrs"
        yield read_mapping(v2) if v2.is_file() else {}


def _axes_of(attributes: dict[str, Any], below: str, group: Path) -> tuple[str, ...]:
    within = _mapping(attributes.get("ome"))
    # Other conventions have something else under that name, and no datasets in a list.
    for image in _list(within.get("multiscales", attributes.get("multiscales"))):
        listed = _list(_mapping(image).get("datasets"))
        paths = (_mapping(one).get("path") for one in listed)
        if below not in {posixpath.normpath(p) for p in paths if isinstance(p, str)}:
            continue
        return tuple(_name(axis, group) for axis in _list(image.get("axes")))
    return ()


def _name(axis: object, group: Path) -> str:
    """Return what one axis is called; format 0.3 has the names alone."""
    name = axis.get("name") if isinstance(axis, dict) else axis
    if not isinstance(name, str):
        raise DataError(
            thing=group,
            problem=f"names an axis {axis!r}",
            expected="axes of OME-Zarr, each with a name",
        )
    return _CHANNEL if _mapping(axis).get("type") == _CHANNEL else name


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []

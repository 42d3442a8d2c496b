"""Which array of a file holds the images, where there are several.

The one that the user names; else the one called ``images``; else the only one that can be
images. Where several can, their order says nothing: then the user is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.base import DataError
from lowmem.stores import array_names, axes_in_groups, packing_at, read_array_info

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lowmem.stores import ArrayInfo

NAME = "images"
CHANNELS = (1, 3, 4)
_GREY_AXES, _COLOUR_AXES = 3, 4
_N_NAMED = 8
# As people and programs (xarray, rioxarray, OME-Zarr) call axes.
_ROWS = frozenset({"y", "h", "height", "row", "rows", "lat", "latitude"})
_COLUMNS = frozenset(
    {"x", "w", "width", "col", "cols", "column", "columns", "lon", "longitude"}
)
_CHANNEL = frozenset(
    {"c", "ch", "channel", "channels", "band", "bands", "rgb", "rgba", "color"}
)
_PLACES = (_ROWS, _COLUMNS, _CHANNEL)
_MAX_DEPTH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An array of a file.

    Attributes
    ----------
    name
        By which the user may ask for it.
    shape
        Its lengths; empty where they cannot be read.
    can_be_images
        Whether its shape and its type are those of images.
    """

    name: str
    shape: tuple[int, ...]
    can_be_images: bool


def rows_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape as one of many pictures; (height, width, channels) is one.

    Examples
    --------
    >>> rows_shape((64, 48, 3)), rows_shape((60000, 28, 28))
    ((1, 64, 48, 3), (60000, 28, 28))
    """
    is_one = len(shape) == _GREY_AXES and shape[2] in CHANNELS
    return (1, *shape) if is_one else shape


def has_shape_of_images(shape: tuple[int, ...]) -> bool:
    """Tell whether a shape is that of pictures, grey or with channels."""
    shape = rows_shape(shape)
    if len(shape) == _GREY_AXES:
        return True
    return len(shape) == _COLOUR_AXES and shape[3] in CHANNELS


def choose(thing: Path, arrays: Sequence[Found], wanted: str | None) -> str:
    """Return the name of the array to take.

    Raises
    ------
    DataError
        If the one that is asked for is not there, or none or several can be images.
    """
    names = [array.name for array in arrays]
    if wanted is None and NAME in names:
        return NAME
    if wanted is not None:
        if wanted in names:
            return wanted
        raise _refusal(thing, f"holds no array {wanted}, but {_listed(arrays)}")
    able = [array for array in arrays if array.can_be_images]
    if len(able) == 1 or len(arrays) == 1:
        return (able or arrays)[0].name
    if not arrays:
        raise _refusal(thing, "holds no array")
    kind = f"{len(able)} that can be images" if able else "none that can be images"
    raise _refusal(
        thing, f"holds {len(arrays)} arrays, {kind} ({_listed(able or arrays)})"
    )


def _listed(arrays: Sequence[Found]) -> str:
    named = [f"{array.name} {array.shape}" for array in arrays[:_N_NAMED]]
    more = len(arrays) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def _refusal(thing: Path, problem: str) -> DataError:
    return DataError(
        thing=thing,
        problem=problem,
        expected=f"one array of images, or one called {NAME}",
        todo="Say which one: --array NAME.",
    )


def zarr_array(path: Path, wanted: str | None) -> str | None:
    """Return the array of a Zarr store to take; None where the store is the array.

    Raises
    ------
    DataError
        As `choose` does.
    """
    if read_array_info(path) is not None:
        if wanted is not None:
            raise _refusal(path, f"is one array, and not a group with {wanted}")
        _require_axes(path)
        return None
    name = choose(path, list(_arrays_below(path, "", _MAX_DEPTH)), wanted)
    _require_axes(path / name)
    return name


def agree_with_pictures(axes: Sequence[str], shape: tuple[int, ...]) -> bool:
    """Tell whether each named axis is at its place in pictures of that shape.

    Examples
    --------
    >>> agree_with_pictures(("time", "y", "x"), (9, 8, 8))
    True
    >>> agree_with_pictures(("band", "y", "x"), (9, 8, 8))
    False
    >>> agree_with_pictures(("y", "x", "band"), (8, 8, 3))
    True
    >>> agree_with_pictures(("y", "x", "band"), (8, 8, 9))  # it would be 8 pictures
    False
    """
    names = [axis.lower() for axis in axes]
    if len(names) != len(shape):
        return False
    is_one = rows_shape(shape) != shape
    places = _PLACES if is_one else (frozenset[str](), *_PLACES)
    known = frozenset[str]().union(*_PLACES)
    are_named = {*names} & _ROWS and {*names} & _COLUMNS
    for name, place in zip(names, places, strict=False):
        # Where y and x have names, one that nobody knows is no name of channels.
        is_foreign = are_named and name and place is _CHANNEL
        if name not in place and (name in known or is_foreign):
            return False
    return True


def _require_axes(path: Path) -> None:
    info = read_array_info(path)
    if info is None:
        return
    for axes in (info.axes, axes_in_groups(path)):
        if axes and not agree_with_pictures(axes, info.shape):
            raise DataError(
                thing=path,
                problem=f"has the shape {info.shape} and names its axes {', '.join(axes)}",
                expected="(n, y, x), (n, y, x, channel) or, of one picture, (y, x, "
                "channel) with 1, 3 or 4 channels",
                todo="Save it with its axes in that order.",
            )


def _arrays_below(group: Path, above: str, depth: int) -> Iterator[Found]:
    """Yield the arrays of a group, and then those of the groups in it."""
    names = array_names(group)
    for name in names:
        info = read_array_info(group / name)
        if info is not None:
            able = has_shape_of_images(info.shape) and _has_type(group / name, info)
            yield Found(name=above + name, shape=info.shape, can_be_images=able)
    if not depth:
        return
    for child in sorted(group.iterdir()):
        if child.name in names or not _is_group(child):
            continue
        yield from _arrays_below(child, f"{above}{child.name}/", depth - 1)


def _is_group(path: Path) -> bool:
    return any((path / mark).is_file() for mark in ("zarr.json", ".zgroup"))


def _has_type(path: Path, info: ArrayInfo) -> bool:
    kind = info.dtype.lstrip("<>|=")
    is_plain = kind in {"u1", "uint8"} or kind.startswith("f")
    return is_plain or not packing_at(path, info).is_plain

"""Arrays and scalars of NumPy, those of registered dtypes such as bfloat16 among them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.base.errors_loop import UnkeptValueError
from lowmem.states.tree import Packer, Unpacker, ValueKind, described, misfit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_Node = dict[str, Any]
# `dtype.isbuiltin` of a dtype that a library has registered.
_REGISTERED = 2
_PLAIN_KINDS = "biufcSUMmV"


def pack_array(value: NDArray[Any], packer: Packer, path: str) -> _Node:
    """Return the node of an array; it is not copied."""
    dtype = value.dtype
    if dtype.isbuiltin == _REGISTERED:
        bits = np.dtype(f"u{dtype.itemsize}")
        _refuse_unregistered(dtype, path)
        name = packer.keep(path, lambda: np.asarray(value).view(bits))
        return {"name": name, "dtype": dtype.name}
    if not _is_faithful(dtype):
        raise UnkeptValueError(path=path, problem=f"is an array of dtype {dtype}")
    return {"name": packer.keep(path, lambda: np.asarray(value))}


def unpack_array(
    node: Mapping[str, Any], unpacker: Unpacker, path: str, _given: object = None
) -> NDArray[Any]:
    """Return an array of its own memory."""
    found = np.asarray(unpacker.arrays[node["name"]])
    return found.view(_registered(node["dtype"], path)) if "dtype" in node else found


def _is_faithful(dtype: np.dtype[Any]) -> bool:
    """Return whether the header of a file of NumPy's tells this dtype."""
    if dtype.hasobject or dtype.kind not in _PLAIN_KINDS:
        return False
    try:
        found = np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(dtype))
    except (
        ValueError
    ):  # Fields that overlap, or lie in another order than they are named.
        return False
    # A record equals a void; but "long long" is not the type of the int64 that it equals.
    is_record = dtype.kind == "V" and found.type is not dtype.type
    return found == dtype and not is_record and dtype.metadata is None


def _refuse_unregistered(dtype: np.dtype[Any], path: str) -> None:
    if _registered(dtype.name, path) != dtype:
        raise UnkeptValueError(path=path, problem=f"is an array of dtype {dtype}")


def _registered(name: str, path: str) -> np.dtype[Any]:
    found: type[Any] | None = getattr(import_module("ml_dtypes"), name, None)
    if found is None:
        raise misfit(path, f"is of dtype {name}", "a dtype that ml_dtypes has here")
    dtype: np.dtype[Any] = np.dtype(found)
    return dtype


def _pack_shared(value: NDArray[Any], packer: Packer, path: str) -> _Node:
    packer.views.append((value, path))
    return pack_array(value, packer, path)


ARRAY = ValueKind(
    name="array",
    # A map of a file is an array like any other; masks and matrices are more than that.
    is_of=lambda value: type(value) in {np.ndarray, np.memmap},
    pack=_pack_shared,
    unpack=unpack_array,
)


def _unpack_scalar(
    node: Mapping[str, Any], unpacker: Unpacker, path: str, _given: object
) -> object:
    return unpack_array(node, unpacker, path)[()]


def _pack_scalar(value: np.generic, packer: Packer, path: str) -> _Node:
    array = np.asarray(value)
    # An array drops the zeros at the end of a text.
    is_cut = isinstance(value, np.str_ | np.bytes_) and array[()] != value
    if array.dtype != value.dtype or is_cut:
        raise UnkeptValueError(path=path, problem=f"is {described(value)}")
    return pack_array(array, packer, path)


SCALAR = ValueKind(
    name="scalar",
    is_of=lambda value: isinstance(value, np.generic),
    pack=_pack_scalar,
    unpack=_unpack_scalar,
    is_shared=False,
)

KINDS = (ARRAY, SCALAR)

"""Arrays of PyTorch and of JAX; neither is loaded here unless a commit holds one."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.base.errors_loop import UnkeptValueError
from lowmem.states.numpy_values import pack_array, unpack_array
from lowmem.states.tree import NOTHING, Packer, Unpacker, ValueKind, misfit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_Node = dict[str, Any]
# The dtypes of PyTorch that NumPy has in all releases; others are kept as their bits.
_SHARED = {
    *("bool", "uint8", "int8", "int16", "int32", "int64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
}
_BITS = {1: "uint8", 2: "int16", 4: "int32", 8: "int64"}


# --- PyTorch -----------------------------------------------------------------------


def _is_tensor(value: object) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _has_identity(value: Any) -> bool:  # noqa: ANN401
    """Return whether an optimiser may hold it: then it is filled, not replaced."""
    return bool(value.requires_grad)


def _pack_tensor(value: Any, packer: Packer, path: str) -> _Node:  # noqa: ANN401
    torch = sys.modules["torch"]
    if type(value) not in {torch.Tensor, torch.nn.Parameter}:
        raise UnkeptValueError(path=path, problem=f"is a {type(value).__name__}")
    dtype = str(value.dtype).removeprefix("torch.")
    is_dense = value.layout == torch.strided and value.device.type != "meta"
    if not is_dense or value.is_quantized:
        raise UnkeptValueError(path=path, problem="is a tensor that is not dense")
    if dtype not in _SHARED and value.element_size() not in _BITS:
        raise UnkeptValueError(path=path, problem=f"is a tensor of {value.dtype}")
    if value.requires_grad and not value.is_leaf:
        problem = "is a tensor that others were computed to get"
        raise UnkeptValueError(path=path, problem=problem, todo="Give its detach().")

    def make() -> NDArray[Any]:
        plain = value.detach().cpu().resolve_conj().resolve_neg()
        if dtype not in _SHARED:
            plain = plain.view(getattr(torch, _BITS[plain.element_size()]))
        return np.asarray(plain.numpy())

    return {
        "name": packer.keep(path, make),
        "dtype": dtype,
        "grad": bool(value.requires_grad),
        "parameter": isinstance(value, torch.nn.Parameter),
    }


def _unpack_tensor(
    node: Mapping[str, Any],
    unpacker: Unpacker,
    path: str,
    given: Any,  # noqa: ANN401
) -> object:
    torch = import_module("torch")
    value = torch.from_numpy(np.array(unpacker.arrays[node["name"]], copy=False))
    if node["dtype"] not in _SHARED:
        value = value.view(getattr(torch, node["dtype"]))
    if not _is_tensor(given):
        return _as_kept(value, node)
    if not _has_identity(given):
        return _as_kept(value.to(given.device), node)
    if (given.shape, given.dtype) != (value.shape, value.dtype):
        problem = f"is a tensor of {tuple(given.shape)}, {given.dtype}"
        expected = f"{tuple(value.shape)}, {value.dtype}, as was committed"
        raise misfit(path, problem, expected)
    with torch.no_grad():
        given.copy_(value)
    return given


def _as_kept(value: Any, node: Mapping[str, Any]) -> object:  # noqa: ANN401
    if node["parameter"]:
        nn = import_module("torch").nn
        return nn.Parameter(value, requires_grad=node["grad"])
    return value.requires_grad_(node["grad"])


TENSOR = ValueKind(
    name="torch",
    is_of=_is_tensor,
    pack=_pack_tensor,
    unpack=_unpack_tensor,
    is_filled=_has_identity,
)


# --- JAX ---------------------------------------------------------------------------


def _is_jax(value: object) -> bool:
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.Array)


def _is_key(value: Any) -> bool:  # noqa: ANN401
    dtypes = sys.modules["jax"].dtypes
    return bool(dtypes.issubdtype(value.dtype, dtypes.prng_key))


def _pack_jax(value: Any, packer: Packer, path: str) -> _Node:  # noqa: ANN401
    jax = sys.modules["jax"]
    if isinstance(value, jax.core.Tracer):
        raise UnkeptValueError(path=path, problem="is a JAX tracer within jit")
    if not value.is_fully_addressable:
        problem = "is a JAX array that is partly in other processes"
        raise UnkeptValueError(path=path, problem=problem)
    if _is_key(value):
        random = import_module("jax.random")
        data = np.asarray(random.key_data(value))
        node = pack_array(data, packer, path)
        return {**node, "key": str(random.key_impl(value))}
    # The dtype is known before the bytes are fetched.
    empty = np.empty(0, value.dtype)
    kept = pack_array(empty, Packer(()), path)
    bits = f"u{empty.itemsize}" if "dtype" in kept else empty.dtype
    name = packer.keep(path, lambda: np.asarray(value).view(bits))
    return {**kept, "name": name, "weak": bool(value.weak_type)}


def _unpack_jax(
    node: Mapping[str, Any],
    unpacker: Unpacker,
    path: str,
    given: Any,  # noqa: ANN401
) -> object:
    jax = import_module("jax")
    value = unpack_array(node, unpacker, path)
    if "key" in node:
        return jax.random.wrap_key_data(value, impl=node["key"])
    where = given.sharding if given is not NOTHING and _is_jax(given) else None
    found = jax.device_put(_weak(value) if node["weak"] else value, where)
    if found.dtype != value.dtype or found.weak_type != node["weak"]:
        raise misfit(
            path,
            f"is {value.dtype} in the commit and {found.dtype} here",
            "the jax_enable_x64 with which it was committed",
        )
    return found


def _weak(value: NDArray[Any]) -> Any:  # noqa: ANN401
    """Return an array whose dtype gives way, as that of a Python number does."""
    zeros = import_module("jax.numpy").full(value.shape, value.dtype.type(0).item())
    return zeros.at[...].set(value)


JAX = ValueKind(
    name="jax", is_of=_is_jax, pack=_pack_jax, unpack=_unpack_jax, is_shared=False
)

KINDS = (TENSOR, JAX)

"""Objects that give their state and take it back: modules and optimisers of PyTorch, others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lowmem.states.tree import Packer, Unpacker, ValueKind, class_name, given_object

if TYPE_CHECKING:
    from collections.abc import Mapping

_Node = dict[str, Any]
_PROTOCOLS = {"state_dict": "load_state_dict", "get_state": "set_state"}


def _protocol(value: object) -> str | None:
    """Return the name of the method that gives the state."""
    if isinstance(value, type):
        return None
    return next(
        (
            get
            for get, put in _PROTOCOLS.items()
            if callable(getattr(value, get, None))
            and callable(getattr(value, put, None))
        ),
        None,
    )


def _pack(value: object, packer: Packer, path: str) -> _Node:
    get = _protocol(value)
    assert get is not None  # noqa: S101 - it is of this kind
    state = packer.pack(getattr(value, get)(), f"{path}.{get}()")
    return {"class": class_name(value), "by": get, "state": state}


def _unpack(
    node: Mapping[str, Any], unpacker: Unpacker, path: str, given: object
) -> object:
    value = given_object(node, path, given)
    get = node["by"]
    # Of the same class, so it has the same methods.
    getattr(value, _PROTOCOLS[get])(unpacker.unpack(node["state"], f"{path}.{get}()"))
    return value


OBJECT = ValueKind(
    name="object",
    is_of=lambda value: _protocol(value) is not None,
    pack=_pack,
    unpack=_unpack,
    is_filled=lambda _: True,
)

KINDS = (OBJECT,)

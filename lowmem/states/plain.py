"""Values of Python's own, and what holds them: numbers, text, lists, dictionaries."""

from __future__ import annotations

import struct
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.base.errors_loop import UnkeptValueError
from lowmem.states.tree import (
    NOTHING,
    Packer,
    Unpacker,
    ValueKind,
    class_name,
    described,
    is_plain,
    misfit,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_Node = dict[str, Any]
_DOUBLE = ">d"


def _value_kind(
    name: str,
    cls: type,
    encode: Callable[[Any], object],
    decode: Callable[[Any], object],
) -> ValueKind:
    """Return the kind of a value that one JSON value tells."""
    return ValueKind(
        name=name,
        is_of=lambda value: type(value) is cls and not is_plain(value),
        pack=lambda value, _packer, _path: {"value": encode(value)},
        unpack=lambda node, _unpacker, _path, _given: decode(node["value"]),
        is_shared=False,
    )


def _hex_from_float(value: float) -> str:
    """Return its bits: a NaN has some that no text tells."""
    return struct.pack(_DOUBLE, value).hex()


def _float_from_hex(text: str) -> float:
    (value,) = struct.unpack(_DOUBLE, bytes.fromhex(text))
    return float(value)


INTEGER = _value_kind("int", int, hex, lambda text: int(text, 16))
FLOAT = _value_kind("float", float, _hex_from_float, _float_from_hex)
COMPLEX = _value_kind(
    "complex",
    complex,
    lambda value: [_hex_from_float(value.real), _hex_from_float(value.imag)],
    lambda parts: complex(*map(_float_from_hex, parts)),
)


def _pack_bytes(value: bytes, packer: Packer, path: str) -> _Node:
    return {"name": packer.keep(path, lambda: np.frombuffer(value, np.uint8))}


def _unpack_bytes(
    node: Mapping[str, Any], unpacker: Unpacker, _path: str, _given: object
) -> bytes:
    return unpacker.arrays[node["name"]].tobytes()


BYTES = ValueKind(
    name="bytes",
    is_of=lambda value: type(value) is bytes,
    pack=_pack_bytes,
    unpack=_unpack_bytes,
    is_shared=False,
)


def _pack_dict(value: dict[Any, Any], packer: Packer, path: str) -> _Node:
    for key in value:
        if type(key) not in {str, int, float, bool, type(None)}:
            problem = f"has a key that is {described(key)}"
            raise UnkeptValueError(path=path, problem=problem)
    items = {
        key: packer.pack(one, f"{path}[{key!r}]") for key, one in list(value.items())
    }
    if all(type(key) is str and is_plain(key) for key in items):
        return {"items": items}
    return {"pairs": [[packer.pack(k, f"{path} key"), v] for k, v in items.items()]}


def _unpack_dict(
    node: Mapping[str, Any], unpacker: Unpacker, path: str, given: object
) -> dict[Any, Any]:
    known = given if isinstance(given, dict) else {}
    pairs = node["items"].items() if "items" in node else node["pairs"]
    found = {}
    for name, one in pairs:
        key = unpacker.unpack(name, f"{path} key")
        found[key] = unpacker.unpack(one, f"{path}[{key!r}]", known.get(key, NOTHING))
    for key in known.keys() - found.keys():
        unpacker.missing(f"{path}[{key!r}]", known[key])
    return found


DICT = ValueKind(
    name="dict",
    is_of=lambda value: type(value) is dict,
    pack=_pack_dict,
    unpack=_unpack_dict,
)


def _pack_ordered(value: OrderedDict[Any, Any], packer: Packer, path: str) -> _Node:
    node = _pack_dict(value, packer, path)
    # PyTorch keeps the versions of its modules there.
    attributes = vars(value)
    if attributes:
        node["attributes"] = packer.pack(attributes, f"vars({path})")
    return node


def _unpack_ordered(
    node: Mapping[str, Any], unpacker: Unpacker, path: str, given: object
) -> OrderedDict[Any, Any]:
    found = OrderedDict(_unpack_dict(node, unpacker, path, given))
    if "attributes" in node:
        vars(found).update(unpacker.unpack(node["attributes"], f"vars({path})"))
    return found


ORDERED = ValueKind(
    name="ordered",
    is_of=lambda value: type(value) is OrderedDict,
    pack=_pack_ordered,
    unpack=_unpack_ordered,
)


def _pack_items(value: list[Any], packer: Packer, path: str) -> _Node:
    items = [packer.pack(one, f"{path}[{n}]") for n, one in enumerate(value)]
    return {"items": items}


def _unpacked_items(
    node: Mapping[str, Any], unpacker: Unpacker, path: str, given: object
) -> list[Any]:
    known = list(given) if isinstance(given, list | tuple) else []
    n_items = len(node["items"])
    for index in range(n_items, len(known)):
        unpacker.missing(f"{path}[{index}]", known[index])
    known += [NOTHING] * (n_items - len(known))
    return [
        unpacker.unpack(one, f"{path}[{index}]", known[index])
        for index, one in enumerate(node["items"])
    ]


LIST = ValueKind(
    name="list",
    is_of=lambda value: type(value) is list,
    pack=_pack_items,
    unpack=_unpacked_items,
)
TUPLE = ValueKind(
    name="tuple",
    is_of=lambda value: type(value) is tuple,
    pack=_pack_items,
    unpack=lambda *words: tuple(_unpacked_items(*words)),
    is_shared=False,
)


def _is_named_tuple(value: object) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _pack_named(value: tuple[Any, ...], packer: Packer, path: str) -> _Node:
    names = value._fields  # type: ignore[attr-defined]
    fields = zip(names, value, strict=True)
    return {
        "class": class_name(value),
        "items": [packer.pack(one, f"{path}.{name}") for name, one in fields],
        "fields": list(names),
    }


def _unpack_named(
    node: Mapping[str, Any], unpacker: Unpacker, path: str, given: object
) -> object:
    if given is NOTHING or class_name(given) != node["class"]:
        found = "nothing" if given is NOTHING else described(given)
        raise misfit(
            path,
            f"is {found} in what was given",
            f"a {node['class']}, as was committed",
        )
    assert isinstance(given, tuple)  # noqa: S101 - of the class committed
    if list(given._fields) != node["fields"]:  # type: ignore[attr-defined]
        expected = f"the fields {', '.join(node['fields'])}, as was committed"
        raise misfit(path, f"is {described(given)}", expected)
    fields = zip(node["fields"], node["items"], given, strict=True)
    values = [unpacker.unpack(one, f"{path}.{name}", old) for name, one, old in fields]
    return type(given)(*values)


NAMED = ValueKind(
    name="namedtuple",
    is_of=_is_named_tuple,
    pack=_pack_named,
    unpack=_unpack_named,
    is_shared=False,
)

KINDS = (INTEGER, FLOAT, COMPLEX, BYTES, DICT, ORDERED, LIST, TUPLE, NAMED)

"""Random generators of NumPy and of Python, with what they spawn children from."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.base.errors_loop import UnkeptValueError
from lowmem.states.tree import NOTHING, Packer, Unpacker, ValueKind, described, misfit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

_Node = dict[str, Any]
_BITS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
_LEGACY = "MT19937"
_SEED_FIELDS = ("entropy", "spawn_key", "pool_size", "n_children_spawned")


# --- numpy.random.Generator --------------------------------------------------------


def _pack_generator(value: np.random.Generator, packer: Packer, path: str) -> _Node:
    bits = value.bit_generator
    name = type(bits).__name__
    if name not in _BITS or type(bits) is not getattr(np.random, name):
        problem = f"draws from {described(bits)}"
        raise UnkeptValueError(path=path, problem=problem)
    seed = getattr(bits, "seed_seq", None)
    is_known = type(seed) is np.random.SeedSequence
    fields = {f: getattr(seed, f) for f in _SEED_FIELDS} if is_known else None
    return {
        "state": packer.pack(bits.state, f"{path}.bit_generator.state"),
        "seed": packer.pack(fields, f"{path}.bit_generator.seed_seq"),
    }


def _unpack_generator(
    node: Mapping[str, Any], unpacker: Unpacker, path: str, given: object
) -> np.random.Generator:
    state = unpacker.unpack(node["state"], f"{path}.bit_generator.state")
    fields = unpacker.unpack(node["seed"], f"{path}.bit_generator.seed_seq")
    name = state["bit_generator"]
    # A commit may be anybody's: nothing else of NumPy is called by its name.
    if name not in _BITS:
        raise misfit(path, f"draws from {name!r}", " or ".join(_BITS))
    if not isinstance(given, np.random.Generator):
        seed = None if fields is None else np.random.SeedSequence(**fields)
        given = np.random.Generator(getattr(np.random, name)(seed))
    bits = given.bit_generator
    if type(bits).__name__ != name:
        problem = f"draws from a {type(bits).__name__}"
        raise misfit(path, problem, f"a {name}, as was committed")
    bits.state = state
    if fields is not None:
        _set_seed(bits, fields, path)
    return given


def _set_seed(bits: Any, fields: Mapping[str, Any], path: str) -> None:  # noqa: ANN401
    """Let the next child be the one that would have come next."""
    now = {f: getattr(bits.seed_seq, f) for f in _SEED_FIELDS}
    if now == fields:
        return
    n_more = fields["n_children_spawned"] - now["n_children_spawned"]
    is_same = all(now[f] == fields[f] for f in _SEED_FIELDS[:-1])
    if is_same and n_more > 0:
        bits.seed_seq.spawn(n_more)
        return
    try:
        # What copying a generator does, since NumPy 2.
        bits.__setstate__((bits.state, np.random.SeedSequence(**fields)))
    except (TypeError, ValueError) as error:
        raise misfit(
            path, "was made from another seed", "a generator of the seed committed"
        ) from error


GENERATOR = ValueKind(
    name="numpy.Generator",
    is_of=lambda value: type(value) is np.random.Generator,
    pack=_pack_generator,
    unpack=_unpack_generator,
    is_filled=lambda _: True,
)


# --- numpy.random.RandomState, and the global one ----------------------------------


def _global_state() -> Any:  # noqa: ANN401
    """Return the generator behind ``np.random.rand`` and the like."""
    return np.random.rand.__self__  # type: ignore[attr-defined]


def _pack_legacy(value: Any, packer: Packer, path: str) -> _Node:  # noqa: ANN401
    state = value.get_state(legacy=False)
    if state["bit_generator"] != _LEGACY:
        problem = f"draws from a {state['bit_generator']}"
        raise UnkeptValueError(path=path, problem=problem)
    return {"state": packer.pack(state, f"{path}.get_state()")}


def _unpack_legacy(
    node: Mapping[str, Any], unpacker: Unpacker, path: str, given: object
) -> np.random.RandomState:
    found = given if isinstance(given, np.random.RandomState) else None
    found = np.random.RandomState() if found is None else found
    found.set_state(unpacker.unpack(node["state"], f"{path}.get_state()"))
    return found


def _unpack_global(
    node: Mapping[str, Any], unpacker: Unpacker, path: str, given: object
) -> object:
    np.random.set_state(unpacker.unpack(node["state"], f"{path}.get_state()"))
    return np.random if given is np.random else _global_state()


GLOBAL_NUMPY = ValueKind(
    name="numpy.random",
    is_of=lambda value: value is np.random or value is _global_state(),
    pack=_pack_legacy,
    unpack=_unpack_global,
    is_filled=lambda _: True,
)
RANDOM_STATE = ValueKind(
    name="numpy.RandomState",
    is_of=lambda value: type(value) is np.random.RandomState,
    pack=_pack_legacy,
    unpack=_unpack_legacy,
    is_filled=lambda _: True,
)


# --- random.Random, and the global one ---------------------------------------------


def _pack_python(value: random.Random | ModuleType, packer: Packer, path: str) -> _Node:
    version, words, gauss = value.getstate()
    array = np.asarray(words, np.uint32)
    return {
        "version": version,
        "name": packer.keep(path, lambda: array),
        "gauss": packer.pack(gauss, f"{path}.gauss"),
    }


def _unpack_python(
    node: Mapping[str, Any], unpacker: Unpacker, path: str, given: object
) -> object:
    found: Any = random.Random() if given is NOTHING else given  # noqa: S311
    words = tuple(unpacker.arrays[node["name"]].tolist())
    gauss = unpacker.unpack(node["gauss"], f"{path}.gauss")
    found.setstate((node["version"], words, gauss))
    return found


PYTHON = ValueKind(
    name="random.Random",
    is_of=lambda value: type(value) is random.Random,
    pack=_pack_python,
    unpack=lambda node, unpacker, path, given: _unpack_python(
        node, unpacker, path, given if type(given) is random.Random else NOTHING
    ),
    is_filled=lambda _: True,
)
GLOBAL_PYTHON = ValueKind(
    name="random",
    is_of=lambda value: value is random,
    pack=_pack_python,
    unpack=lambda node, unpacker, path, _given: _unpack_python(
        node, unpacker, path, random
    ),
    is_filled=lambda _: True,
)

KINDS = (GENERATOR, GLOBAL_NUMPY, RANDOM_STATE, GLOBAL_PYTHON, PYTHON)

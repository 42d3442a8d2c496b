"""All kinds of values that a state may hold, in the order in which they are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lowmem.base.errors_loop import UnkeptValueError
from lowmem.states import (
    estimators,
    generators,
    numpy_values,
    objects,
    plain,
    tensors,
    variables,
)
from lowmem.states.overlaps import refuse_overlaps
from lowmem.states.tree import NOTHING, Packer, Unpacker, misfit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

# Keras' models have `state_dict` with PyTorch, and generators have `get_state`: what is
# known better is asked before what has a protocol alone.
KINDS = (
    *plain.KINDS,
    *numpy_values.KINDS,
    *generators.KINDS,
    *variables.KINDS,
    *tensors.KINDS,
    *estimators.KINDS,
    *objects.KINDS,
)
_ROOT = "state"


def packed(state: object) -> tuple[object, Packer]:
    """Return the tree of a state, and what makes its arrays.

    Raises
    ------
    UnkeptValueError
        Naming the first value that cannot be kept.
    """
    packer = Packer(KINDS)
    tree = _packed(state, packer, _ROOT)
    refuse_overlaps(packer.views)
    return tree, packer


def packed_by_name(values: Mapping[str, object]) -> tuple[dict[str, object], Packer]:
    """Return the trees of values, each of which is named in messages as it is here.

    Raises
    ------
    UnkeptValueError
        Naming the first value that cannot be kept.
    """
    packer = Packer(KINDS)
    trees = {name: _packed(value, packer, name) for name, value in values.items()}
    refuse_overlaps(packer.views)
    return trees, packer


def _packed(value: object, packer: Packer, path: str) -> object:
    try:
        return packer.pack(value, path)
    except RecursionError:
        problem = "is nested deeper than Python can follow"
        raise UnkeptValueError(path=path, problem=problem) from None


def unpacked(
    tree: object, arrays: Mapping[str, NDArray[Any]], given: object = NOTHING
) -> object:
    """Return the state of a tree, its objects put into those that are given.

    Raises
    ------
    OtherStateError
        If they do not fit.
    """
    found = Unpacker(KINDS, arrays).unpack(tree, _ROOT, given)
    if isinstance(given, dict) and isinstance(found, dict):
        for key in given.keys() - found.keys():
            raise misfit(
                f"{_ROOT}[{key!r}]", "is not in the commit", "the entries that it holds"
            )
    return found


def unpacked_by_name(
    trees: Mapping[str, object],
    arrays: Mapping[str, NDArray[Any]],
    given: Mapping[str, object],
) -> dict[str, object]:
    """Return the values of trees, their objects put into those given by the same names.

    Raises
    ------
    OtherStateError
        If they do not fit.
    """
    unpacker = Unpacker(KINDS, arrays)
    # In the order of the commit: a value that is an earlier one again refers to that.
    return {
        name: unpacker.unpack(tree, name, given.get(name, NOTHING))
        for name, tree in trees.items()
    }


def unpacked_entry(
    tree: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], name: str
) -> object:
    """Return one entry of the dictionary that a state is, and unpack no other.

    Raises
    ------
    KeyError
        If it has none of that name.
    """
    return Unpacker(KINDS, arrays).unpack(tree["items"][name], f"{_ROOT}[{name!r}]")

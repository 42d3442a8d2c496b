"""What Keras makes of variables: models, layers, optimisers, metrics, seed generators.

A model's state is that of a training (`lowmem.training.state`). Variables are known by
their order, shape, dtype and path, but not by the numbers that Keras gives to layers of
one kind: a cell of a notebook that is run again makes a ``dense_1`` of a ``dense``.
"""

from __future__ import annotations

import re
import sys
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lowmem.states.tree import (
    Packer,
    Unpacker,
    ValueKind,
    class_name,
    given_object,
    misfit,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_Node = dict[str, Any]
_COUNTED = re.compile(r"_\d+(?=[_/]|$)")


_OPTIMIZER = "optimizer-"


class Variables:
    """Some variables of Keras', as one object of a state.

    Parameters
    ----------
    named
        Each with its path; their order counts.
    """

    def __init__(self, named: Iterable[tuple[str, Any]]) -> None:
        self.named = list(named)


def _known_by(name: str) -> str:
    """Return what of a variable's name is the same wherever it was made.

    The path of an optimiser's depends on whether it was built by hand or at a step.
    """
    if name.startswith(_OPTIMIZER):
        head, *middle = name.split("/")
        name = "/".join([head, *middle[:1], *middle[1:][-1:]])
    return _COUNTED.sub("", name)


def _is_keras(value: object) -> bool:
    if isinstance(value, Variables):
        return True
    keras = sys.modules.get("keras")
    # A namespace that nothing was taken of has loaded none of it.
    if keras is None or not hasattr(keras, "Model") or isinstance(value, type):
        return False
    kinds = (
        keras.layers.Layer,
        keras.optimizers.Optimizer,
        keras.metrics.Metric,
        keras.random.SeedGenerator,
        keras.Variable,
    )
    return isinstance(value, kinds)


def _state() -> Any:  # noqa: ANN401 - it loads Keras, which has been loaded then
    return import_module("lowmem.training.state")


def _variables(value: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Yield every variable with its path, in order."""
    keras = sys.modules["keras"]
    if isinstance(value, Variables):
        yield from value.named
    elif isinstance(value, keras.Variable):
        yield value.path, value
    elif isinstance(value, keras.random.SeedGenerator):
        yield value.state.path, value.state
    elif isinstance(value, keras.Model) and _optimizer(value) is not None:
        yield from _state().training_variables(value)
    elif isinstance(value, keras.Model):
        yield from _uncompiled(value)
    else:
        is_optimizer = isinstance(value, keras.optimizers.Optimizer)
        kind = _OPTIMIZER if is_optimizer else ""
        yield from ((f"{kind}{one.path}", one) for one in value.variables)


def _optimizer(value: object) -> Any:  # noqa: ANN401
    """Return the optimiser of a model that was compiled."""
    return getattr(value, "optimizer", None)


def _uncompiled(model: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    for index, variable in enumerate(model.variables):
        yield f"model/{index:04d}/{variable.path}", variable
    seed = _state().global_seed_state()
    yield f"global/0000/{seed.path}", seed


def _pack(value: object, packer: Packer, path: str) -> _Node:
    state = _state()
    variables = []
    for name, variable in _variables(value):
        # Bound now; the value is taken when it is written.
        make = partial(_value, state, variable)
        kept = packer.keep(f"{path}.{name}", make)
        shape, dtype = list(variable.shape), str(variable.dtype)
        variables.append([_known_by(name), shape, dtype, kept])
    return {"class": class_name(value), "variables": variables}


def _value(state: Any, variable: object) -> Any:  # noqa: ANN401
    return state.storable(state.value_of(variable))


def _unpack(
    node: Mapping[str, Any], unpacker: Unpacker, path: str, given: object
) -> object:
    value = given_object(node, path, given)
    kept = node["variables"]
    _build_optimizer(value, len(kept))
    here = [
        (_known_by(name), list(variable.shape), str(variable.dtype))
        for name, variable in _variables(value)
    ]
    there = [(name, shape, dtype) for name, shape, dtype, _ in kept]
    if here != there:
        _refuse(path, here, there)
    state = _state()
    for (_, variable), (*_, name) in zip(_variables(value), kept, strict=True):
        variable.assign(state.stored_as(unpacker.arrays[name], variable))
    return value


def _build_optimizer(value: Any, n_kept: int) -> None:  # noqa: ANN401
    """Build what Keras builds at the first step, if the commit came after that."""
    optimizer = _optimizer(value)
    is_model = isinstance(value, sys.modules["keras"].Model)
    if not is_model or optimizer is None or optimizer.built:
        return
    if sum(1 for _ in _variables(value)) < n_kept:
        optimizer.build(value.trainable_variables)


def _refuse(path: str, here: list[Any], there: list[Any]) -> None:
    extra = next((one for one in here if one not in there), None)
    lacking = next((one for one in there if one not in here), None)
    problem = "has its variables in another order"
    if lacking is not None:
        problem = f"lacks {_told(lacking)}"
    elif extra is not None:
        problem = f"has {_told(extra)}, which is not in the commit"
    expected = "the variables that were committed"
    if lacking is not None and extra is not None:
        expected = f"it instead of {_told(extra)}"
    elif lacking is not None:
        # What is built late can be built at once.
        expected += (
            ": call model.test_on_batch for metrics, and build(variables) of an "
        )
        expected += "optimiser, before restore()"
    raise misfit(path, problem, expected)


def _told(one: tuple[str, list[int], str]) -> str:
    name, shape, dtype = one
    return f"{name} of shape {tuple(shape)}, {dtype}"


VARIABLES = ValueKind(
    name="keras",
    is_of=_is_keras,
    pack=_pack,
    unpack=_unpack,
    is_filled=lambda _: True,
)

KINDS = (VARIABLES,)

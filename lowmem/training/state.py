"""All that a training must remember to go on as if it had never stopped.

Keras' own formats forget: `save_weights`, ``.keras`` and the backends' checkpoints drop
the states of the seed generators (keras-team/keras#19796), metrics within an epoch and
the global generators. Here a training is every variable of the model (seed generators
among them), of its optimisers and of its metrics, and the generators of Python, NumPy,
Keras and the backend.

What gathers the gradients of a batch's parts is left out: a training is only ever saved
between batches, where it is empty, and another micro-batch has none.
"""

from __future__ import annotations

import json
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from lowmem.base.errors import ModelError
from lowmem.training import backend
from lowmem.training.keras_private import global_seed_state
from lowmem.training.steps import own_optimizer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

_KINDS = ("model/", "optimizer-", "metrics/", "global/")
_GENERATORS = "generators/"


def optimizers_of(model: keras.Model) -> list[Any]:
    """Return the optimiser the model was compiled with, if any, and others it holds."""
    held = [
        value
        for value in vars(model).values()
        if _is_optimizer(value) and value is not model.optimizer
    ]
    own = own_optimizer(model)
    both = [*([own] if own is not None else []), *held]
    return list({id(one): one for one in both}.values())


def _is_optimizer(value: object) -> bool:
    return isinstance(value, keras.optimizers.Optimizer)


def training_variables(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """Yield every variable to save, named by kind, order and path.

    Two models of the same code have the same names, and only they.
    """
    yield from _named("model", model.variables)
    for index, optimizer in enumerate(optimizers_of(model)):
        yield from _named(f"optimizer-{index}", optimizer.variables)
    yield from _named("metrics", model.metrics_variables)
    yield from _named("global", [global_seed_state()])


def _named(kind: str, variables: list[Any]) -> Iterator[tuple[str, Any]]:
    for index, variable in enumerate(variables):
        yield f"{kind}/{index:04d}/{variable.path}", variable


def capture(model: keras.Model) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the whole state as named arrays, one at a time, in exact precision.

    Notes
    -----
    Memory: one variable. bfloat16 and its like are given as their bits, since files of
    NumPy arrays do not know them.
    """
    for name, variable in training_variables(model):
        yield name, storable(value_of(variable))
    yield from _capture_generators()


def metrics_of(model: keras.Model) -> dict[str, NDArray[Any]]:
    """Return the part of the state that belongs to the metrics."""
    named = _named("metrics", model.metrics_variables)
    return {name: storable(value_of(variable)) for name, variable in named}


def value_of(variable: keras.Variable) -> NDArray[Any]:
    """Return a copy of a variable's value."""
    # Of a copy made by the backend: Keras cannot turn the variable itself into an array
    # without a warning of NumPy 2.
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.copy(variable)))


def storable(value: NDArray[Any]) -> NDArray[Any]:
    """Return ``value`` as files of NumPy arrays can hold it, bit for bit."""
    if value.dtype.isbuiltin == 1:
        return value
    return value.view(f"u{value.dtype.itemsize}")


def stored_as(value: NDArray[Any], variable: keras.Variable) -> NDArray[Any]:
    """Return a `storable` value in the type of the variable it belongs to."""
    dtype = value_of(variable).dtype
    return value if dtype.isbuiltin == 1 else value.view(dtype)


def restore(model: keras.Model, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Put a built model, and every generator, into a captured state.

    Raises
    ------
    ModelError
        If the model has not exactly the variables that were captured.
    """
    variables = dict(training_variables(model))
    captured = {name for name in arrays if name.startswith(_KINDS)}
    _refuse_other_model(model, captured ^ set(variables))
    for name, variable in variables.items():
        value = arrays[name]
        if value.shape != tuple(variable.shape):
            _refuse_other_model(model, {name})
        variable.assign(stored_as(value, variable))
    _restore_generators(arrays)


def _refuse_other_model(model: keras.Model, differing: set[str]) -> None:
    if differing:
        raise ModelError(
            model=model.name,
            problem=f"differs from the one being trained (in {min(differing)})",
            expected="the same model at every start",
            todo="Let --model build the same layers in the same order each time, or "
            "begin again with --restart.",
        )


def _capture_generators() -> Iterator[tuple[str, NDArray[Any]]]:
    yield "generators/python", _bytes_of(random.getstate())
    _, words, *rest = np.random.get_state()
    yield "generators/numpy-words", np.asarray(words)
    yield "generators/numpy-rest", _bytes_of(rest)
    for name, value in backend.generator_states():
        yield f"{_GENERATORS}{name}", value


def _restore_generators(arrays: Mapping[str, NDArray[Any]]) -> None:
    version, words, gauss = json.loads(arrays["generators/python"].tobytes())
    random.setstate((version, tuple(words), gauss))
    rest = json.loads(arrays["generators/numpy-rest"].tobytes())
    np.random.set_state(("MT19937", arrays["generators/numpy-words"], *rest))
    names = {f"{_GENERATORS}{name}": name for name in backend.GENERATORS}
    backend.restore_generator_states(
        {name: arrays[key] for key, name in names.items() if key in arrays}
    )


@contextmanager
def kept_generators(model: keras.Model) -> Iterator[None]:
    """Let whatever is drawn inside change nothing that is drawn after."""
    found = [v for v in model.variables if v.path.endswith("seed_generator_state")]
    before = [(one, value_of(one)) for one in [*found, global_seed_state()]]
    others = dict(_capture_generators())
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)
        _restore_generators(others)


def _bytes_of(value: object) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(value).encode(), np.uint8)

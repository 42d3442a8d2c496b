"""What a model is and how it is compiled, as plain values that two processes can compare.

Covers the settings of layers, and of what the model was compiled with. Does not cover what
they do not tell of themselves: the code of functions and classes, the order in which layers
are called. Variables are compared by `Checkpoint.restore`.

Left out is what differs although the training is the same: names, which Keras counts on in
a process; seeds, which it draws where none is given, and whose state is committed; modules.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from lowmem.training.keras_private import flattened_layers
from lowmem.training.steps import own_optimizer

if TYPE_CHECKING:
    from collections.abc import Callable

_NO_SETTINGS = frozenset({"name", "seed", "module", "registered_name"})
_RATE = "learning_rate"
# All that a `get_config` of somebody's may raise where it cannot tell.
_UNTOLD = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    TypeError,
    ValueError,
)
# A longer list, such as a vocabulary, is told by its length and its SHA-256.
_MOST_ENTRIES = 1_000


def described(model: keras.Model) -> dict[str, Any]:
    """Return the settings of a built model's layers, and those that it is compiled with.

    The rate of learning is told while the optimiser has taken no step: a later one is that
    of callbacks, and part of the state.
    """
    layers = [
        layer
        for layer in flattened_layers(model)
        if not isinstance(layer, keras.layers.InputLayer)
    ]
    return {
        "layers": {str(n): _layer(layer) for n, layer in enumerate(layers)},
        "compiled": _plain(_told(getattr(model, "get_compile_config", None))),
        _RATE: _first_rate(own_optimizer(model)),
    }


def _first_rate(optimizer: keras.optimizers.Optimizer | None) -> float | None:
    if optimizer is None or int(keras.ops.convert_to_numpy(optimizer.iterations)):
        return None
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


def _layer(layer: keras.layers.Layer) -> dict[str, Any]:
    # The configuration of a model holds that of its layers, under their names.
    is_model = isinstance(layer, keras.Model)
    config = {} if is_model else _told(layer.get_config)
    return {"class": type(layer).__name__, **_plain(config or {})}


def _told(config: Callable[[], Any] | None) -> Any:  # noqa: ANN401 - a configuration
    if config is None:
        return None
    with warnings.catch_warnings():
        # That a `lambda` cannot be loaded again: nothing is loaded from this.
        warnings.simplefilter("ignore")
        try:
            return config()
        except _UNTOLD:
            return None


def _plain(value: Any) -> Any:  # noqa: ANN401 - a configuration
    """Return a configuration of texts, numbers, lists and mappings alone."""
    if isinstance(value, dict):
        return _mapping(value)
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        entries = [_plain(one) for one in value]
        if len(entries) <= _MOST_ENTRIES:
            return entries
        digest = hashlib.sha256(json.dumps(entries).encode()).hexdigest()
        return f"{len(entries)} entries, SHA-256 {digest[:16]}"
    return _leaf(value.item() if isinstance(value, np.generic) else value)


def _leaf(value: object) -> str | float | None:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float):
        return value
    return type(value).__name__


def _mapping(value: dict[Any, Any]) -> dict[str, Any]:
    kind = str(value.get("class_name", ""))
    if kind == "__lambda__":
        # Its bytes hold the number of its line.
        return {"class_name": kind}
    if kind.endswith("Policy"):
        # What it is called is what it does.
        return {"class_name": kind, "policy": str(value.get("config"))}
    return {
        str(key): _plain(one)
        for key, one in value.items()
        if key not in _NO_SETTINGS and (key != _RATE or isinstance(one, dict))
    }

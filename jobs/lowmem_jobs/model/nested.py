"""Lay a model flat whose layer ``z`` is inside another model that it uses as a layer.

Encoder and decoder are often models of their own, and the whole calls one on the other.
Such a whole cannot be cut at a layer within: Keras sees the inner model as one step. So
its graph is gone through once more, from new inputs, the inner models' layers one by one.
The layers are the same, and so are the weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import keras

from lowmem.training import (
    flattened_layers,
    is_functional,
    run_through,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """A model's graph, laid flat: tensors at its ends, and at the layer looked for."""

    inputs: Sequence[keras.KerasTensor]
    latent: keras.KerasTensor
    outputs: Sequence[keras.KerasTensor]


def has_inside(model: keras.Model, name: str) -> bool:
    """Return whether a model that ``model`` uses as a layer holds one of this name."""
    outermost = {id(layer) for layer in model.layers}
    return any(
        layer.name == name and id(layer) not in outermost
        for layer in flattened_layers(model)
    )


def laid_flat(model: keras.Model, name: str) -> Flat | None:
    """Return the graph of ``model``; None where no layer ``name`` is met exactly once."""
    if not (is_functional(model) or isinstance(model, keras.Sequential)):
        return None
    inputs = [
        keras.Input(batch_shape=one.shape, dtype=one.dtype, name=f"input_{number}")
        for number, one in enumerate(model.inputs)
    ]
    walk = _Walk(name)
    # A model that was given its outputs as a list returns a list, of one too.
    outputs = keras.tree.flatten(walk.through(model, inputs))
    latents = keras.tree.flatten(walk.met)
    if len(latents) != 1:
        return None
    return Flat(inputs=inputs, latent=latents[0], outputs=outputs)


@dataclass
class _Walk:
    """One way through a graph; notes what the layer looked for returns."""

    name: str
    met: list[Any] = field(default_factory=list)

    def through(self, model: keras.Model, inputs: list[Any]) -> Any:  # noqa: ANN401
        if isinstance(model, keras.Sequential):
            (x,) = inputs
            for layer in model.layers:
                x = self.call(layer, x)
            return x
        return run_through(model, inputs, self.call)

    def call(self, layer: Any, *words: Any, **given: Any) -> Any:  # noqa: ANN401
        is_model = is_functional(layer) or isinstance(layer, keras.Sequential)
        if is_model and len(words) == 1:
            (x,) = words
            found = self.through(layer, list(x) if isinstance(x, list | tuple) else [x])
        else:
            found = layer(*words, **given)
        if layer.name == self.name:
            self.met.append(found)
        return found

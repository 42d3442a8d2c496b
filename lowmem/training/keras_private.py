"""The only file that uses names of Keras' that Keras does not promise to keep.

Each has a test of its own, `tests/contracts/test_keras_private.py`, that it is there and
does what is needed here: an update of Keras that breaks one is seen there first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras.src.random.seed_generator import global_seed_generator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import keras


def global_seed_state() -> keras.Variable:
    """Return the state from which layers and operations without a seed draw, made if need be.

    Public are only generators that a caller makes (`keras.random.SeedGenerator`); what
    operations take where none is given cannot be reached.
    """
    return global_seed_generator().state


def flattened_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yield the model and its layers, those inside other layers too.

    `keras.Model.layers` holds the outermost ones.
    """
    yield from model._flatten_layers()  # noqa: SLF001 - the purpose of this file


def run_through(
    model: keras.Model,
    inputs: list[keras.KerasTensor],
    call: Callable[..., object],
) -> object:
    """Return what a functional model makes of ``inputs``, each layer called by ``call``.

    `keras.models.clone_model` takes such a function too, but makes a model of the result,
    with other tensors.
    """
    return model._run_through_graph(inputs, call_fn=call)  # noqa: SLF001 - likewise


def is_functional(layer: object) -> bool:
    """Return whether a layer is a model with a graph that can be run through."""
    return hasattr(layer, "_run_through_graph")

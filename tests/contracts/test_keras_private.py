"""The names that Keras keeps to itself are there, and do what lowmem needs of them."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from lowmem.training import state
from lowmem.training.keras_private import (
    flattened_layers,
    global_seed_state,
    is_functional,
    run_through,
)

pytestmark = pytest.mark.keras


def test_what_is_drawn_without_a_seed_follows_from_the_global_state():
    keras.utils.set_random_seed(1)
    before = state.value_of(global_seed_state())
    first = keras.ops.convert_to_numpy(keras.random.normal((4,)))
    assert not np.array_equal(state.value_of(global_seed_state()), before)
    # The same variable each time: what is assigned to it is what is drawn from.
    global_seed_state().assign(before)
    again = keras.ops.convert_to_numpy(keras.random.normal((4,)))
    np.testing.assert_array_equal(first, again)


def test_layers_inside_other_layers_are_found():
    inner = keras.Sequential([keras.layers.Dropout(0.5, name="deep")], name="inner")
    inputs = keras.Input((3,))
    outer = keras.layers.TimeDistributed(keras.layers.Dense(2, name="wrapped"))
    x = keras.layers.Reshape((1, 3))(inner(inputs))
    model = keras.Model(inputs, outer(x))
    names = {layer.name for layer in flattened_layers(model)}
    assert {"deep", "inner", "wrapped"} <= names
    assert "deep" not in {layer.name for layer in model.layers}


def test_a_functional_model_is_run_through_layer_by_layer_and_no_other_is():
    inputs = keras.Input((3,))
    first, second = keras.layers.Dense(2, name="first"), keras.layers.Dense(1)
    model = keras.Model(inputs, second(first(inputs)))
    called = []

    def call(layer, *words, **given):
        called.append(layer)
        return layer(*words, **given)

    assert run_through(model, [keras.Input((3,))], call).shape == (None, 1)
    assert called == [first, second]
    assert is_functional(model)
    assert not is_functional(first)

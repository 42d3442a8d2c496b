"""Keras models and what belongs to them are filled with what was committed."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from lowmem import Checkpoint
from lowmem.base.errors_loop import OtherStateError

pytestmark = [pytest.mark.keras, pytest.mark.slow]

X = np.random.default_rng(0).normal(size=(12, 4)).astype("f4")
Y = X[:, :1] * 2


def made(units=6, optimizer="adam", **compiled):
    model = keras.Sequential(
        [
            keras.layers.Input((4,)),
            keras.layers.Dense(units, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.4, seed=1),
            keras.layers.Dense(1),
        ]
    )
    if optimizer:
        model.compile(optimizer, "mse", **compiled)
    return model


def bits(model):
    optimizer = getattr(model, "optimizer", None)
    variables = [*model.variables, *(optimizer.variables if optimizer else ())]
    return [keras.ops.convert_to_numpy(v.value).tobytes() for v in variables]


def trained(model, n_steps):
    return [model.train_on_batch(X, Y) for _ in range(n_steps)]


def commit(folder, state):
    with Checkpoint(folder) as checkpoint:
        checkpoint.commit(state)


def restore(folder, state):
    with Checkpoint(folder) as checkpoint:
        return checkpoint.restore(state)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "adafactor"])
def test_a_training_goes_on_with_the_same_bits(tmp_path, optimizer):
    model = made(optimizer=optimizer)
    trained(model, 3)
    commit(tmp_path, {"model": model})
    losses = trained(model, 3)
    # Made again in this process: its layers have other numbers in their names.
    other = made(optimizer=optimizer)
    assert restore(tmp_path, {"model": other})["model"] is other
    assert trained(other, 3) == losses
    assert bits(other) == bits(model)


def test_a_loop_of_ones_own_with_an_optimiser_apart(tmp_path):
    def begun():
        model, optimizer = made(optimizer=None), keras.optimizers.Adam(0.1)
        optimizer.build(model.trainable_variables)
        return {
            "model": model,
            "optimizer": optimizer,
            "seed": keras.random.SeedGenerator(5),
        }

    def step(state):
        variables = state["model"].trainable_variables
        drawn = [keras.random.normal(v.shape, seed=state["seed"]) for v in variables]
        state["optimizer"].apply(drawn, variables)

    first = begun()
    step(first)
    commit(tmp_path, first)
    step(first)
    second = begun()
    restore(tmp_path, second)
    step(second)
    assert bits(second["model"]) == bits(first["model"])


def test_a_layer_of_half_precision_keeps_its_bits(tmp_path):
    layers = [keras.layers.Dense(3, dtype="bfloat16") for _ in range(2)]
    for layer in layers:
        layer.build((None, 2))
    commit(tmp_path, layers[:1])
    restore(tmp_path, layers[1:])
    first, second = (
        np.asarray(keras.ops.convert_to_numpy(one.kernel)) for one in layers
    )
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        (
            lambda: made(7),
            r"lacks model/0000/sequential/dense/kernel .*, expected it .* \(4, 7\)",
        ),
        (lambda: made(optimizer="sgd"), r"state\['m'\] lacks optimizer-0/.* of shape"),
    ],
    ids=["wider", "another optimiser"],
)
def test_another_model_is_refused_and_untouched(tmp_path, other, problem):
    model = made()
    trained(model, 1)
    commit(tmp_path, {"m": model})
    given = other()
    given.optimizer.build(given.trainable_variables)
    before = bits(given)
    with pytest.raises(OtherStateError, match=problem):
        restore(tmp_path, {"m": given})
    assert bits(given) == before


def test_metrics_that_are_not_built_yet_are_asked_for(tmp_path):
    model = made(metrics=["mae"])
    trained(model, 2)
    commit(tmp_path, {"m": model})
    told = trained(model, 1)
    other = made(metrics=["mae"])
    with pytest.raises(OtherStateError, match=r"call model\.test_on_batch for"):
        restore(tmp_path, {"m": other})
    other.test_on_batch(X, Y)
    restore(tmp_path, {"m": other})
    assert trained(other, 1) == told

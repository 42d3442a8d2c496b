"""Models as people bring them, in micro-batches: what plain Keras trains, or a refusal.

Every right value here is that of Keras' own `fit` on arrays, on whole batches.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from lowmem.base.errors import ModelError
from lowmem.stores.row_writer import RowWriter
from lowmem.training import state
from lowmem.training.keras_setup import keras_session
from lowmem.training.loop import Training, TrainingPlan
from lowmem.training.plateau import Plateau
from lowmem.training.sequence import ZarrSequence
from lowmem.training.steps import set_accumulation

pytestmark = [pytest.mark.keras, pytest.mark.slow]

SHAPE = (4, 4, 3)
# Batches of 4: the last of an epoch has two images.
N_IMAGES, EPOCHS, BATCH = 10, 2, 4


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (N_IMAGES, *SHAPE), np.uint8)


@pytest.fixture(scope="module")
def store(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "images.zarr"
    writer = RowWriter.open(
        folder, "images", row_shape=SHAPE, dtype=np.uint8, chunk_rows=16
    )
    writer.append(images)
    writer.flush()
    return folder


def built(optimizer, loss, *, kind=keras.Model, dropout=0.0, **dense):
    inputs = keras.Input(SHAPE)
    x = layers.Flatten()(layers.Rescaling(1 / 255)(inputs))
    if dropout:
        x = layers.Dropout(dropout)(x)
    z = layers.Dense(3, name="z", **dense)(x)
    outputs = layers.Reshape(SHAPE)(layers.Dense(48, "sigmoid")(z))
    model = kind(inputs, outputs)
    model.compile(optimizer, loss)
    return model


def accumulating():
    """Steps once in four batches, by the user's own word."""
    own = keras.optimizers.SGD(0.5, momentum=0.9, gradient_accumulation_steps=4)
    return built(own, "binary_crossentropy")


def half_precision():
    """As Keras makes it of `mixed_float16`: its optimiser scales the loss."""
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        return built(keras.optimizers.SGD(0.5), "mse")
    finally:
        keras.mixed_precision.set_global_policy("float32")


class Pairs(keras.Model):
    """Has a step of its own, written as Keras' guides write it."""

    def train_step(self, *words):
        # JAX gives the state of the training before the data.
        *before, (x, y) = words
        return super().train_step(*before, (x, y))


def own_step():
    """Averages its weights, clips, follows a schedule, and has terms beside the loss."""
    optimizer = keras.optimizers.SGD(
        keras.optimizers.schedules.ExponentialDecay(0.5, 2, 0.5),
        global_clipnorm=0.01, use_ema=True, ema_momentum=0.9,
    )  # fmt: skip
    return built(
        optimizer, keras.losses.Huber(), kind=Pairs,
        kernel_regularizer="l2",
    )  # fmt: skip


def trained(store, build, *, micro_batch, cut_after=None, found=None, **watch):
    """Return weights and losses of a training, or its state after so many steps."""
    with keras_session(seed=5):
        model = build()
        set_accumulation(model, batch_size=BATCH, micro_batch=micro_batch)
        plan = TrainingPlan(
            training=ZarrSequence(store, batch_size=BATCH, is_shuffled=False),
            validation=ZarrSequence(store, rows=np.arange(0)),
            epochs=EPOCHS, batch_size=BATCH, micro_batch=micro_batch, patience=0,
            takes_bytes=False, is_doubtful=True, **watch,
        )  # fmt: skip
        course = Training(model, plan)
        for number, point in enumerate(course.run(*(found or ({}, {}))), 1):
            if number == cut_after:
                arrays = {name: value.copy() for name, value in point.arrays()}
                return point.state, arrays
        return weights_of(model), [row["loss"] for row in course.history]


def fitted(images, build):
    with keras_session(seed=5):
        model = build()
        report = model.fit(
            images, images / np.float32(255), batch_size=BATCH, epochs=EPOCHS,
            shuffle=False, verbose=0,
        )  # fmt: skip
        return weights_of(model), report.history["loss"]


def weights_of(model):
    return [state.value_of(v) for v in model.weights if "seed" not in v.path]


@pytest.mark.parametrize(
    ("build", "rounding"),
    [
        (accumulating, 1e-6),
        (half_precision, 2e-3),
        (own_step, 1e-6),
    ],
)
def test_in_micro_batches_and_cut_a_users_model_becomes_what_fit_makes_of_it(
    store, images, build, rounding
):
    weights, losses = fitted(images, build)
    found = trained(store, build, micro_batch=3, cut_after=4)
    ours, reported = trained(store, build, micro_batch=3, found=found)
    assert reported == pytest.approx(losses, rel=1e-3)
    for got, wanted in zip(ours, weights, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=rounding, atol=rounding)


def root_of_the_mean(y_true, y_pred):
    return keras.ops.sqrt(keras.ops.mean(keras.ops.square(y_true - y_pred)))


SUM = keras.losses.MeanSquaredError(reduction="sum")


@pytest.mark.parametrize(
    "build",
    [
        lambda: built("sgd", SUM, dropout=0.5),
        lambda: built("sgd", root_of_the_mean),
    ],
    ids=["a sum behind dropout", "a root"],
)
def test_a_loss_that_is_no_mean_over_images_is_refused_in_micro_batches(store, build):
    with pytest.raises(ModelError, match="larger --ram-budget"):
        trained(store, build, micro_batch=3)


def test_dropout_alone_is_no_reason_to_refuse(store):
    trained(store, lambda: built("sgd", "mse", dropout=0.5), micro_batch=3, cut_after=1)


@pytest.mark.parametrize(
    "rate",
    [keras.optimizers.schedules.ExponentialDecay(0.5, 2, 0.5), lambda: 0.5],
    ids=["a schedule", "a function"],
)
def test_a_rate_that_cannot_be_set_is_refused_before_the_first_step(store, rate):
    plateau = Plateau(patience=1, factor=0.5)
    with pytest.raises(ModelError, match="--reduce-lr"):
        trained(
            store, lambda: built(keras.optimizers.SGD(rate), "mse"),
            micro_batch=4, plateau=plateau, cut_after=1,
        )  # fmt: skip

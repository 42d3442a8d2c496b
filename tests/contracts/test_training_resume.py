"""The flagship: a training cut anywhere and resumed equals one that was never cut."""

from __future__ import annotations

import json
import shutil
from functools import partial

import keras
import numpy as np
import pytest

from lowmem.base.errors import DataError
from lowmem.stores import checksum_pass, direct_rows
from lowmem.stores import epoch_order as orders
from lowmem.stores.row_writer import RowWriter
from lowmem.training import state
from lowmem.training.keras_setup import keras_session
from lowmem.training.loop import Training, TrainingPlan
from lowmem.training.plateau import Plateau
from lowmem.training.sequence import ZarrSequence
from lowmem.training.steps import set_accumulation
from lowmem_jobs.model.autoencoder import build_autoencoder, compile_autoencoder
from lowmem_jobs.model.loss import PixelLoss

pytestmark = [
    pytest.mark.keras,
    pytest.mark.slow,
]

SHAPE = (4, 4, 3)
N_IMAGES = 14
# Batches of 4: the last of an epoch is smaller.
TRAINING, VALIDATION = np.arange(10), np.arange(10, 14)
EPOCHS = 2
POINTS = EPOCHS * (3 + 1)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "images.zarr"
    writer = RowWriter.open(
        folder, "images", row_shape=SHAPE, dtype=np.uint8, chunk_rows=8
    )
    rows = np.random.default_rng(0).integers(0, 256, (N_IMAGES, *SHAPE), np.uint8)
    for start in range(0, N_IMAGES, 8):
        writer.append(rows[start : start + 8])
    writer.flush()
    return folder


def forgetful_model():
    """Return a model with all that Keras' own checkpoints forget."""
    layers = keras.layers
    inputs = keras.Input(SHAPE, dtype="uint8")
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Dropout(0.3)(layers.Flatten()(x))
    z = layers.Dense(3, name="z")(x)
    x = layers.GaussianNoise(0.1)(layers.BatchNormalization()(z))
    outputs = layers.Reshape(SHAPE)(layers.Dense(48, "sigmoid")(x))
    model = keras.Model(inputs, outputs)
    compile_autoencoder(model, loss="mse", learning_rate=0.01)
    return model


def half_precision_model():
    """Return a model of float16, whose optimiser scales its loss and adapts the scale."""
    policy = keras.dtype_policies.DTypePolicy("mixed_float16")
    layers = keras.layers
    inputs = keras.Input(SHAPE, dtype="uint8")
    x = layers.Flatten()(layers.Rescaling(1 / 255)(inputs))
    z = layers.Dense(3, name="z", dtype=policy)(layers.Dropout(0.3)(x))
    x = layers.Dense(48, "sigmoid", dtype=policy)(z)
    model = keras.Model(inputs, layers.Activation("linear", dtype="float32")(x))
    model = keras.Model(inputs, layers.Reshape(SHAPE)(model.output))
    # Large at first, so that some steps overflow; grown after every second good one.
    scaled = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(0.01), initial_scale=2.0**24, dynamic_growth_steps=2
    )
    model.compile(optimizer=scaled, loss=PixelLoss(kind="mse"))
    return model


def plain_model():
    """Return the default model: nothing random or dependent on the micro-batch."""
    model = build_autoencoder(
        input_shape=SHAPE, latent_dim=3, filters=(4,), batch_norm=False
    )
    compile_autoencoder(model, loss="mse", learning_rate=0.01)
    return model


class Odd(keras.Model):
    """A model whose step reports what is no finite number."""

    def train_on_batch(self, *words, **options):
        odd = {"odd": float("nan"), "vast": float("inf"), "deep": float("-inf")}
        return super().train_on_batch(*words, **options) | odd


def odd_model():
    """Return the default model with such a step."""
    plain = plain_model()
    model = Odd(plain.input, plain.output)
    compile_autoencoder(model, loss="mse", learning_rate=0.01)
    return model


def attempt(store, build, saved, arrays, *, cut_after, micro_batch, **watch):
    """Run one attempt with new objects; return its last commit and the history."""
    with keras_session(seed=5):
        model = build()
        set_accumulation(model, batch_size=4, micro_batch=micro_batch)
        plan = TrainingPlan(
            training=ZarrSequence(store, batch_size=4, rows=TRAINING, seed=5),
            validation=ZarrSequence(
                store, batch_size=4, rows=VALIDATION, is_shuffled=False
            ),
            epochs=watch.pop("epochs", EPOCHS),
            batch_size=4,
            micro_batch=micro_batch,
            takes_bytes=True,
            **{"patience": 0, **watch},
        )
        training = Training(model, plan)
        points = training.run(saved, arrays)
        for number, point in enumerate(points, 1):
            if number == cut_after:
                arrays = {name: value.copy() for name, value in point.arrays()}
                saved = json.loads(json.dumps(point.state, allow_nan=False))
                points.close()
                return saved, arrays, None
        weights = [state.value_of(v).copy() for v in model.weights]
        return {}, dict(state.capture(model)), (weights, training.history)


def train(store, build, segments=(), *, forget="", micro_batches=(4,), **watch):
    """Train to the end in one attempt more than there are ``segments``.

    ``forget`` names state that is left out of each commit: the next attempt then keeps
    what a new model has there.
    """
    saved, arrays, initial = {}, {}, None
    if forget:
        with keras_session(seed=5):
            model = build()
            model.optimizer.build(model.trainable_variables)
            initial = dict(state.capture(model))
    for number, points in enumerate((*segments, None)):
        micro_batch = micro_batches[number % len(micro_batches)]
        saved, arrays, result = attempt(
            store, build, saved, arrays,
            cut_after=points, micro_batch=micro_batch, **watch,
        )  # fmt: skip
        if forget == "plateau" and result is None:
            saved["plateau"] = {**saved["plateau"], "best": None, "waited": 0}
        elif forget and result is None:
            lost = [name for name in arrays if forget in name]
            assert lost
            arrays |= {name: initial[name] for name in lost}
    return arrays, *result


@pytest.fixture(scope="module")
def unbroken(store):
    return train(store, forgetful_model)


def assert_identical(result, expected):
    arrays, weights, history = result
    assert history == expected[2]
    for got, wanted in zip(weights, expected[1], strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert arrays.keys() == expected[0].keys()
    for name, wanted in expected[0].items():
        np.testing.assert_array_equal(arrays[name], wanted, err_msg=name)


def test_a_training_cut_after_every_step_equals_the_unbroken_one(store, unbroken):
    """Every batch, twice and more in each epoch, within validation, at epoch ends."""
    assert_identical(train(store, forgetful_model, [1] * POINTS), unbroken)


@pytest.mark.parametrize("part", ["seed_generator_state", "metrics/"])
def test_a_training_that_forgets_part_of_its_state_differs(store, unbroken, part):
    """What proves that the tests above would notice a loss."""
    with pytest.raises(AssertionError):
        assert_identical(train(store, forgetful_model, (2,), forget=part), unbroken)


def test_the_loss_scale_of_half_precision_is_part_of_the_state(store):
    expected = train(store, half_precision_model)
    assert_identical(train(store, half_precision_model, (2, 3)), expected)
    (scale,) = [v for name, v in expected[0].items() if name.endswith("dynamic_scale")]
    assert scale != 2.0**24
    forgetful = train(store, half_precision_model, (3,), forget="dynamic_scale")
    with pytest.raises(AssertionError):
        assert_identical(forgetful, expected)


def averaging_model(overwrite_frequency):
    """Return a model whose optimiser averages its weights, with random layers."""
    model = forgetful_model()
    averaging = keras.optimizers.Adam(
        0.01,
        use_ema=True,
        ema_momentum=0.7,
        ema_overwrite_frequency=overwrite_frequency,
    )
    model.compile(optimizer=averaging, loss=PixelLoss(kind="mse"))
    return model


# Weights replaced by their averages at the end alone; and every 4 of the 6 steps.
@pytest.mark.parametrize("overwrite_frequency", [None, 4])
def test_averages_of_the_weights_are_part_of_the_state(store, overwrite_frequency):
    build = partial(averaging_model, overwrite_frequency)
    expected = train(store, build)
    assert_identical(train(store, build, [1] * POINTS), expected)
    with pytest.raises(AssertionError):
        assert_identical(train(store, build, (2,), forget="_average"), expected)


def test_early_stopping_resumes_with_its_best_weights(store):
    expected = train(store, forgetful_model, patience=1)
    resumed = train(store, forgetful_model, (5,), patience=1)
    assert_identical(resumed, expected)


def stubborn_model():
    """Return a model that does not improve: its steps go nowhere."""
    model = plain_model()
    model.optimizer.learning_rate = 1e-20
    return model


REDUCING = {"plateau": Plateau(patience=2, factor=0.5), "epochs": 4}


@pytest.fixture(scope="module")
def reduced(store):
    return train(store, stubborn_model, **REDUCING)


def test_a_learning_rate_is_reduced_on_a_plateau_as_keras_does_it(store, reduced):
    with keras_session(seed=5):
        model = stubborn_model()
        data = ZarrSequence(store, batch_size=4, rows=TRAINING, seed=5)
        held_out = ZarrSequence(store, batch_size=4, rows=VALIDATION, is_shuffled=False)
        rule = keras.callbacks.ReduceLROnPlateau(
            "val_loss", factor=0.5, patience=2, min_delta=0
        )
        report = model.fit(
            data, validation_data=held_out, epochs=4, callbacks=[rule], shuffle=False,
            verbose=0,
        )  # fmt: skip
    ours = [row["learning_rate"] for row in reduced[2]]
    np.testing.assert_allclose(ours, report.history["learning_rate"], rtol=1e-6)
    assert ours[0] == ours[2] > ours[3]


def test_a_plateau_is_remembered_through_a_cut_while_it_lasts(store, reduced):
    assert_identical(train(store, stubborn_model, (9,), **REDUCING), reduced)
    with pytest.raises(AssertionError):
        assert_identical(
            train(store, stubborn_model, (9,), forget="plateau", **REDUCING), reduced
        )


def worsening_model():
    """Return a model that climbs: each epoch is worse than the one before."""
    model = plain_model()
    model.optimizer.learning_rate = -0.01
    return model


def test_the_best_epoch_is_kept_through_a_cut_without_ending_early(store):
    expected = train(store, worsening_model, keeps_best=True)
    losses = [row["val_loss"] for row in expected[2]]
    assert losses[0] < losses[1]
    assert_identical(train(store, worsening_model, (5,), keeps_best=True), expected)
    last = [expected[0][name] for name in expected[0] if name.startswith("model/")]
    (first, *_) = train(store, worsening_model, keeps_best=True, epochs=1)
    best = [first[name] for name in first if name.startswith("model/")]
    assert all(map(np.array_equal, last, best))


def test_what_is_no_finite_number_survives_a_cut_after_every_step(store):
    _, _, expected = train(store, odd_model)
    _, _, history = train(store, odd_model, [1] * POINTS)
    assert repr(history) == repr(expected)
    odd = [repr(history[-1][name]) for name in ("odd", "vast", "deep")]
    assert odd == ["nan", "inf", "-inf"]


def test_micro_batches_agree_with_whole_batches(store):
    _, expected, history = train(store, plain_model)
    for segments, micro_batches in [((), (3,)), ((3,), (1, 4))]:
        _, weights, rows = train(
            store, plain_model, segments, micro_batches=micro_batches
        )
        for got, wanted in zip(weights, expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=2e-5)
        for row, wanted_row in zip(rows, history, strict=True):
            assert row == pytest.approx(wanted_row, rel=1e-4)


@pytest.mark.parametrize("is_told", [True, False])
def test_an_optimiser_of_parts_holds_no_weight_of_the_model_and_steps_as_the_inner_one(
    is_told,
):
    with keras_session(seed=5):
        stepped = []
        for in_parts in (False, True):
            keras.utils.set_random_seed(5)
            model = plain_model()
            weights = model.trainable_variables
            if in_parts:
                set_accumulation(model, batch_size=4, micro_batch=2)
            optimizer = model.optimizer
            optimizer.build(weights)
            held = {id(variable) for variable in optimizer.variables}
            assert len(held) == len(optimizer.variables)
            assert held.isdisjoint(id(variable) for variable in model.weights)
            optimizer.is_last = True
            grads = [keras.ops.ones(weight.shape) for weight in weights]
            optimizer.apply(grads, weights if is_told else None)
            stepped.append([state.value_of(weight) for weight in weights])
        for one, other in zip(*stepped, strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_history_is_what_fit_reports(store):
    _, weights, history = train(store, plain_model)
    with keras_session(seed=5):
        model = plain_model()
        data = ZarrSequence(store, batch_size=4, rows=TRAINING, seed=5)
        held_out = ZarrSequence(store, batch_size=4, rows=VALIDATION, is_shuffled=False)
        report = model.fit(
            data, validation_data=held_out, epochs=EPOCHS, shuffle=False, verbose=0
        )
        fitted = [state.value_of(v) for v in model.weights]
        for got, wanted in zip(weights, fitted, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    for name in ("loss", "val_loss"):
        ours = [row[name] for row in history]
        np.testing.assert_allclose(ours, report.history[name], rtol=1e-4)


def test_an_epoch_goes_on_in_the_order_of_the_version_that_began_it(store, monkeypatch):
    expected = train(store, plain_model)
    saved, arrays, _ = attempt(
        store, plain_model, {}, {}, cut_after=2, micro_batch=4
    )  # fmt: skip
    # What the first version saved; and orders are now drawn in another way.
    assert saved.pop("order_version") == 2
    monkeypatch.setattr(orders, "_WHOLE", 2)
    monkeypatch.setattr(orders, "_PART", 4)

    def resumed(version):
        _, found, result = attempt(
            store, plain_model, saved | version, arrays, cut_after=None, micro_batch=4
        )
        return found, *result

    assert_identical(resumed({}), expected)
    with pytest.raises(AssertionError):
        assert_identical(resumed({"order_version": 2}), expected)


def test_nothing_is_committed_that_was_learned_from_damaged_rows(
    store, tmp_path, monkeypatch
):
    store = shutil.copytree(store, tmp_path / "images.zarr")
    monkeypatch.setattr(direct_rows, "_AT_ONCE_BYTES", 0)
    monkeypatch.setattr(checksum_pass, "_RATE", 1.0)
    last = max((store / "images").glob("c.*"))
    last.write_bytes(bytes(len(last.read_bytes())))
    with keras_session(seed=5):
        model = plain_model()
        training = ZarrSequence(store, batch_size=4, rows=TRAINING[:4], seed=5)
        plan = TrainingPlan(
            training=training,
            validation=training.of_rows(VALIDATION[:0]),
            epochs=1,
            batch_size=4,
            micro_batch=4,
            patience=0,
            takes_bytes=True,
        )
        points = Training(model, plan).run({}, {})
        point = next(points)
        with pytest.raises(DataError, match="was altered"):
            point.flush()
        with pytest.raises(DataError, match="was altered"):
            list(points)

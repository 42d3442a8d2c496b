"""Rows that a model takes, and targets that its losses take: in any structure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lowmem.base.errors import DataError, ModelError, OptionValueError

pytestmark = [pytest.mark.keras, pytest.mark.slow]


@pytest.fixture(scope="module")
def keras():
    import keras

    return keras


@pytest.fixture(scope="module")
def rows():
    from lowmem_jobs.model_trial import synthetic_rows

    return synthetic_rows


def batch_of(keras, rows, model, shapes=(), n_rows=3):
    inputs = rows.input_rows(model, shapes)
    targets = rows.target_rows(model, inputs)
    both = (inputs,) if targets is None else (inputs, targets)
    return keras.tree.map_structure(lambda row: row.times(n_rows), both)


def two_headed(keras):
    image = keras.Input((8, 8, 3), dtype="uint8", name="image")
    words = keras.Input((5,), dtype="int32", name="words")
    layers = keras.layers
    x = layers.Flatten()(layers.Rescaling(1 / 255)(image))
    y = layers.Flatten()(layers.Embedding(7, 4)(words))
    z = layers.Concatenate()([x, y])
    outputs = {"score": layers.Dense(1)(z), "kind": layers.Dense(4)(z)}
    return keras.Model({"image": image, "words": words}, outputs)


def test_a_model_of_several_inputs_and_outputs_trains_on_what_is_made(keras, rows):
    model = two_headed(keras)
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", {"score": "mse", "kind": sparse})
    inputs, targets = batch_of(keras, rows, model)
    assert {name: (x.shape, x.dtype) for name, x in inputs.items()} == {
        "image": ((3, 8, 8, 3), np.uint8),
        "words": ((3, 5), np.int32),
    }
    assert (targets["score"].shape, targets["kind"].shape) == ((3, 1), (3,))
    assert targets["kind"].dtype == np.int32
    assert np.all(np.isfinite(model.train_on_batch(inputs, targets)))


def test_open_sizes_are_refused_unless_they_are_given_and_targets_follow_them(
    keras, rows
):
    words = keras.Input((None, 4))
    model = keras.Model(words, keras.layers.LSTM(6, return_sequences=True)(words))
    model.compile("sgd", "mse")
    with pytest.raises(ModelError, match="--input-shape 128,4"):
        rows.input_rows(model, [])
    with pytest.raises(ModelError, match="not of"):
        rows.input_rows(model, [(9, 5)])
    inputs, targets = batch_of(keras, rows, model, [(9, 4)])
    assert (inputs.shape, targets.shape) == ((3, 9, 4), (3, 9, 6))
    assert np.all(np.isfinite(model.train_on_batch(inputs, targets)))


def test_a_model_that_is_not_built_needs_the_sizes_of_a_row(keras, rows):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    model = Own()
    model.compile("sgd", "mse")
    with pytest.raises(ModelError, match="--input-shape"):
        rows.input_rows(model, [])
    inputs, targets = batch_of(keras, rows, model, [(5,)])
    assert (inputs.shape, targets.shape) == ((3, 5), (3, 2))


def test_a_loss_of_the_models_own_is_given_the_inputs_alone(keras, rows):
    class Own(keras.Model):
        def train_step(self, data):
            raise NotImplementedError

    x = keras.Input((4,))
    model = Own(x, keras.layers.Dense(2)(x))
    model.compile("sgd")
    (inputs,) = batch_of(keras, rows, model)
    assert inputs.shape == (3, 4)


def test_a_fixed_batch_is_refused(keras, rows):
    x = keras.Input(batch_shape=(8, 4))
    model = keras.Model(x, keras.layers.Dense(2)(x))
    with pytest.raises(ModelError, match="8 rows at once and no others"):
        rows.input_rows(model, [])


def test_every_page_of_the_rows_is_written_to(rows):
    # Zeros that are only reserved would take no memory.
    before = resident()
    whole = rows.Row(shape=(2**20,), dtype="int32").times(16)
    assert resident() - before > 0.9 * whole.nbytes


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


# Of an optimiser that has taken no step there is nothing to load.
@pytest.mark.filterwarnings("ignore:Skipping variable loading:UserWarning")
def test_a_file_of_a_model_with_code_is_told_by_the_name_of_that_code(keras, tmp_path):
    from lowmem_jobs.model_trial import opening

    def saved(name, loss):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["mae"])
        model.save(tmp_path / name)
        return tmp_path / name

    def own_loss(true, found):
        return keras.ops.mean(true - found)

    for number, loss in enumerate(
        ("mse", keras.losses.Huber(), keras.losses.mean_squared_error)
    ):
        file = saved(f"{number}.keras", loss)
        assert opening.opened(str(file), is_trained=True).compiled
    with pytest.raises(DataError, match=r"own_loss.*FILE\.py:FUNCTION"):
        opening.opened(str(saved("own.keras", own_loss)), is_trained=True)


@pytest.mark.parametrize("text", ["", "0", "3,", "3;", "3,x", "-1", "3 4"])
def test_what_is_no_shape_is_refused(text):
    from lowmem_jobs.model_trial.model_reference import shapes_from_text

    with pytest.raises(OptionValueError, match="input-shape"):
        shapes_from_text(text)

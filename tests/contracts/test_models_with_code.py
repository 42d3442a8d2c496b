"""Models that hold code of the user's own: trained, then opened again by later jobs."""

from __future__ import annotations

import io
import json
import shutil
import sys
from typing import TYPE_CHECKING
from zipfile import ZipFile

import h5py
import keras
import numpy as np
import pytest
import zarr

from lowmem.base.errors import DataError, ModelError
from lowmem.base.workspace import Workspace
from lowmem.protocol.options import resolve_options
from lowmem.protocol.planning import PlanContext
from lowmem.stores.row_writer import RowWriter
from lowmem.training import state
from lowmem.training.keras_setup import keras_session
from lowmem.training.sequence import ZarrSequence
from lowmem_jobs.encode.job import JOB as ENCODE
from lowmem_jobs.train.job import JOB as TRAIN
from tests.driver import Cutter, drive

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.keras, pytest.mark.slow]

SHAPE, N_IMAGES = (4, 4, 3), 8

CODE = """
import keras
from keras import layers as L

class Scale(L.Layer):
    def __init__(self, factor=2.0, **given):
        super().__init__(**given)
        self.factor = factor
    def call(self, x):
        return x * self.factor + OFFSET
    def get_config(self):
        return {**super().get_config(), "factor": self.factor}

class Draw(L.Layer):
    def __init__(self, **given):
        super().__init__(**given)
        self.seed_generator = keras.random.SeedGenerator(7)
    def call(self, pair):
        mean, log_variance = pair
        self.add_loss(0.001 * keras.ops.mean(mean**2 - log_variance))
        noise = keras.random.normal(keras.ops.shape(mean), seed=self.seed_generator)
        return mean + keras.ops.exp(0.5 * log_variance) * noise

class Mute(L.Layer):
    def __init__(self, table):
        super().__init__()
        self.table = table
    def call(self, x):
        return x

OFFSET = 0.0

def ends(latent):
    inputs = keras.Input((4, 4, 3))
    z = latent(L.Flatten()(L.Rescaling(1 / 255)(inputs)))
    outputs = L.Reshape((4, 4, 3))(L.Dense(48, "sigmoid")(z))
    return keras.Model(inputs, outputs)

def layer(input_shape, latent_dim):
    return ends(lambda x: L.Dense(latent_dim, name="z")(Scale(3.0)(x)))

def function(input_shape, latent_dim):
    return ends(lambda x: L.Dense(latent_dim, name="z")(L.Lambda(lambda t: t * 3)(x)))

def draws(input_shape, latent_dim):
    return ends(lambda x: Draw(name="z")([L.Dense(latent_dim)(x), L.Dense(latent_dim)(x)]))

def mute(input_shape, latent_dim):
    return ends(lambda x: L.Dense(latent_dim, name="z")(Mute(object())(x)))

def halves(input_shape, latent_dim, layer="z", model="enc"):
    a = keras.Input(input_shape)
    z = L.Dense(latent_dim, name=layer)(L.Flatten()(L.Rescaling(1 / 255)(a)))
    b = keras.Input((latent_dim,))
    x = L.Reshape(input_shape)(L.Dense(48, "sigmoid")(b))
    return keras.Model(a, z, name=model), keras.Model(b, x)

def averaged(input_shape, latent_dim, is_averaged=True):
    model = ends(lambda x: L.Dense(latent_dim, name="z")(x))
    own = keras.optimizers.SGD(0.5, use_ema=is_averaged, ema_momentum=0.9)
    model.compile(own, "mse")
    return model

def nested(input_shape, latent_dim):
    encoder, decoder = halves(input_shape, latent_dim)
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, decoder(encoder(inputs)))

def nested_in_lists(input_shape, latent_dim):
    halved = halves(input_shape, latent_dim)
    encoder, decoder = [keras.Model(one.inputs, one.outputs) for one in halved]
    inputs = keras.Input(input_shape)
    return keras.Model([inputs], decoder(encoder(inputs)))

def nested_twice(input_shape, latent_dim):
    whole = nested_in_lists(input_shape, latent_dim)
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, whole(inputs))

def in_a_row(input_shape, latent_dim):
    return keras.Sequential(
        [keras.Input(input_shape), *halves(input_shape, latent_dim)]
    )

def named_as_a_whole(input_shape, latent_dim):
    encoder, decoder = halves(input_shape, latent_dim, layer="inner", model="z")
    encoder = keras.Model(encoder.inputs, encoder.outputs, name="z")
    inputs = keras.Input(input_shape)
    (z,) = encoder(inputs)
    whole = keras.Model(inputs, decoder(z))
    return keras.Sequential([keras.Input(input_shape), whole])
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_code(tmp_path, CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    writer = RowWriter.open(
        tmp_path / "images.zarr",
        "images",
        row_shape=SHAPE,
        dtype=np.uint8,
        chunk_rows=8,
    )
    writer.append(images())
    writer.flush()
    yield tmp_path
    sys.modules.pop("with_code", None)


def images():
    return np.random.default_rng(0).integers(0, 256, (N_IMAGES, *SHAPE), np.uint8)


def write_code(folder: Path, text: str) -> None:
    (folder / "with_code.py").write_text(text, encoding="utf-8")
    sys.modules.pop("with_code", None)


def train(folder, name, **given):
    options = {"model": f"with_code:{name}", "latent_dim": 3, "batch_size": 4}
    options |= {"epochs": 1, **given}
    TRAIN.check(plan_of(TRAIN, folder, options))
    drive(TRAIN, folder, options)
    # As in the process of a later job.
    sys.modules.pop("with_code", None)


def plan_of(job, folder, options):
    return PlanContext(
        workspace=Workspace.at(folder),
        options=resolve_options(job.name, job.options, options),
        seed=1,
        device="cpu",
        ram_budget_bytes=2 * 10**9,
        typed=tuple(options),
    )


def encode(folder, *, code=None, **given):
    """Encode from the very beginning."""
    shutil.rmtree(folder / ".lowmem")
    drive(ENCODE, folder, {"batch_size": 4, "code": code}, **given)
    return zarr.open_group(folder / "latents.zarr", mode="r")["z"][:]


def latents_by_arithmetic(folder, factor):
    """Do what the encoder's layers do, with the weights in its file: no Keras."""
    with ZipFile(folder / "model" / "encoder.keras") as archive:
        weights = io.BytesIO(archive.read("model.weights.h5"))
    found = {}

    def take(_, one):
        if isinstance(one, h5py.Dataset):
            found[one.shape] = one[:]

    with h5py.File(weights) as file:
        file.visititems(take)
    rows = images()[:4].reshape(4, -1) / 255
    return factor * rows @ found[48, 3] + found[3,]


@pytest.mark.parametrize(
    ("name", "factor"), [("layer", 3), ("function", 3), ("nested", 1)]
)
def test_what_a_model_with_code_encodes_is_what_its_file_encodes(folder, name, factor):
    train(folder, name)
    found = encode(folder)
    np.testing.assert_allclose(
        found[:4], latents_by_arithmetic(folder, factor), rtol=1e-5
    )
    account = json.loads((folder / "model" / "training.json").read_text())
    assert ("model" in account) == (name != "nested")


def test_what_an_encoder_draws_follows_from_the_seed_and_the_row_alone(folder):
    train(folder, "draws")
    overseer = Cutter()
    drawn = encode(folder, overseer=overseer)
    assert "draws at random" in overseer.notes[0]
    assert not np.array_equal(drawn[:4], drawn[4:])
    np.testing.assert_array_equal(encode(folder), drawn)
    assert not np.array_equal(encode(folder, seed=2), drawn)


def test_code_that_makes_something_else_by_now_is_refused(folder):
    train(folder, "layer")
    context = plan_of(ENCODE, folder, {})
    before = ENCODE.inputs(context)
    write_code(folder, CODE.replace("OFFSET = 0.0", "OFFSET = 0.5"))
    assert ENCODE.inputs(context)["code"] != before["code"]
    with pytest.raises(DataError, match="something else of the same image"):
        encode(folder, code="with_code:layer")
    (folder / "with_code.py").unlink()
    with pytest.raises(DataError, match=r"with_code:layer, which is not found"):
        ENCODE.inputs(context)


def test_no_code_is_imported_that_the_user_has_not_given_their_word_for(folder):
    train(folder, "layer")
    # As it may come back from somebody else, in the place where it was.
    write_code(folder, f"{CODE}\nraise SystemExit('was run')\n")
    with pytest.raises(DataError, match=r"--code with_code:layer"):
        encode(folder)
    with pytest.raises(SystemExit, match="was run"):
        encode(folder, code="with_code:layer")


def test_a_training_says_at_once_where_its_word_could_not_be_kept(folder):
    overseer = Cutter()
    options = {"model": "with_code:layer", "latent_dim": 3, "batch_size": 4}
    # Nothing has kept it: as where the state folder cannot be written.
    drive(TRAIN, folder, {**options, "epochs": 1}, overseer=overseer)
    assert "later jobs need --code with_code:layer" in overseer.notes[0]
    again = Cutter()
    TRAIN.check(plan_of(TRAIN, folder, options))
    shutil.rmtree(folder / ".lowmem")
    drive(TRAIN, folder, {**options, "epochs": 1}, overseer=again)
    assert not any("--code" in note for note in again.notes)


def test_a_model_that_cannot_be_written_is_refused_before_the_first_step(folder):
    overseer = Cutter()
    with pytest.raises(ModelError, match="cannot be written"):
        train(folder, "mute", epochs=10**6)
    assert not overseer.cycles


def test_a_whole_model_with_its_encoder_inside_is_cut_for_encoding_too(folder):
    import with_code

    from lowmem_jobs.model.encoder import load_encoder

    whole = with_code.nested(SHAPE, 3)
    whole.save(folder / "whole.keras")
    found = load_encoder(folder / "whole.keras", image_shape=SHAPE)
    expected = whole.get_layer("enc").predict_on_batch(images())
    np.testing.assert_allclose(found.predict_on_batch(images()), expected, rtol=1e-6)


def test_the_averages_that_an_optimiser_keeps_are_what_is_published(folder):
    import with_code

    train(folder, "averaged", validation_split=0, epochs=3)
    published = keras.saving.load_model(folder / "model" / "autoencoder.keras")
    ours = [state.value_of(one) for one in published.weights]
    averaged = fitted(folder, lambda: with_code.averaged(SHAPE, 3))
    raw = fitted(folder, lambda: with_code.averaged(SHAPE, 3, is_averaged=False))
    for got, wanted in zip(ours, averaged, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    assert max(np.abs(a - b).max() for a, b in zip(averaged, raw, strict=True)) > 1e-3


def fitted(folder, build):
    """Return the weights that Keras' `fit` ends with on the batches of the training."""
    with keras_session(seed=1):
        model = build()
        data = ZarrSequence(folder / "images.zarr", batch_size=4, seed=1)
        model.fit(
            ((x, x / np.float32(255)) for e in range(3) for x in batches_of(data, e)),
            epochs=3, steps_per_epoch=2, shuffle=False, verbose=0,
        )  # fmt: skip
        data.close()
        return [state.value_of(one) for one in model.weights]


def batches_of(data, epoch):
    data.go_to(epoch=epoch)
    for number in range(len(data)):
        yield data.batch(number)


@pytest.mark.parametrize(
    "name",
    ["nested", "nested_in_lists", "nested_twice", "in_a_row", "named_as_a_whole"],
)
@pytest.mark.usefixtures("folder")
def test_the_halves_of_a_nested_model_make_of_images_what_the_whole_makes(name):
    import with_code

    from lowmem_jobs.model.parts import cut_at_latent

    whole = getattr(with_code, name)(SHAPE, 3)
    expected = whole.predict_on_batch(images())
    expected = expected[0] if isinstance(expected, list) else expected
    parts = cut_at_latent(whole)
    again = parts.autoencoder.predict_on_batch(images())
    np.testing.assert_allclose(again, expected, rtol=1e-6)
    z = parts.encoder.predict_on_batch(images())
    assert z.shape == (N_IMAGES, 3)
    np.testing.assert_allclose(parts.decoder.predict_on_batch(z), expected, rtol=1e-6)

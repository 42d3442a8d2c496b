"""`train --autoencoder vae`: the published loss, exact resume, and models that plain Keras opens."""

from __future__ import annotations

import csv
import json

import keras
import numpy as np
import pytest
import zarr

from lowmem.stores.row_writer import RowWriter
from lowmem.training.row_noise import RowNoise
from lowmem_jobs.encode.job import JOB as ENCODE
from lowmem_jobs.model.code import holds_code
from lowmem_jobs.model.variational import (
    build_variational,
    compile_variational,
    kl_divergence,
)
from lowmem_jobs.train.job import JOB
from tests.driver import drive

pytestmark = [
    pytest.mark.keras,
    pytest.mark.slow,
]

SHAPE = (7, 6, 3)
# 20 images: 18 in batches of 8, 8 and 2, and 2 held out.
N_IMAGES = 20
SMALL = {
    "autoencoder": "vae",
    "filters": [4],
    "latent_dim": 3,
    "batch_size": 8,
    "epochs": 2,
}
FILES = ("autoencoder.keras", "encoder.keras", "decoder.keras", "history.csv")


def images():
    return np.random.default_rng(0).integers(0, 256, (N_IMAGES, *SHAPE), np.uint8)


def workspace(folder):
    writer = RowWriter.open(
        folder / "images.zarr", "images", row_shape=SHAPE, dtype="u1", chunk_rows=20
    )
    writer.append(images())
    writer.flush()
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workspace with a model that nothing has cut, and the summary of its training."""
    folder = workspace(tmp_path_factory.mktemp("trained"))
    return folder, drive(JOB, folder, SMALL, cycle_steps=99)


def small(kl_weight=1.0, loss="mse"):
    keras.utils.set_random_seed(1)
    built = build_variational(
        input_shape=SHAPE, latent_dim=3, filters=(4,), batch_norm=False
    )
    compile_variational(built.model, loss=loss, kl_weight=kl_weight, learning_rate=0.01)
    return built


def posterior(model, rows):
    """Return means and logarithms of variances of a model that is trained."""
    of = [model.get_layer(name).output for name in ("z", "z_log_variance")]
    found = keras.Model(model.inputs[0], of).predict_on_batch(rows)
    return [np.asarray(one, np.float64) for one in found]


def kl_by_density(mean, log_variance):
    """Return the divergence of two normal laws by its definition, integrated in steps."""
    deviation = np.exp(log_variance / 2)
    x = mean[..., None] + deviation[..., None] * np.linspace(-12, 12, 20_001)
    log_p = -(((x - mean[..., None]) / deviation[..., None]) ** 2) / 2
    log_p = log_p - np.log(deviation[..., None] * np.sqrt(2 * np.pi))
    log_q = -(x**2) / 2 - np.log(np.sqrt(2 * np.pi))
    return np.trapezoid(np.exp(log_p) * (log_p - log_q), x, axis=-1).sum(axis=-1)


# --- the loss ---------------------------------------------------------------------


def test_the_divergence_is_the_integral_that_defines_it():
    rng = np.random.default_rng(2)
    mean, log_variance = rng.normal(size=(2, 5, 3)) * [[[1.5]], [[0.8]]]
    found = kl_divergence(
        keras.ops.convert_to_tensor(mean.astype("f4")),
        keras.ops.convert_to_tensor(log_variance.astype("f4")),
    )
    expected = kl_by_density(mean, log_variance)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), expected, rtol=1e-5)
    zero = keras.ops.zeros((2, 3))
    assert not np.any(keras.ops.convert_to_numpy(kl_divergence(zero, zero)))


def test_the_divergence_has_the_gradient_of_its_closed_form():
    """Steps of size 1 along it alone: mean and (exp(log variance) - 1) / 2, over n."""
    n = 4
    rng = np.random.default_rng(3)
    start = [rng.normal(size=(n, 2)).astype(np.float32) for _ in range(2)]
    chosen = keras.Input((n,))
    dense = [keras.layers.Dense(2, use_bias=False) for _ in range(2)]
    model = keras.Model(chosen, kl_divergence(*(layer(chosen) for layer in dense)))
    for layer, value in zip(dense, start, strict=True):
        layer.set_weights([value])
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss=lambda _, found: found)
    model.train_on_batch(np.eye(n, dtype=np.float32), np.zeros(n, np.float32))
    moved = [
        before - layer.get_weights()[0]
        for before, layer in zip(start, dense, strict=True)
    ]
    np.testing.assert_allclose(moved[0] * n, start[0], rtol=1e-5)
    expected = np.expm1(start[1].astype(np.float64)) / 2
    np.testing.assert_allclose(moved[1] * n, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_the_loss_is_reconstruction_and_weighted_divergence_of_each_image(loss):
    built, rows = small(kl_weight=0.25, loss=loss), images()
    noise = RowNoise(seed=5, size=3).training(epoch=0, batch=0, n_rows=N_IMAGES)
    logs = built.model.test_on_batch([rows, noise], rows, return_dict=True)
    mean, log_variance = posterior(built.model, rows)
    divergence = kl_by_density(mean, log_variance).mean()
    drawn = (mean + np.exp(log_variance / 2) * noise).astype(np.float32)
    made = np.asarray(built.parts.decoder.predict_on_batch(drawn), np.float64)
    true = rows / 255
    far = {
        "mse": (true - made) ** 2,
        "bce": -(true * np.log(made) + (1 - true) * np.log(1 - made)),
    }[loss]
    reconstruction = far.reshape(N_IMAGES, -1).sum(axis=1).mean()
    assert float(logs["reconstruction_loss"]) == pytest.approx(reconstruction, 1e-4)
    assert float(logs["kl_loss"]) == pytest.approx(divergence, 1e-4)
    expected = reconstruction + 0.25 * divergence
    assert float(logs["loss"]) == pytest.approx(expected, 1e-4)


def test_noise_follows_from_seed_epoch_batch_and_row_alone():
    noise = RowNoise(seed=1, size=4)
    whole = noise.training(epoch=2, batch=3, n_rows=50_000)
    assert abs(whole.mean()) < 0.01
    assert abs(whole.std() - 1) < 0.01
    np.testing.assert_array_equal(noise.training(epoch=2, batch=3, n_rows=5), whole[:5])
    others = [
        noise.training(epoch=3, batch=3, n_rows=5),
        noise.training(epoch=2, batch=4, n_rows=5),
        noise.validation(batch=3, n_rows=5),
        RowNoise(seed=2, size=4).training(epoch=2, batch=3, n_rows=5),
    ]
    for number, other in enumerate(others):
        assert not np.any(other == whole[:5]), number


# --- the job ----------------------------------------------------------------------


def test_what_is_published_is_plain_keras_and_its_summary_has_both_parts(trained):
    folder, summary = trained
    rows = images()
    models = {}
    for part in ("autoencoder", "encoder", "decoder"):
        path = folder / "model" / f"{part}.keras"
        assert not holds_code(path)
        models[part] = keras.saving.load_model(path, safe_mode=True)
    z = models["encoder"].predict_on_batch(rows)
    assert z.shape == (N_IMAGES, 3)
    np.testing.assert_array_equal(
        models["decoder"].predict_on_batch(z),
        models["autoencoder"].predict_on_batch(rows),
    )
    with (folder / "model" / "history.csv").open() as stream:
        history = list(csv.DictReader(stream))
    names = ["loss", "reconstruction_loss", "kl_loss"]
    both = [*names, *(f"val_{name}" for name in names)]
    assert set(history[0]) == {"epoch", *both, "learning_rate"}
    for side in ("", "val_"):
        parts = [summary[f"{side}{name}_loss"] for name in ("reconstruction", "kl")]
        assert summary[f"{side}loss"] == pytest.approx(sum(parts), 1e-4)
    account = json.loads((folder / "model" / "training.json").read_text())
    assert account == {"validation_split": 0.1, "autoencoder": "vae", "kl_weight": 1.0}


def test_encode_gives_the_mean_of_each_posterior(trained):
    folder, _ = trained
    assert drive(ENCODE, folder, cycle_steps=99)
    z = zarr.open_array(folder / "latents.zarr" / "z", mode="r")[:]
    whole = keras.saving.load_model(folder / "model" / "autoencoder.keras")
    mean = keras.Model(whole.inputs[0], whole.get_layer("z").output)
    expected = mean.predict_on_batch(images())
    np.testing.assert_allclose(z, expected, rtol=1e-5, atol=1e-6)


def test_a_training_cut_within_both_epochs_is_the_unbroken_one_to_the_byte(
    trained, tmp_path
):
    workspace(tmp_path)
    for cut_after in (2, 3):
        assert drive(JOB, tmp_path, SMALL, leave_after=cut_after) is None
    assert drive(JOB, tmp_path, SMALL, cycle_steps=99)
    for name in FILES:
        ours = (tmp_path / "model" / name).read_bytes()
        assert ours == (trained[0] / "model" / name).read_bytes(), name


def test_micro_batches_draw_the_noise_of_the_whole_batch(trained, tmp_path):
    workspace(tmp_path)
    summary = drive(JOB, tmp_path, SMALL, settings={"micro_batch": 3}, cycle_steps=99)
    # Sums in another order: the last digits alone.
    for name in ("loss", "kl_loss", "reconstruction_loss", "val_loss"):
        assert summary[name] == pytest.approx(trained[1][name], 1e-4), name
    one, other = (
        keras.saving.load_model(folder / "model" / "autoencoder.keras").get_weights()
        for folder in (trained[0], tmp_path)
    )
    for ours, theirs in zip(one, other, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-4)

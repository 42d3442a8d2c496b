"""Job `train`: what it publishes, whatever the data and whoever's the model."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from lowmem.base.errors import (
    DataError,
    DivergedError,
    ModelError,
    OptionValueError,
    UsageError,
)
from lowmem.base.workspace import Workspace
from lowmem.checkpoints.restore import newest_running
from lowmem.stores.row_writer import RowWriter
from lowmem.training import backend
from lowmem_jobs.train import work
from lowmem_jobs.train.job import JOB
from tests.driver import Cutter, drive

pytestmark = [
    pytest.mark.keras,
    pytest.mark.slow,
]

SMALL = {"filters": [4], "latent_dim": 3, "batch_size": 4, "epochs": 2}


def write_images(workspace: Path, n_images: int, shape=(7, 6, 3)) -> np.ndarray:
    rows = np.random.default_rng(0).integers(0, 256, (n_images, *shape), np.uint8)
    writer = RowWriter.open(
        workspace / "images.zarr",
        "images",
        row_shape=shape,
        dtype=np.uint8,
        chunk_rows=8,
    )
    for start in range(0, n_images, 8):
        writer.append(rows[start : start + 8])
    writer.flush()
    return rows


def history_of(workspace: Path) -> list[dict[str, str]]:
    with (workspace / "model" / "history.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def load(workspace: Path, part: str) -> keras.Model:
    """Open a published file as a reader without lowmem would."""
    return keras.models.load_model(workspace / "model" / f"{part}.keras")


def test_the_published_models_open_with_plain_keras_and_fit_together(tmp_path):
    rows = write_images(tmp_path, 20)
    summary = drive(JOB, tmp_path, SMALL | {"batch_norm": True})

    models = {
        part: load(tmp_path, part) for part in ("autoencoder", "encoder", "decoder")
    }
    z = models["encoder"].predict_on_batch(rows)
    assert z.shape == (20, 3)
    whole = models["autoencoder"].predict_on_batch(rows)
    assert whole.shape == rows.shape
    assert whole.min() >= 0
    assert whole.max() <= 1
    np.testing.assert_array_equal(models["decoder"].predict_on_batch(z), whole)
    assert [row["epoch"] for row in history_of(tmp_path)] == ["1", "2"]
    assert list(history_of(tmp_path)[0]) == [
        "epoch",
        "loss",
        "val_loss",
        "learning_rate",
    ]
    assert summary["n_training"] + summary["n_validation"] == 20


@pytest.mark.process
def test_a_new_process_finishes_what_another_began_to_the_byte(tmp_path):
    for name in ("whole", "cut"):
        write_images(tmp_path / name, 12)
    drive(JOB, tmp_path / "whole", SMALL)
    assert drive(JOB, tmp_path / "cut", SMALL, leave_after=3) is None
    assert not (tmp_path / "cut" / "model").exists()
    code = (
        "import sys; from tests.driver import Cutter, drive; "
        "from lowmem_jobs.train.job import JOB; "
        f"drive(JOB, sys.argv[1], {SMALL!r})"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "cut")],
        check=True,
        cwd=Path(__file__).parents[2],
    )
    for name in ("autoencoder.keras", "encoder.keras", "decoder.keras", "history.csv"):
        ours = (tmp_path / "cut" / "model" / name).read_bytes()
        assert ours == (tmp_path / "whole" / "model" / name).read_bytes(), name


def test_runs_of_neighbours_are_another_order_that_a_cut_does_not_change(tmp_path):
    options = {"single": SMALL, "whole": SMALL | {"run_length": 3}}
    options["cut"] = options["whole"]
    for name in options:
        write_images(tmp_path / name, 12)
    assert drive(JOB, tmp_path / "cut", options["cut"], leave_after=2) is None
    for name, given in options.items():
        drive(JOB, tmp_path / name, given)
    histories = {name: history_of(tmp_path / name) for name in options}
    assert histories["cut"] == histories["whole"] != histories["single"]


@pytest.mark.parametrize(
    "further",
    [{}, {"early_stopping": 9, "reduce_lr": 1, "learning_rate": 0.5}],
    ids=["plain", "best epoch and a falling rate"],
)
def test_one_epoch_and_then_more_are_the_bytes_of_one_training(tmp_path, further):
    for name in ("once", "more"):
        write_images(tmp_path / name, 12)
    options = SMALL | further
    drive(JOB, tmp_path / "once", options | {"epochs": 4}, cycle_steps=5)
    n_cycles = []
    for epochs in (1, 2, 4):
        cutter = Cutter()
        given = options | {"epochs": epochs}
        drive(
            JOB,
            tmp_path / "more",
            given,
            cycle_steps=1000,
            overseer=cutter,
            recipe={"epochs": epochs},
        )
        n_cycles.append([cycle.items for cycle in cutter.cycles])
    # No image is trained on twice: each goes on from the end of the one before.
    n_training = sum(n_cycles[0])
    assert n_cycles == [[n, 0] for n in (n_training, n_training, 2 * n_training)]
    for name in ("autoencoder.keras", "encoder.keras", "decoder.keras", "history.csv"):
        ours = (tmp_path / "more" / "model" / name).read_bytes()
        assert ours == (tmp_path / "once" / "model" / name).read_bytes(), name
    states = [last_state(tmp_path / name) for name in ("once", "more")]
    assert states[0][0] == states[1][0]
    assert states[0][1].keys() == states[1][1].keys()
    for name, value in states[0][1].items():
        np.testing.assert_array_equal(value, states[1][1][name], err_msg=name)


def last_state(workspace: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """Return the state at the end of a training: optimiser, plateau, best weights too."""
    found = newest_running(Workspace.at(workspace).checkpoints("train"))
    assert found is not None
    return found.manifest.state, {name: found.arrays[name] for name in found.arrays}


def test_one_image_is_enough(tmp_path):
    write_images(tmp_path, 1)
    drive(JOB, tmp_path, SMALL | {"epochs": 1, "validation_split": 0.9})
    assert list(history_of(tmp_path)[0]) == ["epoch", "loss", "learning_rate"]


USERS_MODELS = """
import keras

def layers(input_shape, latent_dim, name="z"):
    inputs = keras.Input(input_shape)
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    z = keras.layers.Dense(latent_dim, name=name)(x)
    n = input_shape[0] * input_shape[1] * input_shape[2]
    outputs = keras.layers.Dense(n, "sigmoid")(z)
    return inputs, keras.layers.Reshape(input_shape)(outputs)

def uncompiled(*, input_shape, latent_dim):
    return keras.Model(*layers(input_shape, latent_dim))

class Own(keras.Model):
    def train_step(self, data):
        x, y = data[:2]
        assert str(x.dtype) == "<dtype: 'uint8'>", x.dtype
        assert str(y.dtype) == "<dtype: 'float32'>", y.dtype
        return super().train_step(data) | {"mark": 42.0}

def compiled(*, input_shape, latent_dim):
    model = Own(*layers(input_shape, latent_dim))
    model.compile("sgd", "mae", metrics=["mse"])
    return model

def without_z(*, input_shape, latent_dim):
    return keras.Model(*layers(input_shape, latent_dim, "code"))

def other_shape(*, input_shape, latent_dim):
    return keras.Model(*layers((2, 2, 3), latent_dim))

def no_model(*, input_shape, latent_dim):
    return 3

def skipping(*, input_shape, latent_dim):
    inputs, outputs = layers(input_shape, latent_dim)
    bytes_ = keras.layers.Rescaling(1 / 255)(inputs)
    return keras.Model(inputs, keras.layers.Average()([outputs, bytes_]))
"""


@pytest.fixture
def users_folder(tmp_path, monkeypatch):
    (tmp_path / "users_models.py").write_text(USERS_MODELS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "users_models", raising=False)
    write_images(tmp_path, 10)
    return tmp_path


def test_an_uncompiled_model_of_the_user_gets_optimiser_and_loss(users_folder):
    given = {"model": "users_models:uncompiled", "filters": None, "loss": "mae"}
    overseer = Cutter()
    drive(JOB, users_folder, SMALL | given, overseer=overseer)
    assert not any("ignored" in line for line in overseer.lines)
    assert load(users_folder, "encoder").output_shape == (None, 3)


def test_a_compiled_model_keeps_its_own_step_and_is_published_as_a_plain_one(
    users_folder,
):
    given = {"model": "users_models:compiled", "validation_split": 0.3, "loss": "bce"}
    overseer = Cutter()
    drive(JOB, users_folder, SMALL | given, overseer=overseer)
    [told] = [line for line in overseer.lines if "ignored" in line]
    assert told.endswith(" --filters, --loss ignored")
    row = history_of(users_folder)[0]
    assert float(row["mark"]) == 42
    assert {"mse", "val_mse"} <= row.keys()
    assert type(load(users_folder, "autoencoder")).__module__.startswith("keras")


@pytest.mark.parametrize(
    ("function", "error", "told"),
    [
        ("without_z", ModelError, "no layer named 'z'"),
        ("other_shape", ModelError, r"\(2, 2, 3\)"),
        ("no_model", ModelError, "is a int"),
        ("skipping", ModelError, "cannot be cut"),
        ("absent", OptionValueError, "a function that users_models defines"),
    ],
)
def test_a_model_that_cannot_serve_is_refused_before_training(
    users_folder, function, error, told
):
    with pytest.raises(error, match=told) as caught:
        drive(JOB, users_folder, {"model": f"users_models:{function}"})
    assert isinstance(caught.value, UsageError)


def test_a_training_that_diverges_stops_with_the_reason(tmp_path):
    write_images(tmp_path, 10)
    with pytest.raises(DivergedError, match="learning-rate"):
        drive(JOB, tmp_path, SMALL | {"learning_rate": 1e30})
    assert not (tmp_path / "model").exists()


def test_a_truncated_chunk_is_a_data_error_that_names_it(tmp_path):
    write_images(tmp_path, 20)
    chunk = min((tmp_path / "images.zarr" / "images").glob("c*1*"))
    chunk.write_bytes(chunk.read_bytes()[:100])
    with pytest.raises(DataError, match="samples 8 to 15"):
        drive(JOB, tmp_path, SMALL)


def test_layers_that_see_the_micro_batch_are_named_with_the_step_it_changed_at(
    tmp_path,
):
    write_images(tmp_path, 12)
    options = SMALL | {"batch_norm": True, "validation_split": 0.0}
    # Three steps an epoch: two of them and three, then the sixth with half the memory.
    whole, halved, again = Cutter(leave_after=5), Cutter(leave_after=1), Cutter()
    drive(JOB, tmp_path, options, settings={"micro_batch": 4}, overseer=whole)
    drive(JOB, tmp_path, options, settings={"micro_batch": 2}, overseer=halved)
    drive(JOB, tmp_path, options, settings={"micro_batch": 2}, overseer=again)
    assert whole.notes == again.notes == []
    (note,) = halved.notes
    assert note.startswith(
        "from step 6 on, BatchNormalization saw micro-batches of 2 images instead of 4"
    )


def test_a_resume_under_other_software_is_told_and_an_older_checkpoint_claims_nothing(
    tmp_path, monkeypatch
):
    write_images(tmp_path, 20)
    now = backend.environment()
    assert {"python", "zarr", "numcodecs", "numpy", "keras", "backend"} <= set(now)
    # Before these were kept.
    first = {k: v for k, v in now.items() if k not in {"python", "zarr", "numcodecs"}}
    later = now | {"python": "3.13.0", "zarr": "3.4.2"}
    told = []
    for environment in (first, now, later):
        monkeypatch.setattr(work, "environment", lambda found=environment: found)
        overseer = Cutter(leave_after=1)
        drive(JOB, tmp_path, SMALL, overseer=overseer)
        told.append([line for line in overseer.lines if " was " in line])
    assert told[:2] == [[], []]
    assert [line.partition(":")[0] for line in told[2]] == [
        f"python was {now['python']}, now 3.13.0",
        f"zarr was {now['zarr']}, now 3.4.2",
    ]


@pytest.mark.parametrize("other", [np.arange(3), np.arange(9, dtype=np.uint8)])
def test_a_training_goes_on_with_another_backend_than_its_generator_is_of(
    tmp_path, monkeypatch, other
):
    write_images(tmp_path, 20)
    kept = dict(backend.generator_states()).get("backend")
    if kept is not None and other.dtype == kept.dtype:
        pytest.skip("it is of this backend")
    found = [("backend", other)]
    with monkeypatch.context() as patched:
        patched.setattr(backend, "generator_states", lambda: found)
        drive(JOB, tmp_path, SMALL, leave_after=1)
    assert drive(JOB, tmp_path, SMALL)["epoch"] == 2


def test_without_such_layers_the_note_says_from_where_on_last_digits_may_differ(
    tmp_path,
):
    write_images(tmp_path, 12)
    options = SMALL | {"validation_split": 0.0}
    whole, halved, again = Cutter(leave_after=5), Cutter(leave_after=1), Cutter()
    drive(JOB, tmp_path, options, settings={"micro_batch": 4}, overseer=whole)
    drive(JOB, tmp_path, options, settings={"micro_batch": 2}, overseer=halved)
    drive(JOB, tmp_path, options, settings={"micro_batch": 2}, overseer=again)
    assert whole.notes == again.notes == []
    (note,) = halved.notes
    assert note == (
        "from step 6 on, gradients were summed over micro-batches of 2 images instead "
        "of 4, so the result may differ in its last digits from that of a run with more "
        "memory"
    )

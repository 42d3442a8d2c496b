"""Job `encode`: every image its vector, in order, wherever it was cut."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import zarr

from lowmem.base.errors import DataError
from lowmem.stores.row_writer import RowWriter
from lowmem_jobs.encode import job as encode_job
from lowmem_jobs.encode import work as encode_work
from lowmem_jobs.encode.job import JOB
from tests.driver import drive
from tests.sharding import files_of, merge, shard

pytestmark = [
    pytest.mark.keras,
    pytest.mark.slow,
]

SHAPE = (6, 5, 3)
N_IMAGES = 50


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """Return a workspace with images and a model; latents in small blocks."""
    monkeypatch.setattr(encode_work, "BLOCK_ROWS", 16)
    monkeypatch.setattr(encode_job, "BLOCK_ROWS", 16)
    rows = images()
    writer = RowWriter.open(
        tmp_path / "images.zarr",
        "images",
        row_shape=SHAPE,
        dtype=np.uint8,
        chunk_rows=8,
    )
    for start in range(0, N_IMAGES, 8):
        writer.append(rows[start : start + 8])
    writer.flush()
    keras.utils.clear_session()
    keras.utils.set_random_seed(3)
    inputs = keras.Input(SHAPE, dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    z = keras.layers.Dense(4, name="z")(x)
    (tmp_path / "model").mkdir()
    keras.Model(inputs, z).save(tmp_path / "model" / "encoder.keras")
    outputs = keras.layers.Dense(2, name="after")(z)
    keras.Model(inputs, outputs).save(tmp_path / "whole.keras")
    return tmp_path


def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (N_IMAGES, *SHAPE), np.uint8)


def latents(workspace) -> np.ndarray:
    array = zarr.open_array(workspace / "latents.zarr" / "z", mode="r")
    assert array.dtype == np.float32
    return np.asarray(array[:])


def test_each_image_has_its_vector_in_order(workspace):
    drive(JOB, workspace, {"batch_size": 6})
    model = keras.models.load_model(workspace / "model" / "encoder.keras")
    expected = model.predict_on_batch(images())
    np.testing.assert_allclose(latents(workspace), expected, rtol=1e-5, atol=1e-6)


def test_cuts_and_memory_settings_do_not_change_a_bit(workspace, tmp_path_factory):
    drive(JOB, workspace, {"batch_size": 6})
    expected = latents(workspace)
    other = tmp_path_factory.mktemp("other")
    given = {
        "data": str(workspace / "images.zarr"),
        "model": str(workspace / "model" / "encoder.keras"),
        "batch_size": 6,
    }
    for read_rows in (16, 7, 1):
        drive(
            JOB, other, given, settings={"read_rows": read_rows}, leave_after=1
        )  # fmt: skip
    drive(JOB, other, given, settings={"read_rows": 3})
    np.testing.assert_array_equal(latents(other), expected)


def test_a_whole_model_is_cut_at_its_layer_z(workspace):
    drive(JOB, workspace)
    expected = latents(workspace)
    drive(JOB, workspace, {"model": str(workspace / "whole.keras")})
    np.testing.assert_allclose(latents(workspace), expected, rtol=1e-5, atol=1e-6)


def test_a_model_without_z_gives_its_output_flattened(workspace):
    inputs = keras.Input((None, None, 3))
    outputs = keras.layers.AveragePooling2D(2)(keras.layers.Rescaling(1)(inputs))
    path = workspace / "pool.keras"
    keras.Model(inputs, keras.layers.Reshape((3, 2, 3))(outputs)).save(path)
    drive(JOB, workspace, {"model": str(path)})
    assert latents(workspace).shape == (N_IMAGES, 18)


def test_other_images_than_the_model_takes_are_refused_by_both_names(workspace):
    inputs = keras.Input((9, 9, 3))
    path = workspace / "nine.keras"
    keras.Model(inputs, keras.layers.Flatten()(inputs)).save(path)
    with pytest.raises(DataError, match=r"nine\.keras.*\(9, 9, 3\).*\(6, 5, 3\)"):
        drive(JOB, workspace, {"model": str(path)})


def test_a_file_that_is_no_model_is_a_data_error(workspace):
    path = workspace / "text.keras"
    path.write_text("not a model", encoding="utf-8")
    with pytest.raises(DataError, match=r"text\.keras"):
        drive(JOB, workspace, {"model": str(path)})


def test_code_inside_a_model_file_is_never_run(workspace):
    inputs = keras.Input(SHAPE)
    x = keras.layers.Lambda(lambda image: image * 2)(inputs)
    path = workspace / "lambda.keras"
    keras.Model(inputs, keras.layers.Flatten()(x)).save(path)
    with pytest.raises(DataError, match=r"lambda\.keras"):
        drive(JOB, workspace, {"model": str(path)})


def test_a_truncated_chunk_is_a_data_error_and_nothing_is_published(workspace):
    chunk = min((workspace / "images.zarr" / "images").glob("c*3*"))
    chunk.write_bytes(chunk.read_bytes()[:100])
    with pytest.raises(DataError, match="samples 24 to 31"):
        drive(JOB, workspace)
    assert not (workspace / "latents.zarr").exists()


def test_shards_and_a_merge_have_the_files_of_one_run(workspace, tmp_path_factory):
    drive(JOB, workspace, {"batch_size": 6})
    other = tmp_path_factory.mktemp("other")
    given = {
        "data": str(workspace / "images.zarr"),
        "model": str(workspace / "model" / "encoder.keras"),
        "batch_size": 6,
    }
    for index in (2, 0, 1):
        shard(JOB, other, index, 3, options=given)
    summary = merge(JOB, other, options=given)
    assert summary == {"n": N_IMAGES, "latent_dim": 4}
    one, shared = (files_of(space / "latents.zarr") for space in (workspace, other))
    assert one == shared

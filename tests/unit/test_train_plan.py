"""What the planner knows of `train` and `encode`, without Keras."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr

from lowmem.base.errors import DataError, OptionValueError
from lowmem.base.workspace import Workspace
from lowmem.protocol.options import resolve_options
from lowmem.protocol.planning import PlanContext
from lowmem.stores.images import find_images
from lowmem.stores.row_writer import RowWriter
from lowmem.training.plateau import EarlyStopping
from lowmem_jobs.encode.job import JOB as ENCODE
from lowmem_jobs.model.model_source import find_source
from lowmem_jobs.train.architecture import Architecture, architecture_from_options
from lowmem_jobs.train.job import JOB as TRAIN
from lowmem_jobs.train.memory import size_of_model

if TYPE_CHECKING:
    from pathlib import Path


def plan(job, workspace: Path, **given: object) -> PlanContext:
    return PlanContext(
        workspace=Workspace.at(workspace),
        options=resolve_options(job.name, job.options, given),
        seed=1,
        device="cpu",
        ram_budget_bytes=2 * 10**9,
    )


def write_images(
    workspace: Path, *, side: int, dtype: str = "uint8", codec: str = "none"
) -> None:
    writer = RowWriter.open(
        workspace / "images.zarr",
        "images",
        row_shape=(side, side, 3),
        dtype=dtype,
        chunk_rows=4,
        codec=codec,
    )
    writer.append(np.zeros((2, side, side, 3), dtype))
    writer.flush()


def test_the_descriptions_import_nothing_heavy():
    heavy = {"tensorflow", "keras", "numpy", "zarr"}
    code = (
        "import sys, lowmem_jobs.train.job, lowmem_jobs.encode.job; "
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"


def test_the_ladder_halves_the_micro_batch_down_to_one(tmp_path):
    write_images(tmp_path, side=64)
    small = {"filters": [8, 8, 8], "latent_dim": 2}
    rungs = TRAIN.ladder(plan(TRAIN, tmp_path, batch_size=13, **small))
    assert [rung["micro_batch"] for rung in rungs] == [13, 7, 4, 2, 1]


def test_each_rung_is_predicted_to_need_less_than_the_one_before(tmp_path):
    write_images(tmp_path, side=96)
    ctx = plan(TRAIN, tmp_path, batch_size=128)
    assert len(TRAIN.ladder(ctx)) == 8
    peaks = [TRAIN.predict(ctx, rung).ram_bytes for rung in TRAIN.ladder(ctx)]
    assert peaks == sorted(peaks, reverse=True)
    assert 1.4e9 < peaks[0] < 1.8e9


# Peaks of anonymous memory in MB that were measured (two cores, drawn faces): backend,
# filters, latent size, pixels, batch, micro-batch, batch normalisation.
PEAKS = [
    ("jax", (8, 16), 8, 32, 32, 32, False, 319),
    ("jax", (16, 32, 64), 32, 64, 32, 32, False, 392),
    ("jax", (16, 32, 64), 32, 64, 128, 128, False, 483),
    ("jax", (16, 32, 64), 32, 64, 128, 32, False, 458),
    ("jax", (32, 64, 128, 256), 64, 64, 128, 128, False, 658),
    ("jax", (32, 64, 128, 256), 64, 64, 128, 128, True, 710),
    ("jax", (32, 64, 128, 256), 64, 64, 128, 32, False, 571),
    ("jax", (64, 128, 256, 512), 256, 96, 32, 32, False, 919),
    ("jax", (64, 128, 256, 512), 256, 96, 64, 16, False, 980),
    ("torch", (8, 16), 8, 32, 32, 32, False, 341),
    ("torch", (16, 32, 64), 32, 64, 32, 32, False, 393),
    ("torch", (16, 32, 64), 32, 64, 128, 128, False, 470),
    ("torch", (16, 32, 64), 32, 64, 128, 32, False, 397),
    ("torch", (32, 64, 128, 256), 64, 64, 128, 128, False, 589),
    ("torch", (32, 64, 128, 256), 64, 64, 128, 32, False, 449),
    ("torch", (64, 128, 256, 512), 256, 96, 32, 32, False, 883),
    ("torch", (64, 128, 256, 512), 256, 96, 64, 16, False, 977),
]


@pytest.mark.parametrize("case", PEAKS)
def test_the_formula_stays_above_what_each_backend_was_seen_to_take(tmp_path, case):
    backend, filters, latent, side, batch, micro, norm, peak = case
    write_images(tmp_path, side=side)
    options = {"filters": list(filters), "latent_dim": latent, "batch_norm": norm}
    ctx = plan(TRAIN, tmp_path, batch_size=batch, **options)
    rung = TRAIN.predict(replace(ctx, backend=backend), {"micro_batch": micro})
    assert peak <= rung.ram_bytes / 1e6 <= 1.2 * peak


def test_a_rung_that_would_cost_more_than_it_saves_is_left_out(tmp_path):
    write_images(tmp_path, side=96)
    ctx = plan(TRAIN, tmp_path, batch_size=8)
    assert TRAIN.ladder(ctx) == [{"micro_batch": 8}]


KINDS = {
    "plain": ({"compressors": None}, 4, False),
    "zstd": ({}, 4, True),
    "shards": ({"shards": (8, 6, 6, 3), "compressors": None}, 4, False),
    "shards-zstd": ({"shards": (8, 6, 6, 3)}, 4, True),
    "v2": ({"zarr_format": 2, "compressors": None, "filters": None}, 4, False),
    "v2-zstd": ({"zarr_format": 2}, 4, True),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_decoded_together_is_known_without_zarr(tmp_path, kind):
    extra, rows, is_compressed = KINDS[kind]
    zarr.create_array(
        tmp_path / "s", shape=(20, 6, 6, 3), dtype="u1", chunks=(4, 6, 6, 3), **extra
    )
    images = find_images(tmp_path / "s")
    assert (images.chunk_rows, images.is_compressed) == (rows, is_compressed)


def test_a_compressed_store_is_predicted_to_need_four_chunks_more(tmp_path):
    found = []
    for codec in ("none", "lz4"):
        write_images(tmp_path / codec, side=64, codec=codec)
        ctx = plan(TRAIN, tmp_path / codec)
        found.append(TRAIN.predict(ctx, TRAIN.ladder(ctx)[0]).ram_bytes)
    # Two threads, each with a chunk of 4 images as stored and as decoded.
    assert found[1] - found[0] == 4 * 4 * 64 * 64 * 3


def test_a_model_of_the_users_own_has_no_prediction(tmp_path):
    write_images(tmp_path, side=8)
    ctx = plan(TRAIN, tmp_path, model="m:f")
    assert [rung["micro_batch"] for rung in TRAIN.ladder(ctx)] == [32, 16, 8, 4, 2, 1]
    assert TRAIN.predict(ctx, {"micro_batch": 4}).ram_bytes is None


def test_the_preset_for_96_pixels_is_the_study_s_model(tmp_path):
    options = plan(TRAIN, tmp_path).options
    architecture = architecture_from_options(options, (96, 96, 3))
    assert architecture.filters == (64, 128, 256, 512)
    size = size_of_model(architecture, (96, 96, 3))
    assert size.n_weights == pytest.approx(12.5e6, rel=0.01)


@pytest.mark.keras
@pytest.mark.slow
@pytest.mark.parametrize("shape", [(9, 17, 1), (32, 32, 3)])
def test_the_size_of_a_model_agrees_with_keras(shape):
    from lowmem_jobs.model.autoencoder import build_autoencoder
    from lowmem_jobs.model.variational import build_variational

    for batch_norm in (False, True):
        architecture = Architecture(
            filters=(8, 16, 32), latent_dim=5, batch_norm=batch_norm
        )
        model = build_autoencoder(
            input_shape=shape, latent_dim=5, filters=(8, 16, 32), batch_norm=batch_norm
        )
        assert model.output_shape == (None, *shape)
        size = size_of_model(architecture, shape)
        assert size.n_weights == pytest.approx(model.count_params(), rel=0.03)
        # Of the variational one a layer more: known to the weight.
        more = size_of_model(replace(architecture, is_variational=True), shape)
        built = build_variational(
            input_shape=shape, latent_dim=5, filters=(8, 16, 32), batch_norm=batch_norm
        )
        n_more = built.model.count_params() - model.count_params()
        assert more.n_weights - size.n_weights == n_more


def test_missing_images_are_asked_of_ingest_unless_a_store_was_named(tmp_path):
    (need,) = TRAIN.needs(plan(TRAIN, tmp_path))
    # As `run all` does: the two make the same recipe.
    assert (need.job, need.options) == ("ingest", {})
    assert not TRAIN.needs(plan(TRAIN, tmp_path, data=str(tmp_path / "x.zarr")))
    assert [need.job for need in ENCODE.needs(plan(ENCODE, tmp_path))] == [
        "ingest",
        "train",
    ]


def test_a_store_that_is_missing_or_holds_no_bytes_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="is missing"):
        TRAIN.inputs(plan(TRAIN, tmp_path, data=str(tmp_path / "absent.zarr")))
    write_images(tmp_path, side=4, dtype="float32")
    with pytest.raises(DataError, match="float32"):
        TRAIN.inputs(plan(TRAIN, tmp_path))


def test_the_source_of_the_user_s_model_is_part_of_the_inputs(tmp_path, monkeypatch):
    write_images(tmp_path, side=4)
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError", encoding="utf-8")
    source = package / "model.py"
    source.write_text("x = 1", encoding="utf-8")
    before = TRAIN.inputs(plan(TRAIN, tmp_path, model="mine.model:build"))
    source.write_text("x = 2", encoding="utf-8")
    after = TRAIN.inputs(plan(TRAIN, tmp_path, model="mine.model:build"))
    assert before["images"] == after["images"]
    assert before["model"] != after["model"]


@pytest.mark.parametrize(
    "reference", ["mine", "absent_module:build", ":build", "a.b:c"]
)
def test_a_model_that_cannot_be_found_is_wrong_usage(reference):
    with pytest.raises(OptionValueError, match="MODULE:FUNCTION"):
        find_source(reference)


def test_holding_out_everything_is_wrong_usage(tmp_path):
    with pytest.raises(OptionValueError, match="below 1"):
        TRAIN.check(plan(TRAIN, tmp_path, validation_split=1.0))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"kl_weight": 0.5},
            "--kl-weight is 0.5, expected none without --autoencoder vae",
        ),
        ({"kl_weight": 0.5, "autoencoder": "plain"}, "without --autoencoder vae"),
        (
            {"autoencoder": "vae", "model": "m:f"},
            "--autoencoder is 'vae', expected none beside",
        ),
    ],
)
def test_a_kind_or_weight_that_would_have_no_effect_is_wrong_usage(
    tmp_path, given, told
):
    with pytest.raises(OptionValueError, match=told):
        TRAIN.check(plan(TRAIN, tmp_path, **given))
    TRAIN.check(plan(TRAIN, tmp_path, autoencoder="vae", kl_weight=0.0))


def test_early_stopping_waits_for_its_patience_and_keeps_the_best():
    stopping = EarlyStopping(patience=2)
    over = []
    for epoch, loss in enumerate([3.0, 2.0, 2.0, 1.5, 1.6, 1.5], 1):
        stopping = stopping.next_after(epoch=epoch, loss=loss)
        over.append(stopping.is_over)
    assert over == [False, False, False, False, False, True]
    assert (stopping.best, stopping.best_epoch) == (1.5, 4)
    assert not EarlyStopping(patience=0, waited=10).is_over

"""Job `generate`: what it leaves, and that cuts, memory and order leave no trace."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image

from lowmem.base.errors import DataError
from lowmem.base.files import remove
from lowmem.base.workspace import Workspace
from lowmem.protocol.options import resolve_options
from lowmem.protocol.planning import PlanContext
from lowmem.stores.validation_split import split_rows
from lowmem_jobs.generate import real_images
from lowmem_jobs.generate.decoder import LatentDecoder
from lowmem_jobs.generate.job import JOB, OPTIONS
from lowmem_jobs.generate.option_values import OF_PRINCIPAL_AXES, STEP_ROWS
from lowmem_jobs.stats.methods import METHODS, along_axes
from tests.driver import Cutter, drive
from tests.generating import (
    N_IMAGES,
    SIZE,
    D,
    content,
    encoded,
    make_workspace,
    save_models,
    split_of,
)

pytestmark = [
    pytest.mark.keras,
]

# Two blocks of vectors, the second not whole, and several steps of real images.
COUNT = 300


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A workspace in which generate can start."""
    return make_workspace(tmp_path_factory.mktemp("made"))


@pytest.fixture
def space(made, tmp_path) -> Workspace:
    return Workspace.at(shutil.copytree(made, tmp_path / "work"))


@pytest.fixture(scope="module")
def uncut(made, tmp_path_factory) -> Path:
    """The same workspace after a run that nothing interrupted."""
    root = shutil.copytree(made, tmp_path_factory.mktemp("uncut") / "work")
    drive(JOB, root, {"count": COUNT}, cycle_steps=1000)
    return root


@pytest.mark.parametrize("method", ["ellipses", "path"])
def test_more_vectors_of_what_is_finished_are_the_bytes_of_one_run(
    space, tmp_path, monkeypatch, method
):
    more, once = space.root, shutil.copytree(space.root, tmp_path / "once")
    options = {"method": method}
    if method == "path":
        options |= {"from_index": 1, "to_index": 2}
    n_decoded = []
    decode = LatentDecoder.images

    def counted(self, z):
        n_decoded.append(len(z))
        return decode(self, z)

    monkeypatch.setattr(LatentDecoder, "images", counted)
    numbers = []
    for root, count in ((more, 100), (more, 200), (once, 200)):
        n_decoded.clear()
        given = options | {"count": count}
        if root == more and count > 100:
            # Cut once: what is taken over outlives the attempt that found it.
            drive(JOB, root, given, leave_after=1, recipe={"count": count})
        drive(JOB, root, given, recipe={"count": count})
        numbers.append(sum(n_decoded))
    assert content(more) == content(once)
    # One whole step was taken over; along a path all vectors are others.
    # An attempt more decodes one more, to know the shape of an image.
    n_taken = STEP_ROWS * (method != "path")
    assert numbers[1] == numbers[2] + 1 - n_taken


def test_everything_opens_with_the_standard_library_of_its_format(uncut):
    folder = uncut / "generated"
    z = np.load(folder / "z.npy")
    images = zarr.open_array(folder / "images.zarr" / "images", mode="r")
    assert z.shape == (COUNT, D)
    assert z.dtype == np.float32
    assert images.shape == (COUNT, SIZE, SIZE, 3)
    assert images.dtype == np.uint8
    with Image.open(folder / "grid.png") as grid:
        assert grid.size == (8 * (SIZE + 2) + 2, 8 * (SIZE + 2) + 2)
    found = json.loads((folder / "scores.json").read_text())
    assert found["method"] == "ellipses"
    assert found["violations"] == 0
    assert found["round_trip"]["generated"]["n"] == COUNT
    n_real = len(split_of(uncut).validation)
    assert found["real_images"] == {"n": n_real, "held_out": True, "why_not": None}
    assert found["frechet"]["n"] == n_real // 2
    assert found["frechet"]["generated"] > found["frechet"]["real"] > 0
    assert found["reconstruction"]["n"] == n_real
    assert 0 < found["reconstruction"]["ssim"] < 1
    for name in ("axes", "reconstructions", "nearest"):
        with Image.open(folder / f"{name}.png") as picture:
            assert picture.width > 3 * 64


def test_images_and_scores_are_those_of_keras_itself(uncut):
    import keras

    z = np.load(uncut / "generated" / "z.npy")
    decoder = keras.models.load_model(uncut / "model" / "decoder.keras")
    images = np.rint(255 * np.asarray(decoder(z))).astype(np.uint8)
    stored = zarr.open_array(uncut / "generated/images.zarr/images", mode="r")
    assert np.abs(images.astype(int) - stored[:].astype(int)).max() <= 1
    analysis = zarr.open_group(uncut / "analysis.zarr", mode="r")
    axes = analysis["components"][:] / np.sqrt(analysis["eigenvalues"][:])[:, None]
    moved = (encoded(Workspace.at(uncut), stored[:]) - z) @ axes.T
    found = json.loads((uncut / "generated" / "scores.json").read_text())
    expected = np.median(np.linalg.norm(moved, axis=1))
    assert found["round_trip"]["generated"]["median"] == pytest.approx(
        expected, rel=1e-4
    )


@pytest.mark.slow
def test_a_run_cut_at_every_commit_point_equals_the_run_never_cut(space, uncut):
    n_attempts = 1
    while drive(JOB, space.root, {"count": COUNT}, leave_after=1) is None:
        assert not space.generated.exists()
        n_attempts += 1
    assert n_attempts > 4
    assert content(space.root) == content(uncut)


def test_every_rung_of_the_ladder_gives_the_same_bytes(space, uncut):
    # A batch that divides neither the step nor the rung, and the uncut run's own.
    for batch in ({}, {"batch_size": 24}):
        options = {"count": COUNT, **batch}
        contents = []
        for settings in JOB.ladder(plan(space)):
            drive(JOB, space.root, options, settings=settings, cycle_steps=1000)
            contents.append(content(space.root))
            remove(space.job("generate"))
            remove(space.generated)
        assert len(contents) == 2
        assert contents[0] == contents[1]
        if not batch:
            assert contents[0] == content(uncut)


def test_a_commit_makes_durable_whatever_both_passes_wrote_before(space, monkeypatch):
    synced = set()
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.add(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    # The first commit comes after the first pass has ended.
    drive(JOB, space.root, {"count": COUNT}, cycle_steps=3, leave_after=1)
    staging = space.staging("generate")
    written = {staging, *staging.rglob("*")}
    assert len(written) > 10
    assert written - synced == set()


class CrashError(Exception):
    """Stands for a kill between two commits."""


class CrashingCutter(Cutter):
    """An overseer under which the job dies at one of its steps."""

    def __init__(self, at_step: int) -> None:
        super().__init__()
        self.steps_left = at_step

    def show_progress(self, done, total, note):
        super().show_progress(done, total, note)
        self.steps_left -= 1
        if not self.steps_left:
            raise CrashError


@pytest.mark.slow
def test_what_was_written_past_the_last_commit_is_done_again(space, uncut):
    options = {"count": COUNT}
    for at_step in (2, 3, 1):
        with pytest.raises(CrashError):
            drive(
                JOB,
                space.root,
                options,
                cycle_steps=1 if at_step == 2 else 2,
                overseer=CrashingCutter(at_step),
            )
    drive(JOB, space.root, options)
    assert content(space.root) == content(uncut)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_decoded_and_keeps_its_promise(space, method):
    options = {"count": 5, "method": method, "sigma": 1.5, "quantile": 0.5}
    drive(JOB, space.root, options, cycle_steps=1000)
    scores = json.loads((space.generated / "scores.json").read_text())
    promised = method not in ("mvn", "independent")
    assert scores["violations"] == (0 if promised else None)
    assert np.load(space.generated / "z.npy").shape == (5, D)


@pytest.mark.slow
def test_the_first_vectors_and_images_are_the_same_however_many_follow(space, uncut):
    drive(JOB, space.root, {"count": 5})
    few, many = (np.load(r / "generated/z.npy") for r in (space.root, uncut))
    assert np.array_equal(few, many[:5])
    few, many = (
        zarr.open_array(root / "generated/images.zarr/images", mode="r")[:5]
        for root in (space.root, uncut)
    )
    assert np.array_equal(few, many)


@pytest.mark.slow
def test_vectors_beyond_the_images_wanted_are_drawn_checked_and_stored(space, uncut):
    # Neither a whole step nor a whole block; cut before, at and behind the last image.
    options = {"count": 600, "images": 270}
    while drive(JOB, space.root, options, leave_after=1) is None:
        pass
    z = np.load(space.generated / "z.npy")
    assert z.shape == (600, D)
    assert np.array_equal(z[:COUNT], np.load(uncut / "generated" / "z.npy"))
    assert len(np.unique(z, axis=0)) == 600
    stored, others = (
        zarr.open_array(root / "generated/images.zarr/images", mode="r")
        for root in (space.root, uncut)
    )
    assert stored.shape[0] == 270
    assert np.array_equal(stored[:], others[:270])
    found = json.loads((space.generated / "scores.json").read_text())
    assert (found["count"], found["images"]) == (600, 270)
    assert found["round_trip"]["generated"]["n"] == 270
    assert found["violations"] == 0


class CountedModel:
    """Makes images whose level is the number of rows that it was given at once."""

    def predict_on_batch(self, x):
        return np.full((len(x), 2, 2, 1), len(x) / 255)


def test_every_batch_has_the_same_size_however_many_vectors_there_are():
    decoder = LatentDecoder(CountedModel(), batch_size=4)
    for n in (1, 4, 9):
        images = decoder.images(np.zeros((n, D), np.float32))
        assert images.shape == (n, 2, 2, 1)
        assert np.all(images == 4)


@pytest.mark.parametrize("level", [np.nan, np.inf])
def test_a_decoder_that_makes_no_finite_images_is_refused(level, monkeypatch):
    def broken(_self, x):
        return np.full((len(x), 2, 2, 1), level)

    monkeypatch.setattr(CountedModel, "predict_on_batch", broken)
    with pytest.raises(DataError, match="not finite"):
        LatentDecoder(CountedModel(), batch_size=4).images(np.zeros((1, D), np.float32))


def test_held_out_images_are_compared_first(space, monkeypatch):
    (space.model / "training.json").unlink()
    monkeypatch.setattr(real_images, "FEWEST_REAL_ROWS", 30)
    drive(JOB, space.root, {"count": 1}, leave_after=2)
    compared = np.load(space.staging("generate") / "scratch" / "real.npy")
    held_out = split_rows(space.images, n_rows=N_IMAGES, fraction=0.5).validation
    images = zarr.open_array(space.images / "images", mode="r")[:]
    assert 10 < len(compared) < 60
    vectors = encoded(space, images[held_out])
    distance = np.abs(compared[:, None] - vectors[None]).max(axis=2).min(axis=1)
    assert distance.max() < 1e-5


@pytest.mark.slow
def test_without_images_to_compare_with_the_baselines_are_null(space):
    shutil.rmtree(space.images)
    summary = drive(JOB, space.root, {"count": 1})
    found = json.loads((space.generated / "scores.json").read_text())
    assert found["round_trip"]["real"] is None
    assert found["reconstruction"] is None
    assert found["frechet"]["generated"] is None
    for name in ("frechet", "neighbours", "memorisation"):
        assert found[name]["generated"] is None
        assert "no images of shape (12, 12, 3)" in found[name]["why_null"]
    assert summary["frechet_of_real"] is None


@pytest.mark.slow
def test_a_model_of_another_size_and_a_damaged_model_are_named(space):
    shutil.rmtree(space.model)
    save_models(space.model, dimension=D + 1)
    with pytest.raises(
        DataError, match=r"decoder\.keras takes vectors of shape \(4,\)"
    ):
        drive(JOB, space.root)
    (space.model / "decoder.keras").write_bytes(b"not a model")
    with pytest.raises(DataError, match=r"decoder\.keras cannot be read"):
        drive(JOB, space.root)
    assert not space.generated.exists()


def test_an_analysis_that_cannot_be_used_is_named(space):
    zarr.open_group(space.analysis)["eigenvalues"] = np.array([np.nan, 1.0, 1.0])
    with pytest.raises(DataError, match="not finite"):
        drive(JOB, space.root)


def plan(space: Workspace, **options: object) -> PlanContext:
    return PlanContext(
        workspace=space,
        options=resolve_options("generate", OPTIONS, options),
        seed=1,
        device="cpu",
        ram_budget_bytes=2 * 10**9,
    )


def test_the_description_offers_every_method_and_predicts_more_for_more(space):
    methods = next(option.choices for option in OPTIONS if option.name == "method")
    assert methods == (*METHODS, "path", "all")
    assert along_axes() == OF_PRINCIPAL_AXES
    predicted = []
    for changed in ({"batch_size": 8}, {}, {"count": 4096}):
        settings, *_ = JOB.ladder(plan(space, **changed))
        predicted.append(JOB.predict(plan(space, **changed), settings).ram_bytes)
    assert predicted == sorted(set(predicted))


def test_it_needs_model_and_analysis_and_notices_other_inputs(space):
    needed = {need.path.name: need.job for need in JOB.needs(plan(space))}
    assert needed == {
        "decoder.keras": "train",
        "encoder.keras": "train",
        "analysis.zarr": "analyze",
    }
    before = JOB.inputs(plan(space))
    assert set(before) == {
        *("analysis", "decoder", "encoder", "images", "latents", "training")
    }
    (space.model / "decoder.keras").write_bytes(b"another")
    after = JOB.inputs(plan(space))
    assert {name for name in before if before[name] != after[name]} == {"decoder"}
    vectors = space.root / "z.npy"
    asked = plan(space, near=0, vectors=str(vectors))
    found = []
    for data in (b"one", b"two"):
        vectors.write_bytes(data)
        found.append(JOB.inputs(asked)["vectors"])
    assert found[0] != found[1]

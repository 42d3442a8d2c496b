"""Job `generate`: all methods side by side, paths, and one image's surroundings."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image

from lowmem.base.errors import DataError, OptionValueError
from lowmem.base.workspace import Workspace
from lowmem_jobs.generate.fitted_distribution import read_frame
from lowmem_jobs.generate.job import JOB
from lowmem_jobs.generate.option_values import METHODS
from tests.driver import drive
from tests.generating import (
    SIZE,
    D,
    content,
    encoded,
    make_workspace,
    split_of,
)

pytestmark = [pytest.mark.keras, pytest.mark.slow]

COUNT = 24
# pixels: of an image on a sheet with words, and of the gap between two.
SHOWN, GAP = 64 // SIZE * SIZE, 2


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A workspace in which generate can start."""
    return make_workspace(tmp_path_factory.mktemp("made"))


@pytest.fixture
def space(made, tmp_path) -> Workspace:
    return Workspace.at(shutil.copytree(made, tmp_path / "work"))


@pytest.fixture(scope="module")
def compared(made, tmp_path_factory) -> Path:
    """The same workspace after all methods were compared without interruption."""
    root = shutil.copytree(made, tmp_path_factory.mktemp("compared") / "work")
    drive(JOB, root, {"method": "all", "count": COUNT}, cycle_steps=1000)
    return root


def scores_of(root: Path) -> dict:
    return json.loads((root / "generated" / "scores.json").read_text())


def images_of(root: Path) -> np.ndarray:
    return zarr.open_array(root / "images.zarr" / "images", mode="r")[:]


def latents_of(root: Path) -> np.ndarray:
    return zarr.open_array(root / "latents.zarr" / "z", mode="r")[:]


def white(root: Path, z: np.ndarray) -> np.ndarray:
    frame = read_frame(root / "analysis.zarr")
    along = (z.astype(float) - frame.mean) @ frame.components.T
    return along / np.sqrt(frame.eigenvalues)


# --- all methods ------------------------------------------------------------------


@pytest.mark.parametrize("method", ["ellipses", "uniform"])
def test_what_is_told_of_a_method_among_all_is_what_it_tells_alone(
    method, space, compared
):
    drive(JOB, space.root, {"method": method, "count": COUNT}, cycle_steps=1000)
    alone, among = scores_of(space.root), scores_of(compared)
    of_it = among["methods"][method]
    for name in ("round_trip", "frechet", "neighbours"):
        assert of_it[name] == alone[name]["generated"]
        assert among[name]["real"] == alone[name]["real"]
    assert of_it["nearest"]["generated"] == alone["memorisation"]["generated"]
    folder = Path("" if method == "ellipses" else f"methods/{method}")
    for name in ("z.npy", "images.zarr/images/c.0.0.0.0"):
        place = str(folder / name)
        assert content(compared)[place] == content(space.root)[name]


def test_the_table_has_real_images_and_every_method_with_the_scores_of_each(compared):
    with (compared / "generated" / "methods.csv").open(newline="") as stream:
        table = {row["method"]: row for row in csv.DictReader(stream)}
    assert tuple(table) == ("real", "real decoded", *METHODS)
    told = scores_of(compared)
    assert tuple(told["methods"]) == METHODS
    assert float(table["real"]["frechet"]) == told["frechet"]["real"]
    for name in METHODS:
        of_it = told["methods"][name]
        assert float(table[name]["frechet"]) == of_it["frechet"]
        assert float(table[name]["coverage"]) == of_it["neighbours"]["coverage"]
        trip = of_it["round_trip"]["median"]
        assert float(table[name]["round_trip_median"]) == trip
    with Image.open(compared / "generated" / "methods.png") as picture:
        assert picture.height == (len(METHODS) + 2) * (SHOWN + GAP) + GAP


def test_a_comparison_cut_at_any_stage_equals_the_one_never_cut(space, compared):
    options = {"method": "all", "count": COUNT}
    n_attempts = 1
    while drive(JOB, space.root, options, leave_after=4) is None:
        assert not space.generated.exists()
        n_attempts += 1
    assert n_attempts > 3
    assert content(space.root) == content(compared)


def test_the_nearest_training_images_are_those_of_an_exhaustive_search(compared):
    training = split_of(compared).training
    z = np.load(compared / "generated" / "z.npy")
    known = white(compared, latents_of(compared)[training])
    apart = np.linalg.norm(white(compared, z)[:, None] - known[None], axis=2)
    told = scores_of(compared)["memorisation"]
    assert told["generated"]["median"] == pytest.approx(np.median(apart.min(axis=1)))
    held_out = white(compared, latents_of(compared)[split_of(compared).validation])
    from_them = np.linalg.norm(held_out[:, None] - known[None], axis=2).min(axis=1)
    assert told["held_out"]["median"] == pytest.approx(np.median(from_them), rel=1e-5)
    with Image.open(compared / "generated" / "nearest.png") as picture:
        shown = np.asarray(picture)
    images = images_of(compared)
    for place in range(3):
        row = training[np.argsort(apart[0])[place]]
        top = GAP + (1 + place) * (SHOWN + GAP)
        left = shown.shape[1] - 10 * (SHOWN + GAP)
        found = shown[top : top + SHOWN : 5, left : left + SHOWN : 5]
        assert np.array_equal(found, images[row])


# --- beside single images ---------------------------------------------------------


def test_a_path_runs_from_one_image_to_the_other_and_its_strip_begins_and_ends_there(
    space,
):
    for kind in ("straight", "radius"):
        options = {"method": "path", "from_index": 3, "to_index": 71, "count": 11}
        # Straight is what a path is unless something else is asked for.
        asked = {} if kind == "straight" else {"path_kind": kind}
        drive(JOB, space.root, {**options, **asked}, cycle_steps=1000)
        z = np.load(space.generated / "z.npy")
        ends = encoded(space, images_of(space.root)[[3, 71]])
        np.testing.assert_allclose(z[[0, -1]], ends, atol=1e-5)
        if kind == "straight":
            np.testing.assert_allclose(z, np.linspace(z[0], z[-1], 11), atol=1e-5)
        else:
            radius = np.linalg.norm(white(space.root, z), axis=1)
            np.testing.assert_allclose(
                radius, np.linspace(radius[0], radius[-1], 11), rtol=1e-4
            )
        told = scores_of(space.root)
        assert told["path"] == {"from_index": 3, "to_index": 71, "path_kind": kind}
        assert told["frechet"]["generated"] is told["neighbours"]["generated"] is None
        assert told["frechet"]["why_null"] == "a path is no sample of a distribution"
        with Image.open(space.generated / "grid.png") as picture:
            strips = np.asarray(picture)
        last = strips[-GAP - SHOWN : -GAP : 5, -GAP - SHOWN : -GAP : 5]
        assert np.array_equal(last, images_of(space.root)[71])
        shutil.rmtree(space.generated)
        shutil.rmtree(space.job("generate"))


def test_a_path_may_lead_between_any_two_vectors_of_a_file(space):
    vectors = space.root / "some.npy"
    some = np.random.default_rng(3).standard_normal((4, D))
    options = {"method": "path", "vectors": str(vectors), "from_index": 1}
    options |= {"to_index": 3, "count": 5}
    for data, told in (
        (some[:, 1:], r"holds shape \(4, 2\)"),
        (some * np.nan, "not finite"),
        (np.array([{}, {}]), "cannot be read"),
        (some[:3], r"is 3, expected one of some\.npy, 0 to 2"),
    ):
        np.save(vectors, data)
        with pytest.raises((DataError, OptionValueError), match=told):
            drive(JOB, space.root, options)
    np.save(vectors, some)
    drive(JOB, space.root, options, cycle_steps=1000)
    z = np.load(space.generated / "z.npy")
    np.testing.assert_allclose(z, np.linspace(some[1], some[3], 5), atol=1e-6)
    with Image.open(space.generated / "grid.png") as strips:
        assert 10 * (SHOWN + GAP) < strips.width < 12 * (SHOWN + GAP)


def test_vectors_near_a_training_image_spread_as_asked_and_are_told_as_copies(space):
    row = int(split_of(space.root).training[5])
    drive(JOB, space.root, {"near": row, "sigma": 0.01, "count": 400}, cycle_steps=1000)
    z = np.load(space.generated / "z.npy")
    centre = encoded(space, images_of(space.root)[[row]])
    moved = white(space.root, z) - white(space.root, centre)
    assert np.abs(moved.mean(axis=0)).max() < 4 * 0.01 / 20
    assert moved.std(axis=0) == pytest.approx(np.full(D, 0.01), rel=0.15)
    told = scores_of(space.root)
    assert told["method"] == "near"
    assert told["memorisation"]["copies"]["share_nearer"] == 1.0


def test_no_principal_component_is_left_behind_the_first_so_many(space):
    drive(JOB, space.root, {"components": 2, "count": 50}, cycle_steps=1000)
    found = white(space.root, np.load(space.generated / "z.npy"))
    assert np.abs(found[:, 2:]).max() < 1e-5
    assert found[:, :2].std(axis=0).min() > 0.5
    assert scores_of(space.root)["components"] == 2

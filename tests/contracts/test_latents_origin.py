"""Latents say what they were made of and by what; other jobs do not take them for others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lowmem.base.errors import DataError
from lowmem.base.workspace import Workspace
from lowmem.stores.row_writer import RowWriter
from lowmem_jobs.analyze.job import JOB as ANALYZE
from lowmem_jobs.encode.job import JOB as ENCODE
from lowmem_jobs.generate.job import JOB as GENERATE
from lowmem_jobs.model.latents_origin import LatentsOrigin, origin_of
from tests.analyzing import SETTINGS
from tests.driver import Cutter, drive
from tests.generating import N_IMAGES, make_workspace

CODE = """
def corner(rows):
    return rows.reshape(len(rows), -1)[:, :3].astype("f4") * 2
"""
FEW = {"count": 4, "method": "mvn"}
pytestmark = [pytest.mark.keras]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A workspace with a model, and images of which the features are known."""
    root = make_workspace(tmp_path_factory.mktemp("made") / "work")
    writer = RowWriter.open(
        root / "images.zarr", "features", row_shape=(2,), dtype="f4", chunk_rows=50
    )
    rng = np.random.default_rng(4)
    for _ in range(2):
        writer.append(rng.standard_normal((50, 2)).astype(np.float32))
    writer.flush()
    return root


@pytest.fixture
def space(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(CODE)
    shutil.copytree(made, tmp_path / "work")
    shutil.rmtree(tmp_path / "work" / "analysis.zarr")
    return Workspace.at(tmp_path / "work")


def encoded_and_analyzed(space, given):
    """Return whether features were compared with, and the notes."""
    overseer = Cutter()
    assert drive(ENCODE, space.root, given)
    given = {"figures": False}
    assert drive(ANALYZE, space.root, given, settings=SETTINGS, overseer=overseer)
    document = json.loads((space.root / "analysis" / "summary.json").read_bytes())
    return document["features"] is not None, overseer.notes


def test_latents_of_other_rows_or_another_encoder_are_not_taken_for_the_images_own(
    space,
):
    np.save("rows.npy", np.random.default_rng(7).standard_normal((N_IMAGES, 5)))
    given = {"encoder": "own.py:corner", "source": "rows.npy"}
    is_compared, notes = encoded_and_analyzed(space, given)
    assert not is_compared
    (note,) = notes
    assert "latents.zarr is of rows.npy, not of the workspace's images" in note
    told = r"analysis\.zarr is of latents that another encoder made \(own\.py\)"
    with pytest.raises(DataError, match=told):
        drive(GENERATE, space.root, FEW)
    assert not space.generated.exists()


def test_the_images_own_are_compared_and_decoded_whatever_the_encoders_file_is_called(
    space,
):
    copy = shutil.copy(space.model / "encoder.keras", space.root.parent / "same.keras")
    assert encoded_and_analyzed(space, {"encoder": copy}) == (True, [])
    assert origin_of(space.analysis) == origin_of(space.latents) is not None
    assert drive(GENERATE, space.root, FEW)
    found = json.loads((space.generated / "scores.json").read_bytes())
    assert "latents.zarr" not in str(found["memorisation"]["why_null"])


def test_an_array_within_the_store_of_images_and_a_copy_are_the_same_rows(space):
    encoder = space.model / "encoder.keras"
    copy = shutil.copytree(space.images, space.root / "copy.zarr")
    for rows in (space.images, space.images / "images", copy):
        assert LatentsOrigin.of(rows=rows, encoder=encoder).is_of(space.images)
    features = LatentsOrigin.of(rows=space.images / "features", encoder=encoder)
    assert not features.is_of(space.images)

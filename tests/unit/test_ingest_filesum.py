"""A store says the SHA-256 of the file that it was made of, however it was made."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image

from lowmem.base.errors import DataError
from lowmem_jobs.ingest import file_checksum
from lowmem_jobs.ingest.job import JOB
from tests.driver import drive

SIZE = 8


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Let a chunk hold few images, a piece be less than a file, and a large file small."""
    monkeypatch.setattr("lowmem_jobs.ingest.ingest_recipe._CHUNK_ROWS", 4)
    monkeypatch.setattr(file_checksum, "_BLOCK_BYTES", 300)
    monkeypatch.setattr(file_checksum, "_PIECE_BYTES", 3000)


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(22):
        pixels = random.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture
def archive(folder) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder))


def said(workspace: Path, source: Path, **options) -> str | None:
    given = {"source": str(source), "size": SIZE, **options}
    drive(JOB, workspace, given)
    store = zarr.open_group(workspace / "images.zarr", mode="r")
    return store.attrs["source_sha256"]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar", "npy", "npz"])
def test_of_every_kind_of_file_the_store_says_the_sha256(folder, tmp_path, kind):
    if kind in {"npy", "npz"}:
        rows = np.random.default_rng(1).integers(0, 256, (9, 9, 9, 3), dtype=np.uint8)
        source = tmp_path / f"rows.{kind}"
        np.save(source, rows) if kind == "npy" else np.savez(source, rows)
    else:
        source = Path(shutil.make_archive(str(folder), kind, folder))
    assert said(tmp_path / "w", source) == sha256(source)


def lives(workspace: Path, source: Path, limit: int | None) -> int:
    """Cut an ingest after every commit; return how many lives it took."""
    given = {"source": str(source), "size": SIZE, "limit": limit}
    n_lives = 1
    while drive(JOB, workspace, given, leave_after=1) is None:
        n_lives += 1
    return n_lives


@pytest.mark.slow
@pytest.mark.parametrize("limit", [None, 3])
def test_an_ingest_cut_after_every_commit_says_the_same_and_lives_no_more_often(
    folder, archive, tmp_path, limit
):
    # A folder has no sum: what is left of one at the end is no reason for another life.
    without = lives(tmp_path / "f", folder, limit)
    assert lives(tmp_path / "w", archive, limit) == without
    store = zarr.open_group(tmp_path / "w" / "images.zarr", mode="r")
    assert store.attrs["source_sha256"] == sha256(archive)


def test_bytes_that_are_no_image_count_too(archive, tmp_path):
    with archive.open("ab") as stream:
        # The comment of a zip archive may be of any bytes: its length is the last word.
        stream.seek(-2, 2)
        stream.truncate()
        stream.write((999).to_bytes(2, "little") + bytes(999))
    assert said(tmp_path / "w", archive) == sha256(archive)


def test_a_folder_and_what_is_drawn_have_no_sha256(folder, tmp_path):
    assert said(tmp_path / "f", folder) is None
    drive(JOB, tmp_path / "d", {"source": "faces:3", "size": SIZE})
    store = zarr.open_group(tmp_path / "d" / "images.zarr", mode="r")
    assert store.attrs["source_sha256"] is None


def test_of_a_large_file_whose_rest_nobody_wants_the_rest_is_not_read(
    archive, tmp_path, monkeypatch
):
    monkeypatch.setattr(file_checksum, "HASHED_BYTES", 100)
    assert said(tmp_path / "a", archive, limit=3) is None
    assert said(tmp_path / "b", archive) == sha256(archive)


def test_where_nothing_can_be_stored_no_sum_is_taken(tmp_path, monkeypatch):
    source = tmp_path / "texts.tar"
    (tmp_path / "text.txt").write_text("no image" * 500)
    with tarfile.open(source, "w") as tar:
        tar.add(tmp_path / "text.txt", "text.txt")
    taken = []
    monkeypatch.setattr(
        file_checksum.FileSum, "advance", lambda _, share: taken.append(share)
    )
    with pytest.raises(DataError, match="none could be stored"):
        drive(JOB, tmp_path / "w", {"source": str(source), "size": SIZE})
    assert not taken

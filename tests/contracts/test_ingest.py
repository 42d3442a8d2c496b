from __future__ import annotations

import csv
import gzip
import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image

from lowmem.base.errors import DataError
from lowmem.protocol.options import resolve_options
from lowmem_jobs.ingest.ingest_recipe import recipe_from_options, source_identity
from lowmem_jobs.ingest.job import JOB
from tests.driver import drive

EMOJI = Path(__file__).parents[2].parent / "shared" / "data" / "noto-emoji-64.zip"
SIZE = 8
RUNGS = [
    {"decode_ahead": 32},
    {"decode_ahead": 8, "decode_processes": 3},
    {"decode_ahead": 1},
]


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of seven images, so that few images make many places to cut."""
    monkeypatch.setattr("lowmem_jobs.ingest.ingest_recipe._CHUNK_ROWS", 7)


def encoded_images(n_files):
    """Return files of which some are unreadable, alone and in a row, first and last."""
    random = np.random.default_rng(1)
    files = {}
    for index in range(n_files):
        stream = io.BytesIO()
        pixels = random.integers(0, 256, (9, 12, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(stream, "PNG")
        files[f"{index:03}.png"] = stream.getvalue()
    for index in (0, 5, 14, 15, 16, n_files - 1):
        files[f"{index:03}.png"] = b"no image"
    return files


def make_sources(folder):
    files = encoded_images(40)
    (folder / "files").mkdir(parents=True)
    with (
        zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        tarfile.open(folder / "a.tar.gz", "w:gz") as tar,
    ):
        for name, data in sorted(files.items(), reverse=True):
            (folder / "files" / name).write_bytes(data)
            archive.writestr(name, data)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    rows = np.random.default_rng(2).integers(0, 256, (33, 9, 12, 3)).astype(np.uint8)
    np.savez_compressed(folder / "a.npz", images=rows)
    zarr.create_array(folder / "a.zarr", data=rows, chunks=(5, 9, 12, 3))


def published(workspace):
    """Return every byte that was published; names of files within."""
    return {
        str(path.relative_to(workspace)): path.read_bytes()
        for path in sorted(workspace.rglob("*"))
        if path.is_file() and ".lowmem" not in path.parts
    }


SOURCES = ["files", "a.zip", "a.tar.gz", "a.npz", "a.zarr", "faces:33"]


@pytest.mark.slow
@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("source", SOURCES)
def test_ingest_cut_at_every_chunk_equals_ingest_never_cut(tmp_path, source):
    make_sources(tmp_path / "in")
    given = source if ":" in source else str(tmp_path / "in" / source)
    options = {"source": given, "size": SIZE, "crop": "center"}
    whole = drive(JOB, tmp_path / "whole", options, settings=RUNGS[0])
    summary, attempt = None, 0
    while summary is None:
        # Whatever was decoded ahead of the cut has to be decoded again.
        rung = RUNGS[attempt % 3]
        summary = drive(JOB, tmp_path / "cut", options, settings=rung, leave_after=1)
        attempt += 1
    assert attempt > 3
    assert summary == whole
    assert published(tmp_path / "cut") == published(tmp_path / "whole")


def write_files(folder, files):
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.usefixtures("small_chunks")
def test_many_unreadable_entries_are_steps_of_their_own_and_images_wait(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("lowmem_jobs.ingest.work._STEP_ENTRIES", 5)
    files = dict(list(encoded_images(12).items())[1:5])
    texts = {f"text {index:02}": b"no image" for index in range(41)}
    source = write_files(tmp_path / "in", {**files, **texts, "z.png": files["001.png"]})
    options = {"source": str(source), "size": SIZE}
    drive(JOB, tmp_path / "whole", options, cycle_steps=1000)
    n_attempts = 1
    while drive(JOB, tmp_path / "cut", options, leave_after=1) is None:
        n_attempts += 1
    assert n_attempts > 9
    assert published(tmp_path / "cut") == published(tmp_path / "whole")
    images = zarr.open_group(tmp_path / "cut/images.zarr", mode="r")["images"]
    assert images.shape[0] == 5
    rows = csv.reader((tmp_path / "cut/ingest-report.csv").read_text().splitlines())
    assert [row[3] for row in rows if row[1] == "stored"] == ["0", "1", "2", "3", "4"]


def test_an_archive_is_unpacked_between_commits_and_stays_unpacked(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("lowmem_jobs.ingest.tars._BLOCK", 4096)
    make_sources(tmp_path / "in")
    options = {"source": str(tmp_path / "in/a.tar.gz"), "size": SIZE}
    staging = tmp_path / "w/.lowmem/jobs/ingest/staging"
    assert drive(JOB, tmp_path / "w", options, leave_after=1) is None
    (staging / "source.tar.part").unlink()
    while not (staging / "source.tar").exists():
        assert drive(JOB, tmp_path / "w", options, leave_after=1) is None
    monkeypatch.setattr("lowmem_jobs.ingest.tars._unpack", None)
    assert drive(JOB, tmp_path / "w", options)["images"] == 34


def test_a_damaged_archive_leaves_nothing_unpacked(tmp_path):
    make_sources(tmp_path / "in")
    whole = gzip.decompress((tmp_path / "in/a.tar.gz").read_bytes())
    (tmp_path / "torn.tar.gz").write_bytes(gzip.compress(whole[:2000]))
    (tmp_path / "torn.tgz").write_bytes((tmp_path / "in/a.tar.gz").read_bytes()[:2000])
    for name in ("torn.tar.gz", "torn.tgz"):
        with pytest.raises(DataError, match="copy it again"):
            drive(JOB, tmp_path / "w", {"source": str(tmp_path / name)})
        left = (tmp_path / "w/.lowmem/jobs/ingest/staging").iterdir()
        assert not [path for path in left if path.name.startswith("source.tar")]


@pytest.mark.slow
@pytest.mark.usefixtures("small_chunks")
def test_nothing_written_past_the_last_commit_survives(tmp_path):
    make_sources(tmp_path / "in")
    options = {"source": str(tmp_path / "in/a.zip"), "size": SIZE}
    drive(JOB, tmp_path / "whole", options)
    drive(JOB, tmp_path / "cut", options, leave_after=2)
    staging = tmp_path / "cut/.lowmem/jobs/ingest/staging"
    images = staging / "images.zarr/images"
    (images / "c.2.0.0.0").write_bytes((images / "c.1.0.0.0").read_bytes())
    (images / "c.9.0.0.0").write_bytes(b"torn")
    (images / "c.3.0.0.0.x.partial").write_bytes(b"torn")
    (images / "zarr.json").write_text("{")
    with (staging / "ingest-report.csv").open("ab") as stream:
        stream.write(b"012.png,stor")
    drive(JOB, tmp_path / "cut", options)
    assert published(tmp_path / "cut") == published(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.usefixtures("small_chunks")
def test_the_result_does_not_depend_on_memory_settings(tmp_path):
    make_sources(tmp_path / "in")
    options = {"source": str(tmp_path / "in/files"), "size": SIZE, "limit": 20}
    for number, rung in enumerate(RUNGS):
        drive(JOB, tmp_path / str(number), options, settings=rung, cycle_steps=3)
    assert published(tmp_path / "0") == published(tmp_path / "1")
    assert published(tmp_path / "0") == published(tmp_path / "2")


@pytest.mark.slow
@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("limit", [1, 7, 13, 14, 34, 100])
def test_a_limit_is_exact_wherever_it_falls_and_resumes(tmp_path, limit):
    make_sources(tmp_path / "in")
    options = {"source": str(tmp_path / "in/a.zip"), "size": SIZE, "limit": limit}
    summary = None
    while summary is None:
        summary = drive(JOB, tmp_path / "w", options, leave_after=1)
    images = zarr.open_group(tmp_path / "w/images.zarr", mode="r")["images"]
    assert summary["images"] == images.shape[0] == min(limit, 34)


def test_faces_store_their_features_names_mean_and_covariance(tmp_path):
    from lowmem_jobs.ingest.faces import FEATURES, face_features, true_covariance

    drive(JOB, tmp_path, {"source": "faces:5", "size": SIZE}, seed=3)
    features = zarr.open_group(tmp_path / "images.zarr", mode="r")["features"]
    assert features.dtype == np.float64
    np.testing.assert_array_equal(features[:], [face_features(3, i) for i in range(5)])
    assert features.attrs["names"] == [feature.name for feature in FEATURES]
    assert features.attrs["mean"] == [feature.mean for feature in FEATURES]
    np.testing.assert_array_equal(features.attrs["covariance"], true_covariance())


def test_the_store_says_where_it_came_from(tmp_path):
    drive(JOB, tmp_path, {"source": "faces:5", "size": SIZE, "codec": "zstd"})
    attributes = zarr.open_group(tmp_path / "images.zarr", mode="r").attrs.asdict()
    digest = attributes.pop("content_sha256")
    assert len(digest) == 64
    assert attributes == {
        "format": "lowmem-images",
        "format_version": 1,
        "images": 5,
        "skipped": 0,
        "size": SIZE,
        "source": "faces:5",
        "codec": "zstd",
        "limit": None,
        "identity": "faces:5",
        "source_bytes": None,
        "source_sha256": None,
        "seed": 1,
    }


def test_of_a_file_and_a_folder_the_store_says_size_and_fingerprint(tmp_path):
    folder = tmp_path / "faces"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (9 + number, 9)).save(folder / f"{number}.png")
    archive = Path(shutil.make_archive(str(tmp_path / "faces"), "zip", folder))
    sizes = {
        folder: sum(path.stat().st_size for path in folder.iterdir()),
        archive: archive.stat().st_size,
    }
    identities = set()
    for number, (source, n_bytes) in enumerate(sizes.items()):
        options = {"source": str(source), "size": SIZE, "limit": 2}
        drive(JOB, tmp_path / str(number), options)
        store = zarr.open_group(tmp_path / str(number) / "images.zarr", mode="r")
        assert store.attrs["source_bytes"] == n_bytes
        assert store.attrs["limit"] == 2
        recipe = recipe_from_options(resolve_options("ingest", JOB.options, options))
        assert store.attrs["identity"] == source_identity(recipe, tmp_path / "w")
        identities.add(store.attrs["identity"])
    assert len(identities) == 2


@pytest.mark.slow
@pytest.mark.skipif(not EMOJI.exists(), reason="the emoji archive is not here")
def test_real_images_are_all_taken_and_look_as_pillow_shows_them(tmp_path):
    with zipfile.ZipFile(EMOJI) as archive:
        names = sorted(archive.namelist(), key=str.encode)
        names = [name for name in names if name.endswith(".png")]
    summary = drive(JOB, tmp_path, {"source": str(EMOJI), "size": 64, "limit": 500})
    assert (summary["images"], summary["skipped"]) == (500, 0)
    group = zarr.open_group(tmp_path / "images.zarr", mode="r")
    assert list(group["names"][:]) == names[:500]
    with (tmp_path / "ingest-report.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 500
    with zipfile.ZipFile(EMOJI) as archive:
        for row in (0, 123, 499):
            rgba = Image.open(archive.open(names[row])).convert("RGBA")
            white = Image.new("RGBA", rgba.size, "white")
            seen = Image.alpha_composite(white, rgba).convert("RGB")
            difference = np.asarray(seen).astype(int) - group["images"][row]
            assert np.abs(difference).max() <= 1

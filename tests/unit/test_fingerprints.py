"""Data that changed are told from what they were, also where size and time are the same."""

from __future__ import annotations

import hashlib
import os
import zipfile

import numpy as np
import pytest
import zarr
from zarr.codecs import Crc32cCodec

from lowmem.protocol.recipe import is_same_data, recipe_changes
from lowmem.stores.metadata import fingerprint
from lowmem.stores.row_writer import RowWriter
from lowmem_jobs.ingest import fingerprints
from lowmem_jobs.ingest.framing import Framing
from lowmem_jobs.ingest.ingest_recipe import Recipe, source_identity

ROWS = np.random.default_rng(0).integers(0, 256, (64, 16), dtype=np.uint8)


def source(path, kind):
    return Recipe(
        kind=kind,
        path=path,
        n_faces=0,
        frame=Framing(size=8, crop="none"),
        limit=None,
        codec="none",
        wanted_rows=None,
    )


def overwrite(path, place, data):
    """Change bytes of a file in place, and set its times back."""
    before = path.stat()
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


@pytest.fixture
def large(monkeypatch):
    """Let every file count as a large one, of which four samples of 64 bytes are read."""
    monkeypatch.setattr(fingerprints, "HASHED_BYTES", 100)
    monkeypatch.setattr(fingerprints, "_FORMERLY_WHOLE_BYTES", 100)
    monkeypatch.setattr(fingerprints, "_FORMER_SAMPLE_BYTES", 16)
    monkeypatch.setattr(fingerprints, "_N_SAMPLES", 4)
    monkeypatch.setattr(fingerprints, "_SAMPLE_BYTES", 64)


def test_one_row_of_a_store_that_was_written_again_changes_its_fingerprint(tmp_path):
    """A whole write, with its checksum: every size stays what it was."""
    writer = RowWriter.open(
        tmp_path / "s.zarr", "images", row_shape=(16,), dtype="uint8", chunk_rows=8
    )
    writer.append(ROWS[:8])
    writer.append(ROWS[8:16])
    writer.flush()
    before = fingerprint(tmp_path / "s.zarr")
    assert fingerprint(tmp_path / "s.zarr") == before
    array = zarr.open_group(tmp_path / "s.zarr", mode="r+")["images"]
    array[3] = 255 - array[3]
    assert fingerprint(tmp_path / "s.zarr") != before


def test_a_job_that_an_older_lowmem_began_goes_on(tmp_path):
    """It recorded metadata, names and sizes alone; of a small file, what is now."""
    writer = RowWriter.open(
        tmp_path / "s.zarr", "images", row_shape=(16,), dtype="uint8", chunk_rows=8
    )
    writer.append(ROWS[:8])
    writer.flush()
    told, store = hashlib.sha256(), tmp_path / "s.zarr"
    for folder in (store, store / "images"):
        for file in sorted(path for path in folder.iterdir() if path.is_file()):
            told.update(str(file.relative_to(store)).encode())
            is_text = file.name == "zarr.json"
            size = b"%d" % file.stat().st_size
            told.update(file.read_bytes() if is_text else size)
    recorded = told.hexdigest()[:16]
    now = fingerprint(tmp_path / "s.zarr")
    assert recorded != now
    was = {"images (data)": recorded, "seed": 1}
    assert recipe_changes(was, {"images (data)": now, "seed": 1}) == {}
    assert recipe_changes(was, {"images (data)": f"{now}0", "seed": 1}) != {}
    small = tmp_path / "z.npy"
    small.write_bytes(b"rows")
    assert fingerprint(small) == hashlib.sha256(b"rows").hexdigest()[:16]


def test_chunks_in_folders_below_their_array_count_too(tmp_path):
    array = zarr.create_array(
        tmp_path / "s.zarr",
        shape=ROWS.shape,
        chunks=(8, 16),
        dtype="uint8",
        compressors=[Crc32cCodec()],
        chunk_key_encoding={"name": "default", "separator": "/"},
    )
    array[:] = ROWS
    before = fingerprint(tmp_path / "s.zarr")
    array[9] = 255 - ROWS[9]
    assert fingerprint(tmp_path / "s.zarr") != before


@pytest.mark.slow
def test_one_byte_of_a_large_file_changes_its_fingerprint_and_its_time_does_not(
    tmp_path,
):
    path = tmp_path / "z.npy"
    with path.open("wb") as stream:
        stream.truncate(2**26 + 2**20)
    before = fingerprint(path)
    os.utime(path, (1, 1))
    assert is_same_data(before, fingerprint(path))
    overwrite(path, 2**26 + 17, b"x")
    assert not is_same_data(before, fingerprint(path))


@pytest.mark.usefixtures("large")
def test_any_member_of_a_large_zip_changes_its_identity(tmp_path):
    path = tmp_path / "a.zip"

    def write(odd=None):
        with zipfile.ZipFile(path, "w") as archive:
            for row, data in enumerate(ROWS):
                shown = data[::-1] if row == odd else data
                archive.writestr(zipfile.ZipInfo(f"{row:03}.png"), shown.tobytes())
        return path.stat().st_size, source_identity(source(path, "zip"), tmp_path)

    size, before = write()
    assert write() == (size, before)
    found = [write(odd=row) for row in range(0, len(ROWS), 7)]
    assert {n for n, _ in found} == {size}
    assert len({before, *(one for _, one in found)}) == len(found) + 1


@pytest.mark.slow
def test_any_byte_of_an_array_up_to_a_gibibyte_changes_its_identity(tmp_path):
    path = tmp_path / "a.npy"
    with path.open("wb") as stream:
        stream.truncate(2**26 + 2**22)
    before = source_identity(source(path, "npy"), tmp_path)
    overwrite(path, 2**25 + 112345, b"x")
    assert source_identity(source(path, "npy"), tmp_path) != before


@pytest.mark.usefixtures("large")
def test_of_a_larger_array_the_size_and_spread_samples_count(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, ROWS)
    before = source_identity(source(path, "npy"), tmp_path)
    overwrite(path, path.stat().st_size - 3, b"x")
    changed = source_identity(source(path, "npy"), tmp_path)
    assert changed != before
    with path.open("ab") as stream:
        stream.write(b"x")
    assert source_identity(source(path, "npy"), tmp_path) not in {before, changed}

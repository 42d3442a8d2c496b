from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import zarr
from PIL import Image

from lowmem.base.errors import DataError
from lowmem.cli.data import text_from_check
from lowmem.integrity.stores import check_store, summary_of
from lowmem.stores.contact_sheet import write_sheet
from lowmem_jobs.ingest.ingest_recipe import recipe_from_options
from lowmem_jobs.ingest.job import JOB
from tests.driver import drive

SIZE = 8


def lowmem(*words: object):
    return subprocess.run(
        [sys.executable, "-m", "lowmem", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A workspace with 200 drawn faces: two chunks of each array."""
    folder = tmp_path_factory.mktemp("data")
    drive(JOB, folder, {"source": "faces:200", "size": SIZE, "codec": "lz4"})
    return folder


@pytest.fixture
def store(made, tmp_path):
    """A copy of the store, to be damaged."""
    source, copy = made / "images.zarr", tmp_path / "images.zarr"
    for path in source.rglob("*"):
        if path.is_file():
            target = copy / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return copy


@pytest.mark.slow
@pytest.mark.process
def test_data_info_tells_shape_codec_size_checksums_and_source(store, tmp_path):
    sheet = tmp_path / "sheet.png"
    done = lowmem("data", "info", store, "--json", "--sheet", sheet)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    images = {array["name"]: array for array in found["arrays"]}["images"]
    assert (images["shape"], images["dtype"]) == ([200, SIZE, SIZE, 3], "uint8")
    assert images["chunk_shape"] == [128, SIZE, SIZE, 3]
    assert images["codec"] == "blosc-lz4"
    assert images["has_checksums"] is True
    sizes = [path.stat().st_size for path in (store / "images").glob("c.*")]
    assert (images["n_files"], images["stored_bytes"]) == (2, sum(sizes))
    assert found["attributes"]["source"] == "faces:200"
    text = lowmem("data", "info", store).stdout
    for word in ("200 x 8 x 8 x 3 uint8", "blosc-lz4", "CRC-32C", "faces:200"):
        assert word in text
    with Image.open(sheet) as picture:
        assert (picture.format, picture.size) == ("PNG", (8 * SIZE, 8 * SIZE))


@pytest.mark.slow
def test_a_contact_sheet_shows_rows_spread_over_the_store(store, tmp_path):
    assert write_sheet(store, tmp_path / "sheet.png") == 64
    pixels = zarr.open_group(store, mode="r")["images"][:]
    with Image.open(tmp_path / "sheet.png") as picture:
        sheet = np.asarray(picture)
    for place in range(64):
        top, left = place // 8 * SIZE, place % 8 * SIZE
        part = sheet[top : top + SIZE, left : left + SIZE]
        np.testing.assert_array_equal(part, pixels[place * 200 // 64])


@pytest.mark.slow
@pytest.mark.process
def test_data_verify_ends_with_65_and_names_the_chunk_and_its_samples(store):
    assert lowmem("data", "verify", store).returncode == 0
    chunk = store / "images/c.1.0.0.0"
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 4
    chunk.write_bytes(data)
    done = lowmem("data", "verify", store)
    assert done.returncode == 65
    assert "images/c.1.0.0.0" in done.stderr.replace("\n", " ")
    assert "samples 128 to 199" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_every_flipped_bit_and_every_missing_chunk_is_found(store):
    check = check_store(store)
    assert (check.bad, check.unchecked, check.n_chunks) == ((), (), 6)
    random = np.random.default_rng(1)
    for chunk in sorted(store.rglob("c.*")):
        data = chunk.read_bytes()
        for place in random.integers(0, 8 * len(data), 8):
            altered = bytearray(data)
            altered[place // 8] ^= 1 << place % 8
            chunk.write_bytes(altered)
            (bad,) = check_store(store).bad
            assert store / bad.path == chunk
        chunk.unlink()
        (bad,) = check_store(store).bad
        assert (store / bad.path, bad.problem) == (chunk, "is missing")
        chunk.write_bytes(data)


@pytest.mark.slow
def test_a_store_of_somebody_else_is_described_and_said_to_have_no_checksums(tmp_path):
    rows = np.zeros((10, 4, 4, 3), np.uint8)
    zarr.create_array(tmp_path / "v3", data=rows, chunks=(4, 4, 4, 3), zarr_format=3)
    zarr.create_array(tmp_path / "v2", data=rows, chunks=(4, 4, 4, 3), zarr_format=2)
    for name in ("v2", "v3"):
        (array,) = summary_of(tmp_path / name).arrays
        assert (array.name, array.shape) == ("", (10, 4, 4, 3))
        assert array.codec == "zstd"
        assert not array.has_checksums
        check = check_store(tmp_path / name)
        assert check.unchecked == ("",)
        assert text_from_check(check).startswith("nothing was checked")


@pytest.mark.slow
@pytest.mark.process
def test_what_is_no_store_is_bad_data_without_a_traceback(tmp_path):
    (tmp_path / "empty").mkdir()
    for words in (
        ["info", tmp_path / "absent"],
        ["verify", tmp_path / "empty"],
        ["info", tmp_path / "empty", "--sheet", tmp_path / "s.png"],
    ):
        done = lowmem("data", *words)
        assert done.returncode == 65, done
        assert "Traceback" not in done.stderr
    with pytest.raises(DataError):
        write_sheet(tmp_path / "empty", tmp_path / "s.png")
    assert not (tmp_path / "s.png").exists()


def recipe(tmp_path, **options: object):
    from lowmem.protocol.options import resolve_options

    given = {"source": str(tmp_path), **options}
    return recipe_from_options(resolve_options("ingest", JOB.options, given))


def test_the_preset_celeba_takes_the_centred_square_at_96_pixels(tmp_path):
    frame = recipe(tmp_path, preset="celeba").frame
    assert frame.size == 96
    assert frame.box(178, 218) == (0, 20, 178, 198)
    assert recipe(tmp_path, preset="celeba", size=64).frame.size == 64
    box = recipe(tmp_path, preset="celeba", crop="30,50,148,168").frame.box(178, 218)
    assert box == (30, 50, 148, 168)
    assert recipe(tmp_path).frame.box(178, 218) == (0, 0, 178, 218)

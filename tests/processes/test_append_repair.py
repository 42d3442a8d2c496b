"""What was appended is never lost: not by damage, a repair, a mirror or a lost disk."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import zarr
from PIL import Image

from tests import mirrors
from tests.processes.lowmem_runs import lowmem

pytestmark = [pytest.mark.process, pytest.mark.slow]

# Of 128 rows a chunk: the first is the ingest's alone, the others are of two sources.
PARTS = {"old": range(150), "more": range(150, 250), "last": range(250, 310)}
N_ROWS = 310


def name_of(row):
    """A folder for each class of 75: two more come with each append."""
    return f"{'abcde'[row // 75]}/{row:04}.png"


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A workspace that was appended to twice, with its mirror and its sources."""
    folder = tmp_path_factory.mktemp("grown")
    for name, rows in PARTS.items():
        for row in rows:
            (folder / name / name_of(row)).parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(row).integers(0, 256, (9, 9, 3))
            image = Image.fromarray(pixels.astype(np.uint8))
            image.save(folder / name / name_of(row))
    mirror = ("--mirror", folder / "mirror")
    ended = run(folder, "ingest", folder / "old", "--size", "8", *mirror)
    assert ended.status == 0, ended
    for name in ("more", "last"):
        ended = run(folder, "append", folder / name, *mirror)
        assert ended.status == 0, ended
    return folder


def run(folder, job, source, *words):
    base = ("run", job, "--workspace", folder / "work", "--ram-budget", "1G")
    return lowmem(*base, "--source", source, *words)


@pytest.fixture
def place(grown, tmp_path):
    """A copy of workspace and mirror; the sources are where they were."""
    shutil.copytree(grown / "work", tmp_path / "work")
    shutil.copytree(grown / "mirror", tmp_path / "mirror")
    return tmp_path


def results(folder):
    found = mirrors.sums(folder / "work")
    return {n: s for n, s in found.items() if n.startswith(("images", "ingest"))}


def names_in(folder):
    return list(zarr.open_group(folder / "work" / "images.zarr", mode="r")["names"][:])


def flip(path, place=-9):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def chunk(folder, number):
    return folder / "work" / "images.zarr" / "images" / f"c.{number}.0.0.0"


def verify(folder, *words, mirror="gone/mirror"):
    return lowmem("verify", folder / "work", "--mirror", folder / mirror, *words)


def test_damaged_files_are_made_again_from_every_source(place):
    before = results(place)
    assert names_in(place) == [name_of(row) for row in range(N_ROWS)]
    store = place / "work" / "images.zarr"
    for number in range(3):
        flip(chunk(place, number))
    flip(store / "zarr.json", 40)
    flip(store / "labels" / "c.0")
    flip(place / "work" / "ingest-report.csv")
    (store / "names" / "c.1").unlink()
    assert verify(place).status == 65
    ended = verify(place, "--repair")
    assert ended.status == 0, ended
    assert "append: made images.zarr/images/c.2.0.0.0 again" in ended.out
    assert results(place) == before
    assert not (place / "work" / ".lowmem" / "remaking").exists()


def test_a_chunk_of_the_first_source_needs_no_other(place, grown):
    """Nor does its repair make the store the ingest's again."""
    before = results(place)
    flip(chunk(place, 0))
    (grown / "more").rename(grown / "hidden")
    try:
        ended = verify(place, "--repair")
        assert ended.status == 0, ended
        assert "ingest: made images.zarr/images/c.0.0.0.0 again" in ended.out
        assert results(place) == before
        # A chunk of a source that is gone is left as it is, and that is said.
        flip(chunk(place, 1))
        damaged = results(place)
        ended = verify(place, "--repair")
    finally:
        (grown / "hidden").rename(grown / "more")
    assert ended.status == 65
    assert "more is not there" in " ".join(ended.out.split())
    assert results(place) == damaged
    assert verify(place, "--repair").status == 0
    assert results(place) == before


def test_the_mirror_gives_back_what_was_appended_without_any_source(place, grown):
    before = results(place)
    held = mirrors.sums(place / "mirror")
    ended = verify(place, mirror="mirror")
    assert ended.status == 0, ended.out
    for number in range(3):
        flip(chunk(place, number))
    ended = verify(place, "--repair", mirror="mirror")
    assert ended.status == 0, ended
    assert ended.out.count("from the mirror") == 3
    assert results(place) == before
    assert mirrors.sums(place / "mirror") == held
    # And when the whole disk is gone.
    shutil.rmtree(place / "work")
    ended = run(place, "append", grown / "last", "--mirror", place / "mirror")
    assert ended.status == 0, ended
    assert "append is done already" in ended.err
    assert results(place) == before
    assert verify(place, mirror="mirror").status == 0


def test_a_store_that_is_gone_is_made_again_with_all_that_was_appended(place, grown):
    """By whoever needs it; and a mirror that it is first told of then holds it all."""
    before = results(place)
    shutil.rmtree(place / "work" / "images.zarr")
    (place / "work" / "ingest-report.csv").unlink()
    words = ("--size", "8", "--mirror", place / "new")
    ended = run(place, "ingest", grown / "old", *words)
    assert ended.status == 0, ended
    assert ended.err.count("what was added to it is lost too") == 2
    assert results(place) == before
    ended = verify(place, mirror="new")
    assert ended.status == 0, ended

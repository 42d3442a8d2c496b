from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest
import zarr
from PIL import Image

from lowmem.base.errors import DataError, OptionValueError, UsageError
from lowmem.base.workspace import Workspace
from lowmem.protocol.options import resolve_options
from lowmem.protocol.planning import PlanContext
from lowmem.protocol.recipe import recipe_changes
from lowmem.stores.validation_split import split_rows
from lowmem_jobs.ingest.append import JOB as APPEND
from lowmem_jobs.ingest.job import JOB as INGEST
from lowmem_jobs.train.job import JOB as TRAIN
from tests.driver import Cutter, drive

SIZE = 8
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small_chunks")]


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr("lowmem_jobs.ingest.ingest_recipe._CHUNK_ROWS", 7)


def write_images(folder, names, *, also=()):
    folder.mkdir(exist_ok=True)
    for name in names:
        seed = sum(map(ord, name))
        pixels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
    for name in also:
        (folder / name).write_bytes(b"no image")
    return folder


def named(start, stop):
    return [f"{index:03}.png" for index in range(start, stop)]


def ingest(workspace, source, **options):
    return drive(INGEST, workspace, {"source": str(source), "size": SIZE, **options})


def append(workspace, source, *, leave_after=None, overseer=None, **options):
    given = {"source": str(source), **options}
    return drive(APPEND, workspace, given, leave_after=leave_after, overseer=overseer)


def forget(workspace):
    """Let the next append begin anew, as a run does after one that is done."""
    shutil.rmtree(Workspace.at(str(workspace)).job("append"))


def published(workspace):
    return {
        str(path.relative_to(workspace)): path.read_bytes()
        for path in sorted(workspace.rglob("*"))
        if path.is_file() and ".lowmem" not in path.parts
    }


def arrays(workspace):
    group = zarr.open_group(workspace / "images.zarr", mode="r")
    return group["images"][:], list(group["names"][:]), dict(group.attrs)


@pytest.mark.parametrize("n_before", [7, 17])
def test_append_equals_one_ingest_of_both_wherever_it_was_cut(tmp_path, n_before):
    old = write_images(tmp_path / "old", named(0, n_before))
    new = write_images(tmp_path / "new", named(n_before, 30), also=["018.txt"])
    both = write_images(tmp_path / "both", named(0, 30))
    for name in ("whole", "cut"):
        ingest(tmp_path / name, old)
    before = arrays(tmp_path / "whole")
    done = append(tmp_path / "whole", new)
    attempts = 1
    while append(tmp_path / "cut", new, leave_after=1) is None:
        still = arrays(tmp_path / "cut")
        assert still[1:] == before[1:], "half an append is visible"
        attempts += 1
    assert attempts > 2
    assert published(tmp_path / "cut") == published(tmp_path / "whole")
    ingest(tmp_path / "both-in-one", both)
    images, names, attributes = arrays(tmp_path / "whole")
    expected, expected_names, expected_attributes = arrays(tmp_path / "both-in-one")
    assert names == expected_names
    assert np.array_equal(images, expected)
    assert attributes["content_sha256"] == expected_attributes["content_sha256"]
    assert [one["images"] for one in attributes["sources"]] == [n_before, 30 - n_before]
    assert (done["images"], done["skipped"]) == (30 - n_before, 1)
    report = (tmp_path / "whole/ingest-report.csv").read_text()
    lines = csv.DictReader(report.splitlines())
    stored = {one["name"]: one["row"] for one in lines if one["status"] == "stored"}
    assert stored == {name: str(row) for row, name in enumerate(names)}


def test_old_whole_chunks_are_the_same_files(tmp_path):
    old = write_images(tmp_path / "old", named(0, 9))
    new = write_images(tmp_path / "new", named(9, 12))
    ingest(tmp_path / "w", old)
    chunk = tmp_path / "w/images.zarr/images/c.0.0.0.0"
    before = chunk.stat().st_ino
    append(tmp_path / "w", new)
    assert chunk.stat().st_ino == before


def test_chunks_are_copied_where_they_cannot_be_linked(tmp_path, monkeypatch):
    old = write_images(tmp_path / "old", named(0, 9))
    new = write_images(tmp_path / "new", named(9, 12))
    for name in ("linked", "copied"):
        ingest(tmp_path / name, old)
    append(tmp_path / "linked", new)

    def link(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", link)
    append(tmp_path / "copied", new)
    assert published(tmp_path / "copied") == published(tmp_path / "linked")


def test_a_source_that_is_appended_already_is_not_appended_twice(tmp_path):
    old = write_images(tmp_path / "old", named(0, 9))
    sources = [
        write_images(tmp_path / "a", named(9, 12)),
        write_images(tmp_path / "b", named(12, 20)),
    ]
    workspace = tmp_path / "w"
    ingest(workspace, old)
    for source in sources:
        append(workspace, source)
        forget(workspace)
    before = published(workspace)
    for source in sources:
        assert append(workspace, source) == {}
        assert published(workspace) == before
        forget(workspace)


def test_recipe_and_standing_tell_an_append_that_is_done_from_one_that_is_not(tmp_path):
    old = write_images(tmp_path / "old", named(0, 9))
    new = write_images(tmp_path / "new", named(9, 12))
    ingest(tmp_path / "w", old)
    options = resolve_options("append", APPEND.options, {"source": str(new)})
    plan = PlanContext(
        workspace=Workspace.at(str(tmp_path / "w")),
        options=options,
        seed=1,
        device="cpu",
        ram_budget_bytes=10**9,
    )
    begun = APPEND.inputs(plan)
    assert APPEND.standing(plan) == "open"
    append(tmp_path / "w", new)
    assert APPEND.inputs(plan) == begun
    assert APPEND.standing(plan) == "done"
    write_images(new, named(12, 13))
    assert APPEND.inputs(plan) != begun
    assert APPEND.standing(plan) == "open"


def test_an_image_whose_name_is_taken_is_listed_and_the_old_one_stays(tmp_path):
    old = write_images(tmp_path / "old", named(0, 9))
    new = write_images(tmp_path / "new", named(8, 11))
    Image.new("RGB", (9, 9)).save(new / "008.png")
    ingest(tmp_path / "w", old)
    images, names, _ = arrays(tmp_path / "w")
    append(tmp_path / "w", new)
    grown, grown_names, _ = arrays(tmp_path / "w")
    assert grown_names == [*names, "009.png", "010.png"]
    assert np.array_equal(grown[:9], images)
    report = (tmp_path / "w/ingest-report.csv").read_text()
    assert "008.png,skipped,an image of this name is in the store already," in report


@pytest.mark.parametrize("leave_after", [None, 1])
def test_nothing_new_is_no_error_and_changes_nothing(
    tmp_path, leave_after, monkeypatch
):
    monkeypatch.setattr("lowmem_jobs.ingest.work._STEP_ENTRIES", 4)
    old = write_images(tmp_path / "old", named(0, 9))
    ingest(tmp_path / "w", old)
    again = write_images(tmp_path / "again", named(0, 9), also=("torn.png",))
    before = published(tmp_path / "w")
    for _ in range(2):
        told = Cutter()
        found = append(tmp_path / "w", again, leave_after=leave_after)
        while found is None:
            found = append(tmp_path / "w", again, overseer=told)
        assert found == {}
        assert published(tmp_path / "w") == before
        forget(tmp_path / "w")
    if leave_after:
        [line] = told.lines
        assert line.startswith(f"nothing new: 9 images of {again} are in the store")
        assert line.endswith("1 others could not be stored")


def test_a_source_of_which_nothing_can_be_read_is_an_error_still(tmp_path):
    ingest(tmp_path / "w", write_images(tmp_path / "old", named(0, 9)))
    torn = write_images(tmp_path / "torn", (), also=("torn.png",))
    with pytest.raises(DataError, match="none could be stored"):
        append(tmp_path / "w", torn)


def test_limit_counts_new_images(tmp_path):
    old = write_images(tmp_path / "old", named(0, 9))
    new = write_images(tmp_path / "new", named(9, 20))
    ingest(tmp_path / "w", old)
    append(tmp_path / "w", new, limit=2)
    assert arrays(tmp_path / "w")[1] == named(0, 11)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"size": 16}, OptionValueError, "--size is 16, expected 8"),
        ({"crop": "none"}, OptionValueError, "--crop is 'none', expected 'center'"),
        ({"source": "faces:9"}, UsageError, "faces:N cannot be appended"),
        ({"source": None}, UsageError, "--source is missing"),
    ],
)
def test_what_does_not_suit_the_store_is_refused(tmp_path, given, error, words):
    old = write_images(tmp_path / "old", named(0, 9))
    ingest(tmp_path / "w", old, crop="center")
    options = {"source": str(old), "size": None, "crop": None, "limit": None, **given}
    plan = PlanContext(
        workspace=Workspace.at(str(tmp_path / "w")),
        options=options,
        seed=1,
        device="cpu",
        ram_budget_bytes=10**9,
    )
    with pytest.raises(error, match=words) as caught:
        APPEND.check(plan)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("chunk_rows", [5, 1000])
def test_chunk_rows_change_no_image_and_an_append_keeps_them(tmp_path, chunk_rows):
    old = write_images(tmp_path / "old", named(0, 9))
    new = write_images(tmp_path / "new", named(9, 12))
    for name, options in (("usual", {}), ("asked", {"chunk_rows": chunk_rows})):
        ingest(tmp_path / name, old, **options)
        append(tmp_path / name, new)
    (images, names, usual), (same, same_names, asked) = (
        arrays(tmp_path / name) for name in ("usual", "asked")
    )
    assert np.array_equal(images, same)
    assert names == same_names
    assert usual["content_sha256"] == asked["content_sha256"]
    assert asked["chunk_rows"] == chunk_rows
    group = zarr.open_group(tmp_path / "asked/images.zarr", mode="r")
    assert group["images"].chunks[0] == group["names"].chunks[0] == chunk_rows


def test_chunks_beyond_what_memory_should_hold_are_refused(tmp_path):
    old = write_images(tmp_path / "old", named(0, 2))
    with pytest.raises(OptionValueError, match="--chunk-rows is 10000000, expected at"):
        ingest(tmp_path / "w", old, chunk_rows=10**7)


def test_a_job_that_read_the_store_sees_that_its_images_have_changed(tmp_path):
    old = write_images(tmp_path / "old", named(0, 9))
    new = write_images(tmp_path / "new", named(9, 12))
    ingest(tmp_path / "w", old)
    plan = PlanContext(
        workspace=Workspace.at(str(tmp_path / "w")),
        options=resolve_options("train", TRAIN.options, {}),
        seed=1,
        device="cpu",
        ram_budget_bytes=10**9,
    )
    before = TRAIN.inputs(plan)
    append(tmp_path / "w", new)
    assert recipe_changes(before, TRAIN.inputs(plan)).keys() == {"images"}


def test_nobody_changes_sides_when_images_are_appended(tmp_path):
    old = write_images(tmp_path / "old", named(100, 130))
    new = write_images(tmp_path / "new", named(80, 100))
    ingest(tmp_path / "w", old)
    store = tmp_path / "w/images.zarr"
    before = split_rows(store, n_rows=30, fraction=0.3)
    append(tmp_path / "w", new)
    after = split_rows(store, n_rows=50, fraction=0.3)
    assert 0 < len(before.validation) < 30
    assert np.array_equal(after.validation[after.validation < 30], before.validation)
    assert (after.validation >= 30).any()


def test_drawn_faces_are_not_appended_to(tmp_path):
    new = write_images(tmp_path / "new", named(0, 3))
    drive(INGEST, tmp_path / "w", {"source": "faces:9", "size": SIZE})
    with pytest.raises(DataError, match="holds drawn faces"):
        append(tmp_path / "w", new)


def test_what_was_cut_short_is_taken_when_it_is_asked_for_later(tmp_path):
    ingest(tmp_path / "w", write_images(tmp_path / "old", named(0, 3)))
    new = write_images(tmp_path / "new", ["a.jpg", "b.jpg"])
    short = (new / "b.jpg").read_bytes()
    (new / "b.jpg").write_bytes(short[:-2])
    append(tmp_path / "w", new)
    assert len(arrays(tmp_path / "w")[0]) == 4
    for _ in range(2):
        forget(tmp_path / "w")
        append(tmp_path / "w", new, truncated="keep")
        images, names, attributes = arrays(tmp_path / "w")
        assert len(images) == 5
        assert [name.split("/")[-1] for name in names[3:]] == ["a.jpg", "b.jpg"]
    assert [s.get("truncated") for s in attributes["sources"]] == [None, None, "keep"]

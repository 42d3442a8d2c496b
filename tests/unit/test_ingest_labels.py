"""A folder a class becomes a number a row, wherever an ingest was cut or added to."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lowmem.base.workspace import Workspace
from lowmem_jobs.ingest import folder_labels
from lowmem_jobs.ingest.append import JOB as APPEND
from lowmem_jobs.ingest.folder_labels import labels_from_names, write_labels
from lowmem_jobs.ingest.job import JOB
from tests.driver import Cutter, drive

SIZE = 8


def write_images(folder: Path, names) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), (len(name), 2, 3)).save(folder / name)
    return folder


def named(**counts: int) -> list[str]:
    return [
        f"{name}/{n:02}.png" for name, count in counts.items() for n in range(count)
    ]


def stored(workspace: Path) -> dict[str, str] | None:
    """Return the class of each name, as a reader without lowmem finds it."""
    group = zarr.open_group(workspace / "images.zarr", mode="r")
    if "labels" not in group:
        return None
    array = group["labels"]
    assert (array.dtype, array.shape) == (np.int32, group["names"].shape)
    classes = array.attrs["class_names"]
    return {
        str(name): classes[number]
        for name, number in zip(group["names"][:], array[:], strict=True)
    }


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr("lowmem_jobs.ingest.ingest_recipe._CHUNK_ROWS", 4)


def ingest(workspace: Path, source: Path, **options: object) -> None:
    given = {"source": str(source), "size": SIZE, **options}
    while drive(JOB, workspace, given, leave_after=2) is None:
        pass


def append(workspace: Path, source: Path) -> list[str]:
    told = Cutter()
    drive(APPEND, workspace, {"source": str(source)}, overseer=told)
    shutil.rmtree(Workspace.at(str(workspace)).job("append"))
    return told.lines


# --- the decision ------------------------------------------------------------------

CLASSES = st.lists(st.text("abz-. é", min_size=1), min_size=2, max_size=5, unique=True)


@given(classes=CLASSES, data=st.data(), above=st.sampled_from(["", "x/", "x/y/"]))
def test_every_row_has_the_number_of_its_folder_among_the_sorted_ones(
    classes, data, above
):
    rows = data.draw(
        st.lists(st.sampled_from(classes), min_size=1).map(lambda r: r + classes)
    )
    found = labels_from_names(
        [f"{above}{row}/{i}" for i, row in enumerate(rows)], [len(rows)]
    )
    assert found.class_names == tuple(sorted(classes))
    assert [found.class_names[number] for number in found.numbers] == rows


@pytest.mark.parametrize(
    "names",
    [
        ["1.png", "2.png"],
        ["faces/1.png", "faces/2.png"],
        ["a/1.png", "b/2.png", "3.png"],
        ["a/1.png", "b/c/2.png"],
        ["x/a/1.png", "y/b/2.png"],
        [],
    ],
    ids=str,
)
def test_folders_that_are_no_classes_give_no_labels(names):
    assert labels_from_names(names, [len(names)]) is None


def test_a_folder_for_each_image_is_no_class(monkeypatch):
    monkeypatch.setattr(folder_labels, "_MOST_CLASSES", 3)
    assert labels_from_names(["a/1", "b/1", "c/1"], [3])
    assert labels_from_names(["a/1", "b/1", "c/1", "d/1"], [4]) is None


def test_classes_that_have_numbers_keep_them_and_each_source_has_its_own_folder():
    names = ["b/1", "d/1", "new/a/2", "new/b/2", "c/3"]
    found = labels_from_names(names, [2, 2, 1], ["b", "d"])
    assert found.class_names == ("b", "d", "a", "c")
    assert found.numbers.tolist() == [0, 1, 2, 0, 3]


# --- the store ---------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_a_folder_a_class_is_labelled_from_any_source_wherever_it_was_cut(
    tmp_path, kind
):
    names = named(dog=5, cat=6)
    source = write_images(tmp_path / "animals", names)
    (source / "README.txt").write_text("no image, and in no class")
    if kind != "folder":
        source = Path(shutil.make_archive(str(source), kind, tmp_path, "animals"))
        names = [f"animals/{name}" for name in names]
    ingest(tmp_path / "w", source)
    assert stored(tmp_path / "w") == {name: name.split("/")[-2] for name in names}
    group = zarr.open_group(tmp_path / "w" / "images.zarr", mode="r")
    assert group["labels"].attrs["class_names"] == ["cat", "dog"]


@pytest.mark.slow
@pytest.mark.usefixtures("small_chunks")
def test_an_append_keeps_numbers_adds_classes_and_says_when_labels_end(tmp_path):
    work = tmp_path / "w"
    ingest(work, write_images(tmp_path / "old", named(dog=3, cat=4)))
    before = zarr.open_group(work / "images.zarr", mode="r")["labels"][:]
    lines = append(work, write_images(tmp_path / "new", ["dog/9.png", "bird/1.png"]))
    assert "labels: 3 classes, formerly 2" in lines
    found = zarr.open_group(work / "images.zarr", mode="r")["labels"]
    assert found[:7].tolist() == before.tolist()
    assert found.attrs["class_names"] == ["cat", "dog", "bird"]
    assert stored(work)["bird/1.png"] == "bird"
    assert stored(work)["dog/9.png"] == "dog"
    lines = append(work, write_images(tmp_path / "flat", ["1.png"]))
    assert "labels: 0 classes, formerly 3" in lines
    assert stored(work) is None


@pytest.mark.slow
def test_two_sources_of_one_class_each_are_two_classes(tmp_path):
    ingest(tmp_path / "w", write_images(tmp_path / "old", named(dog=3)))
    assert stored(tmp_path / "w") is None
    append(tmp_path / "w", write_images(tmp_path / "new", named(cat=2)))
    assert set(stored(tmp_path / "w").values()) == {"dog", "cat"}


@pytest.mark.slow
def test_where_all_images_lie_in_one_folder_no_name_is_read(tmp_path, monkeypatch):
    def unexpected(_):
        raise AssertionError("names were read")

    monkeypatch.setattr(folder_labels, "_names", unexpected)
    one = write_images(tmp_path / "one", named(cat=3))
    drive(JOB, tmp_path / "w", {"source": str(one), "size": SIZE})
    assert stored(tmp_path / "w") is None
    # The check sees it where they are.
    two = write_images(tmp_path / "two", named(cat=3, dog=1))
    with pytest.raises(AssertionError, match="names were read"):
        drive(JOB, tmp_path / "v", {"source": str(two), "size": SIZE})


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("missing", [0, 1])
def test_where_some_names_are_not_there_nothing_is_written(tmp_path, missing):
    """As in the repair of single chunks, which begins in the middle of the source."""
    ingest(tmp_path / "w", write_images(tmp_path / "old", named(dog=5, cat=4)))
    store = tmp_path / "w" / "images.zarr"
    assert write_labels(store, [9]).class_names == ("cat", "dog")
    (store / "names" / f"c.{missing}").unlink()
    assert write_labels(store, [9]) is None

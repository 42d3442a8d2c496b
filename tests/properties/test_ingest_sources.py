"""The same pictures are the same store, whatever they came in."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lowmem_jobs.ingest.append import JOB as APPEND
from lowmem_jobs.ingest.job import JOB
from tests.corpus.sources import ARRAYS, TARS, ZIPS, folder
from tests.driver import drive

SIDE = 8
# Not of one kind: their order differs between code pages, and UTF-8 may be any length.
PARTS = (
    st.text(st.sampled_from("aZ09_{}~ éñüßΣж写真😀"), min_size=1, max_size=8)
    .map(str.strip)
    .filter(bool)
)
NAMES = st.one_of(PARTS, st.tuples(PARTS, PARTS).map("/".join))
SEEDS = st.integers(0, 2**16)
# A twenty-fifth of what the profile asks for: an example is ten ingests and more.
EXAMPLES = max(2, settings.default.max_examples // 25)


def needs(program):
    return pytest.mark.skipif(
        shutil.which(program) is None, reason=f"{program} is not installed"
    )


def pixels(seed):
    return (
        np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    )


def encoded(seed):
    """Return a picture without loss; some are long runs of zeros, which tar leaves out."""
    stream = io.BytesIO()
    if seed % 3:
        Image.fromarray(pixels(seed)).save(stream, "PNG")
    else:
        Image.new("RGB", (200, 200), (seed % 2, 0, 0)).save(stream, "BMP")
    return stream.getvalue()


def stored(workspace, source):
    drive(JOB, workspace, {"source": str(source), "size": SIDE})
    return described(workspace)


def described(workspace):
    group = zarr.open_group(workspace / "images.zarr", mode="r")
    labels = group.get("labels")
    return {
        "content_sha256": group.attrs["content_sha256"],
        "names": list(group["names"][:]),
        "labels": None if labels is None else labels[:].tolist(),
        "classes": None if labels is None else labels.attrs["class_names"],
    }


@st.composite
def trees(draw):
    """Draw files, and links to some of them."""
    names = draw(st.lists(NAMES, min_size=2, max_size=7, unique=True))
    files = {f"{name}.png": encoded(draw(SEEDS)) for name in names}
    links = []
    for number, target in enumerate(list(files)):
        kind = draw(st.sampled_from(["none", "hard", "soft"]))
        if kind != "none":
            above = target.rpartition("/")[0]
            links.append((f"{above}/{number}.png".lstrip("/"), target, kind))
    return files, [link for link in links if link[0] not in files]


@needs("zip")
@needs("tar")
@pytest.mark.slow
@settings(max_examples=EXAMPLES, deadline=None)
@given(trees())
def test_one_tree_is_the_same_store_from_a_folder_and_from_any_archive(
    tmp_path_factory, tree
):
    files, links = tree
    here = tmp_path_factory.mktemp("tree")
    made = folder(here / "tree", files, links)
    right = stored(here / "w", made)
    assert len(right["names"]) == len(files) + len(links)
    assert right["names"] == sorted(right["names"], key=str.encode)
    for write in (*ZIPS, *TARS):
        suffix = ".zip" if write in ZIPS else ".tar"
        source = write(here / f"{write.__name__}{suffix}", made)
        assert stored(here / write.__name__, source) == right, write.__name__
        # Nothing of it is new to a store of the folder.
        drive(APPEND, here / "w", {"source": str(source)})
        assert described(here / "w") == right, write.__name__


@pytest.mark.slow
@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(SEEDS, min_size=1, max_size=9), st.sampled_from(["grey", "RGB", "RGBA"])
)
def test_the_same_rows_are_the_same_store_from_any_kind_of_array(
    tmp_path_factory, seeds, kind
):
    here = tmp_path_factory.mktemp("rows")
    rows = np.stack([pixels(seed) for seed in seeds])
    shown = rows
    if kind == "grey":
        rows = rows[..., 0]
        shown = np.repeat(rows[..., None], 3, -1)
    elif kind == "RGBA":
        rows = np.concatenate([rows, np.full_like(rows[..., :1], 255)], -1)
    files = {}
    for number, row in enumerate(shown):
        stream = io.BytesIO()
        Image.fromarray(row).save(stream, "PNG")
        files[f"{number}.png"] = stream.getvalue()
    right = stored(here / "w", folder(here / "tree", files))
    for write in ARRAYS:
        found = stored(here / f"w-{write.__name__}", write(here / write.__name__, rows))
        for fact in ("content_sha256", "labels", "classes"):
            assert found[fact] == right[fact], (write.__name__, fact)
        # A row has no name of its own but its number.
        titles, _, numbers = zip(
            *(name.rpartition("[") for name in found["names"]), strict=True
        )
        assert len(set(titles)) == 1, write.__name__
        assert numbers == tuple(f"{number}]" for number in range(len(rows)))

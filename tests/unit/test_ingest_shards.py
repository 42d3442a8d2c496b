"""WebDataset's shards: their pictures in order, with the labels that lie beside them."""

from __future__ import annotations

import io
import json
import shutil
import tarfile

import numpy as np
import pytest
import zarr
from PIL import Image

from lowmem.base.errors import DataError, OptionValueError, UsageError
from lowmem.base.workspace import Workspace
from lowmem.protocol.options import resolve_options
from lowmem_jobs.ingest.append import JOB as APPEND
from lowmem_jobs.ingest.ingest_recipe import recipe_from_options
from lowmem_jobs.ingest.job import JOB
from lowmem_jobs.ingest.label_choice import SidecarChoice
from lowmem_jobs.ingest.sidecar_cells import cell_of
from tests.driver import Cutter, drive

SIZE = 8


def png(number: int) -> bytes:
    """Return a picture whose every pixel is its number, as WebDataset's writer puts it."""
    stream = io.BytesIO()
    Image.new("RGB", (SIZE, SIZE), (number, number, number)).save(stream, "PNG")
    return stream.getvalue()


def write_shard(path, members):
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def samples(numbers, **fields):
    """Return the members of a shard, in the order in which shards are written."""
    members = {}
    for n in numbers:
        members[f"{n:06}.png"] = png(n)
        members[f"{n:06}.cls"] = b"%d\n" % (n % 3)
        said = {"id": n, "animal": ("dog", "cat")[n % 2], **fields}
        members[f"{n:06}.json"] = json.dumps(said).encode()
    return members


def ingest(workspace, source, **options):
    given = {"source": str(source), "size": SIZE, "chunk_rows": 4, **options}
    told = Cutter(leave_after=1)
    while drive(JOB, workspace, given, overseer=told) is None:
        told.leave_after += 1
    return told


def append(workspace, source):
    drive(APPEND, workspace, {"source": str(source)})
    shutil.rmtree(Workspace.at(str(workspace)).job("append"))


def stored(workspace):
    """Return number, name and label of each row, as a reader without lowmem finds them."""
    group = zarr.open_group(workspace / "images.zarr", mode="r")
    numbers = group["images"][:, 0, 0, 0].tolist()
    names = [str(name) for name in group["names"][:]]
    if "labels" not in group:
        return numbers, names, None, None
    labels = group["labels"]
    assert labels.dtype == np.int32
    return numbers, names, labels[:].tolist(), labels.attrs.get("class_names")


@pytest.fixture
def shards(tmp_path):
    """Two shards, of which the first has a picture that cannot be read."""
    folder = tmp_path / "shards"
    first = samples(range(7))
    first["000003.png"] = b"no picture"
    write_shard(folder / "s-0.tar", first)
    write_shard(folder / "s-1.tar", samples(range(7, 12)))
    return folder


ROWS = [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]


@pytest.mark.slow
def test_shards_are_one_source_in_order_and_their_names_are_no_classes(
    shards, tmp_path
):
    ingest(tmp_path / "w", shards)
    names = [f"s-{int(n > 6)}.tar/{n:06}.png" for n in ROWS]
    assert stored(tmp_path / "w") == (ROWS, names, None, None)
    # Nor are they for what is appended, nor folders beside them then.
    more = write_shard(tmp_path / "more" / "s-2.tar", samples([20, 21])).parent
    append(tmp_path / "w", more)
    folders = tmp_path / "folders"
    for name in ("a", "b"):
        (folders / name).mkdir(parents=True)
        (folders / name / "1.png").write_bytes(png(30))
    append(tmp_path / "w", folders)
    numbers, _, labels, _ = stored(tmp_path / "w")
    assert (numbers, labels) == ([*ROWS, 20, 21, 30, 30], None)


@pytest.mark.slow
def test_numbers_beside_the_pictures_are_their_labels_wherever_it_was_cut(
    shards, tmp_path
):
    told = ingest(tmp_path / "w", shards, labels="cls")
    numbers, _, labels, classes = stored(tmp_path / "w")
    assert (numbers, labels, classes) == (ROWS, [n % 3 for n in ROWS], None)
    assert told.lines[-1] == "labels: .cls beside the pictures, whole numbers"
    group = zarr.open_group(tmp_path / "w" / "images.zarr", mode="r")
    assert group.attrs["labels"] == {"sidecars": "cls"}
    with pytest.raises(DataError, match="has labels of files beside the pictures"):
        drive(APPEND, tmp_path / "w", {"source": str(shards)})


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one shard", "folder"])
def test_a_field_beside_the_pictures_is_their_label(tmp_path, kind):
    members = samples(range(6))
    # Two pictures of one sample, and a name with dots in its folder.
    members["a.b/000009.left.png"] = png(90)
    members["a.b/000009.right.png"] = png(91)
    members["a.b/000009.json"] = b'{"animal": "newt"}'
    source = write_shard(tmp_path / "t" / "one.tar", members)
    if kind == "folder":
        with tarfile.open(source) as archive:
            archive.extractall(tmp_path / "files", filter="data")
        source = tmp_path / "files"
    ingest(tmp_path / "w", source, labels="json", label="animal")
    numbers, _, labels, classes = stored(tmp_path / "w")
    assert classes == ["cat", "dog", "newt"]
    assert dict(zip(numbers, labels, strict=True)) == {
        **{n: 1 - n % 2 for n in range(6)}, 90: 2, 91: 2,
    }  # fmt: skip


REFUSED = {
    "no sidecar": (("000001.cls", None), "cls", None, "000001.png has no label"),
    "none at all": ((), "json", "animal", "holds no file KEY.json"),
    "an empty one": (("000001.cls", b" \n"), "cls", None, "holds no label"),
    "a word": (("000001.cls", b"dog"), "cls", None, "holds 'dog'"),
    "two numbers": (("000001.cls", b"1 2"), "cls", None, "holds '1 2'"),
    "a large number": (("000001.cls", b"2147483648"), "cls", None, "no number of 32"),
    "no text": (("000001.cls", b"\xff1"), "cls", None, "000001.cls is no UTF-8"),
    "far too long": (("000001.cls", b"1" * 2**21), "cls", None, "has 2097152 bytes"),
    "words and numbers": (
        ("000000.json", b'{"animal": 1}'),
        "json",
        "animal",
        "a word",
    ),
    "no such field": ((), "json", "color", "no fields called 'color'"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", REFUSED)
def test_a_sidecar_that_could_mean_something_else_is_refused(tmp_path, case):
    changed, ending, field, told = REFUSED[case]
    members = samples(range(3))
    if case == "none at all":
        members = {n: c for n, c in members.items() if not n.endswith("json")}
    if changed:
        name, content = changed
        members[name] = content
    members = {
        name: content for name, content in members.items() if content is not None
    }
    source = write_shard(tmp_path / "s.tar", members)
    with pytest.raises(DataError, match=told):
        ingest(tmp_path / "w", source, labels=ending, label=field)
    assert not (tmp_path / "w" / "images.zarr").exists()


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ('{"k": 3}', "3"),
        ('{"k": "a dog "}', "a dog"),
        ('{"k": false}', "false"),
        ('{"k": 1.5}', "1.5"),
        ('{"k": null}', "null"),
        ('{"k": [1]}', "a list"),
        ('{"k": {"k": 1}}', "a mapping"),
        ('{"k": NaN}', "no number in JSON"),
        ('{"k": 1, "k": 2}', "2 fields called 'k'"),
        ('{"x": 1}', "it has x"),
        ("[1]", "no fields"),
        ("{", "cannot be read"),
        ("[" * 10**5, "cannot be read"),
        (f'{{"k": {"9" * 5000}}}', "cannot be read"),
    ],
)
def test_a_field_of_json_is_a_label_or_refused(text, cell):
    choice = SidecarChoice(ending="json", field="k")
    if cell in {"3", "a dog", "false", "1.5"}:
        # That a fraction is none is said where numbers and words are told apart.
        assert cell_of(choice, text.encode(), "a.json") == cell
        return
    with pytest.raises(DataError, match=rf"a\.json.*{cell}"):
        cell_of(choice, text.encode(), "a.json")


@pytest.mark.slow
def test_a_shard_that_is_cut_short_is_refused_and_one_file_more_is_no_shards(
    shards, tmp_path
):
    shard = shards / "s-1.tar"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:3000])
    with pytest.raises(DataError, match=r"s-1\.tar"):
        ingest(tmp_path / "w", shards)
    shard.write_bytes(whole)
    # A workspace in the folder is none of its files.
    ingest(shards / "w", shards, limit=1)
    assert stored(shards / "w")[0] == [0]
    (shards / "1.png").write_bytes(png(9))
    ingest(tmp_path / "v", shards)
    assert stored(tmp_path / "v")[0] == [9]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"labels": "cls", "label": "A"}, UsageError),
        ({"labels": "json"}, UsageError),
        ({"labels": "json", "label": "A", "label_key": "B"}, UsageError),
        ({"labels": "cls", "source": "faces:9"}, OptionValueError),
    ],
)
def test_options_of_sidecars_that_cannot_be_meant_are_refused(tmp_path, options, error):
    given = {"source": str(tmp_path), **options}
    with pytest.raises(error, match="--labels"):
        recipe_from_options(resolve_options("ingest", JOB.options, given))

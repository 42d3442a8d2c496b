from __future__ import annotations

import csv
import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image

from lowmem.base.errors import DataError, OptionValueError
from lowmem.base.workspace import Workspace
from lowmem.protocol.options import resolve_options
from lowmem.protocol.planning import PlanContext
from lowmem_jobs.ingest.ingest_recipe import recipe_from_options
from lowmem_jobs.ingest.job import JOB
from tests.driver import Cutter, drive

RANDOM = np.random.default_rng(3)
# Names whose order differs between bytes, locales and numbers.
NAMES = ["b.png", "B.png", "a10.png", "a2.png", "sub/ä.png", "sub.png", "z/z/z.png"]
PIXELS = {name: RANDOM.integers(0, 256, (8, 8, 3)).astype(np.uint8) for name in NAMES}
IN_ORDER = sorted(NAMES, key=str.encode)


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


FILES = {name: png(pixels) for name, pixels in PIXELS.items()}


def make_folder(path, files):
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def make_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def make_tar(path, files):
    suffix = path.name.rpartition(".")[2]
    mode = {"tar": "w", "tgz": "w:gz"}.get(suffix, f"w:{suffix}")
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def make_tar_of_here(path, files):
    """Pack a folder as `tar -C FOLDER .` does."""
    members = {f"./{name}": data for name, data in files.items()}
    return make_tar(path, {"./.hidden.png": b"ignored", **members})


def ingest(workspace, source, **options: object):
    options = {"source": str(source), "size": 8, **options}
    return drive(JOB, workspace, options)


def stored(workspace):
    group = zarr.open_group(workspace / "images.zarr", mode="r")
    return list(group["names"][:]), group["images"][:]


def report(workspace):
    with (workspace / "ingest-report.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


MAKERS = [
    ("folder", make_folder),
    ("a.zip", make_zip),
    ("a.tar", make_tar),
    ("here.tar", make_tar_of_here),
    ("a.tar.gz", make_tar),
    ("a.tgz", make_tar),
    ("a.tar.bz2", make_tar),
    ("a.TAR.xz", make_tar),
]


@pytest.mark.parametrize(("name", "make"), MAKERS)
def test_files_of_any_source_are_stored_in_the_byte_order_of_their_names(
    tmp_path, name, make
):
    source = make(tmp_path / name, FILES)
    summary = ingest(tmp_path / "w", source)
    names, images = stored(tmp_path / "w")
    assert names == IN_ORDER
    np.testing.assert_array_equal(images, [PIXELS[name] for name in IN_ORDER])
    assert summary["images"] == len(NAMES)
    assert summary["skipped"] == 0
    assert report(tmp_path / "w") == [
        {"name": name, "status": "stored", "reason": "", "row": str(row)}
        for row, name in enumerate(IN_ORDER)
    ]


@pytest.mark.slow
def test_the_same_images_give_the_same_content_from_any_source_with_any_codec(tmp_path):
    digests = set()
    for number, (name, make) in enumerate(MAKERS):
        source = make(tmp_path / name, FILES)
        codec = ("none", "lz4", "zstd")[number % 3]
        summary = ingest(tmp_path / f"w{number}", source, codec=codec)
        digests.add(summary["content_sha256"])
        np.testing.assert_array_equal(
            stored(tmp_path / f"w{number}")[1][3], PIXELS[IN_ORDER[3]]
        )
    assert len(digests) == 1


def test_the_content_digest_can_be_recomputed_from_the_images_alone(tmp_path):
    import hashlib

    summary = ingest(tmp_path / "w", make_zip(tmp_path / "a.zip", FILES))
    digest = b""
    for image in stored(tmp_path / "w")[1]:
        digest = hashlib.sha256(digest + image.tobytes()).digest()
    group = zarr.open_group(tmp_path / "w/images.zarr", mode="r")
    assert digest.hex() == summary["content_sha256"]
    assert group.attrs["content_sha256"] == summary["content_sha256"]
    assert group["images"].attrs["content_sha256"] == summary["content_sha256"]


ROWS = RANDOM.integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)


def make_npy(path, array):
    np.save(path, array)
    return path


def make_npz(path, array):
    np.savez_compressed(path, other=np.arange(3), images=array)
    return path


def make_zarr(path, array):
    group = zarr.open_group(path, mode="w")
    group.create_array("images", data=array, chunks=(2, *array.shape[1:]))
    group.create_array("a", data=np.arange(3))
    return path


def make_bare_zarr(path, array):
    zarr.create_array(path, data=array, chunks=(2, *array.shape[1:]))
    return path


ARRAYS = [
    ("a.npy", make_npy),
    ("a.npz", make_npz),
    ("a.zarr", make_zarr),
    ("b.zarr", make_bare_zarr),
]


@pytest.mark.parametrize(("name", "make"), ARRAYS)
def test_rows_of_an_array_are_stored_in_their_order(tmp_path, name, make):
    ingest(tmp_path / "w", make(tmp_path / name, ROWS))
    names, images = stored(tmp_path / "w")
    np.testing.assert_array_equal(images, ROWS)
    assert names[3].endswith("[3]")


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (ROWS[..., 0], np.repeat(ROWS[..., :1], 3, -1)),
        (ROWS[..., :1], np.repeat(ROWS[..., :1], 3, -1)),
        (np.concatenate([ROWS, np.zeros_like(ROWS[..., :1])], -1), ROWS * 0 + 255),
        ((ROWS / 255).astype(np.float32), ROWS),
        ((ROWS / 255).astype(">f8"), ROWS),
        (np.float16([[[0.0, 1.0]]]), np.uint8([[[[0] * 3, [255] * 3]]])),
    ],
)
def test_grey_rgb_rgba_and_unit_floats_are_understood(tmp_path, array, expected):
    summary = ingest(tmp_path / "w", make_npy(tmp_path / "a.npy", array))
    images = stored(tmp_path / "w")[1]
    assert summary["images"] == len(array)
    if array.shape[1:3] == (8, 8):
        np.testing.assert_array_equal(images, expected)


def test_an_array_cut_in_a_crop_and_scaled_equals_pillow(tmp_path):
    rows = RANDOM.integers(0, 256, (3, 20, 30, 3)).astype(np.uint8)
    ingest(tmp_path / "w", make_npy(tmp_path / "a.npy", rows), crop="center")
    for row, image in zip(rows, stored(tmp_path / "w")[1], strict=True):
        square = Image.fromarray(row).crop((5, 0, 25, 20))
        expected = square.resize((8, 8), Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(image, expected)


def test_limit_counts_readable_images_from_the_first(tmp_path):
    files = {"a0.png": b"no image", **FILES}
    summary = ingest(tmp_path / "w", make_folder(tmp_path / "f", files), limit=3)
    readable = [name for name in sorted(files, key=str.encode) if name != "a0.png"]
    assert stored(tmp_path / "w")[0] == readable[:3]
    assert summary["images"] == 3


def test_unreadable_files_are_skipped_counted_and_listed_with_the_reason(tmp_path):
    files = {
        **FILES,
        "notes.txt": b"hello",
        "text.png": b"hello",
        "empty.png": b"",
        "cut.png": FILES["b.png"][:-30],
        ".hidden.png": b"ignored",
        ".DS_Store": b"ignored",
        "__MACOSX/x.png": b"ignored",
    }
    source = make_folder(tmp_path / "f", files)
    os.mkfifo(source / "pipe.png")
    (source / "dangling.png").symlink_to("nowhere")
    (source / "loop").symlink_to(".")
    summary = ingest(tmp_path / "w", source)
    listed = report(tmp_path / "w")
    skipped = {line["name"]: line["reason"] for line in listed if line["row"] == ""}
    assert set(skipped) == {
        "notes.txt",
        "text.png",
        "empty.png",
        "cut.png",
        "pipe.png",
        "dangling.png",
        "loop",
    }
    assert all(skipped.values())
    assert "not a regular file" in skipped["pipe.png"]
    assert summary["skipped"] == 7
    assert stored(tmp_path / "w")[0] == IN_ORDER
    assert [line["name"] for line in listed] == sorted(
        [*NAMES, *skipped], key=str.encode
    )


def test_a_workspace_inside_the_source_is_left_out(tmp_path):
    source = make_folder(tmp_path, FILES)
    ingest(source / "work", source)
    (source / "work/picture.png").write_bytes(FILES["b.png"])
    ingest(source / "work", source)
    assert stored(source / "work")[0] == IN_ORDER


def test_links_to_files_are_followed(tmp_path):
    source = make_folder(tmp_path / "f", {"a.png": FILES["b.png"]})
    (tmp_path / "outside.png").write_bytes(FILES["B.png"])
    (source / "b.png").symlink_to(tmp_path / "outside.png")
    ingest(tmp_path / "w", source)
    np.testing.assert_array_equal(
        stored(tmp_path / "w")[1], [PIXELS["b.png"], PIXELS["B.png"]]
    )


def test_names_that_are_no_utf_8_are_stored_and_listed_as_escapes(tmp_path):
    (tmp_path / "f").mkdir()
    with open(os.fsencode(tmp_path / "f") + b'/caf\xe9,\n".png', "wb") as stream:  # noqa: PTH123
        stream.write(FILES["b.png"])
    ingest(tmp_path / "w", tmp_path / "f")
    assert stored(tmp_path / "w")[0] == ['caf\\xe9,\n".png']
    assert report(tmp_path / "w")[0]["name"] == 'caf\\xe9,\n".png'


def plan(tmp_path, **options: object):
    return PlanContext(
        workspace=Workspace.at(tmp_path / "w"),
        options=resolve_options("ingest", JOB.options, options),
        seed=1,
        device="cpu",
        ram_budget_bytes=10**9,
    )


def identity(tmp_path, source):
    return JOB.inputs(plan(tmp_path, source=str(source)))


@pytest.mark.parametrize(("name", "make"), [MAKERS[0], MAKERS[1], MAKERS[2]])
def test_the_identity_of_a_source_changes_with_it_and_not_otherwise(
    tmp_path, name, make
):
    source = make(tmp_path / name, FILES)
    before = identity(tmp_path, source)
    assert identity(tmp_path, source) == before
    make(tmp_path / name, {**FILES, "b.png": FILES["b.png"] + b"0"})
    assert identity(tmp_path, source) != before


def test_the_identity_of_a_folder_asks_once_for_each_file_and_sees_its_time(
    tmp_path, monkeypatch
):
    source = make_folder(tmp_path / "f", FILES)
    before = identity(tmp_path, source)
    asked = []
    stat = Path.stat

    def note(path: Path, **kwargs: bool) -> os.stat_result:
        asked.append(path)
        return stat(path, **kwargs)

    monkeypatch.setattr(Path, "stat", note)
    assert identity(tmp_path, source) == before
    assert asked.count(source / "b.png") == 1
    os.utime(source / "b.png", (1, 1))
    assert identity(tmp_path, source) != before


def test_the_identity_of_a_file_survives_a_fresh_copy(tmp_path):
    source = make_zip(tmp_path / "a.zip", FILES)
    before = identity(tmp_path, source)
    os.utime(source, (1, 1))
    assert identity(tmp_path, source) == before


def test_that_faces_are_drawn_is_said(tmp_path):
    overseer = Cutter()
    drive(JOB, tmp_path / "w", {"source": "faces:3", "size": 8}, overseer=overseer)
    assert any("faces:3: drawn faces" in line for line in overseer.lines)


def test_a_given_source_has_96_pixels_and_the_default_faces_64_unless_told(tmp_path):
    folder = make_folder(tmp_path / "f", FILES)
    for given, title, size in (
        ({}, "faces:2000", 64),
        ({"size": 32}, "faces:2000", 32),
        ({"source": "faces:5"}, "faces:5", 96),
        ({"source": "faces:5", "size": 64}, "faces:5", 64),
        ({"source": str(folder)}, str(folder), 96),
    ):
        options = resolve_options("ingest", JOB.options, given)
        recipe = recipe_from_options(options)
        assert (recipe.title, recipe.frame.size) == (title, size)


@pytest.mark.parametrize(
    "options",
    [
        {"crop": "left"},
        {"crop": "1,2,3"},
        {"crop": "5,5,5,9"},
        {"crop": "-1,0,5,9"},
        {"size": 4096},
        {"source": "faces:"},
        {"source": "faces:0"},
        {"source": "faces:-3"},
        {"source": "faces:1e3"},
    ],
)
def test_options_beyond_their_rule_are_wrong_usage(tmp_path, options):
    with pytest.raises(OptionValueError):
        JOB.inputs(plan(tmp_path, **{"source": "faces:2", **options}))


def test_a_source_that_is_missing_or_of_unknown_kind_is_bad_data(tmp_path):
    (tmp_path / "a.rar").write_bytes(b"")
    for name in ("absent", "a.rar"):
        with pytest.raises(DataError) as caught:
            identity(tmp_path, tmp_path / name)
        assert caught.value.exit_code == 65
        assert name in str(caught.value)


def test_chunks_of_large_images_hold_fewer_rows(tmp_path):
    for size, rows in ((8, 128), (96, 128), (256, 42), (2048, 1)):
        recipe = recipe_from_options(
            plan(tmp_path, source="faces:1", size=size).options
        )
        assert recipe.chunk_rows == rows


def test_each_smaller_rung_is_predicted_to_need_less(tmp_path):
    context = plan(tmp_path, source=str(tmp_path))
    needed = [JOB.predict(context, rung).ram_bytes for rung in JOB.ladder(context)]
    assert needed == sorted(needed, reverse=True)
    assert len(set(needed)) == 3
    # Drawn one after the other: nothing is decoded ahead.
    drawn = plan(tmp_path, source="faces:1")
    assert len({JOB.predict(drawn, rung).ram_bytes for rung in JOB.ladder(drawn)}) == 1
    assert JOB.predict(drawn, JOB.ladder(drawn)[0]).ram_bytes < needed[-1]


def jpeg(seed, size=(320, 320)):
    smooth = np.linspace(0, 255, size[0] * size[1] * 3).reshape(*size, 3) + seed
    stream = io.BytesIO()
    Image.fromarray(smooth.clip(0, 255).astype(np.uint8)).save(
        stream, "JPEG", quality=95
    )
    return stream.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "make"), MAKERS[:3])
@pytest.mark.parametrize("n_processes", [1, 2])
def test_a_jpeg_that_is_cut_short_is_kept_where_that_is_asked_for_and_listed(
    tmp_path, name, make, n_processes
):
    whole = jpeg(0)
    files = {f"{n:02}.jpg": jpeg(n) for n in range(20)}
    files |= {
        "a whole.jpg": whole,
        "b without its mark.jpg": whole[:-2],
        "c half.jpg": whole[: len(whole) // 2],
        "d head.jpg": whole[:100],
        "e cut.png": FILES["b.png"][:-30],
    }
    source = make(tmp_path / name, files)
    settings = {"decode_ahead": 8, "decode_processes": n_processes}
    request = {"source": str(source), "size": 16}
    drive(JOB, tmp_path / "w", request, settings=settings)
    assert {line["name"] for line in report(tmp_path / "w") if not line["row"]} == {
        *list(files)[-4:]
    }
    kept = {**request, "truncated": "keep"}
    summary = drive(JOB, tmp_path / "w2", kept, settings=settings)
    assert (summary["images"], summary["skipped"], summary["cut_short"]) == (23, 2, 2)
    lines = {line["name"]: line for line in report(tmp_path / "w2")}
    images = stored(tmp_path / "w2")[1]
    for one in ("b without its mark.jpg", "c half.jpg"):
        assert lines[one]["status"] == "stored"
        assert lines[one]["reason"] == "cut short: what is missing is grey"
    right = images[int(lines["a whole.jpg"]["row"])]
    np.testing.assert_array_equal(
        images[int(lines["b without its mark.jpg"]["row"])], right
    )
    half = images[int(lines["c half.jpg"]["row"])]
    np.testing.assert_array_equal(half[:4], right[:4])
    assert (half[-2:].std(axis=(0, 1)) < 3).all()

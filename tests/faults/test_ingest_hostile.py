from __future__ import annotations

import csv
import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image

from lowmem.base.errors import DataError, LowmemError, StorageError
from lowmem_jobs.ingest.job import JOB
from tests.driver import Cutter, drive
from tests.objects import write_array


def png(seed=0):
    random = np.random.default_rng(seed)
    stream = io.BytesIO()
    Image.fromarray(random.integers(0, 256, (8, 8, 3)).astype(np.uint8)).save(
        stream, "PNG"
    )
    return stream.getvalue()


GOOD = png()


def ingest(tmp_path, source, **options: object):
    return drive(JOB, tmp_path / "w", {"source": str(source), "size": 8, **options})


def outcome(tmp_path):
    with (tmp_path / "w/ingest-report.csv").open(
        newline="", encoding="utf-8"
    ) as stream:
        return {line["name"]: line["reason"] for line in csv.DictReader(stream)}


def assert_bad(tmp_path, source, *words: str, **options: object):
    """Assert exit code 65, one paragraph that says what and where, nothing published."""
    with pytest.raises(DataError) as caught:
        ingest(tmp_path, source, **options)
    message = str(caught.value)
    assert caught.value.exit_code == 65
    assert "\n" not in message
    for word in (source.name, *words):
        assert word in message, message
    published = {path.name for path in (tmp_path / "w").glob("*")}
    assert published <= {".lowmem"}


def zipped(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def tarred(path, members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def link(name, kind=tarfile.SYMTYPE):
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = "/etc/passwd"
    return member


OUTSIDE = ["../out.png", "a/../../out.png", "/out.png", "..\\out.png", "C:\\out.png"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_members_named_outside_the_archive_are_never_taken(tmp_path, name):
    only = zipped(tmp_path / "only.zip", [(name, GOOD)])
    assert_bad(tmp_path, only, "unsafe name")
    assert_bad(
        tmp_path,
        tarred(tmp_path / "only.tar", [(tarfile.TarInfo(name), GOOD)]),
        "unsafe",
    )
    both = zipped(tmp_path / "both.zip", [(name, GOOD), ("good.png", GOOD)])
    assert ingest(tmp_path, both)["images"] == 1
    assert any("unsafe name" in reason for reason in outcome(tmp_path).values())
    assert not list(tmp_path.parent.glob("out.png"))


def test_links_and_devices_in_archives_are_listed_and_not_followed(tmp_path):
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
    members = [(link(f"{kind.decode()}.png", kind), b"") for kind in kinds]
    source = tarred(tmp_path / "a.tar", [*members, (tarfile.TarInfo("good.png"), GOOD)])
    summary = ingest(tmp_path, source)
    assert (summary["images"], summary["skipped"]) == (1, 4)

    member = zipfile.ZipInfo("link.png")
    member.create_system = 3
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    source = zipped(tmp_path / "b.zip", [(member, b"/etc/passwd"), ("good.png", GOOD)])
    drive(JOB, tmp_path / "w2", {"source": str(source), "size": 8})
    assert "link" in (tmp_path / "w2/ingest-report.csv").read_text()


@pytest.mark.parametrize("suffix", ["zip", "tar"])
def test_of_members_with_one_name_the_last_one_counts(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix == "zip":
        with pytest.warns(UserWarning, match="Duplicate name"):
            zipped(path, [("a.png", png(1)), ("a.png", png(2))])
    else:
        tarred(path, [(tarfile.TarInfo("a.png"), png(seed)) for seed in (1, 2)])
    summary = ingest(tmp_path, path)
    images = zarr.open_group(tmp_path / "w/images.zarr", mode="r")["images"][:]
    assert (summary["images"], summary["skipped"]) == (1, 1)
    np.testing.assert_array_equal(images[0], Image.open(io.BytesIO(png(2))))


@pytest.mark.slow
def test_bombs_are_skipped_whatever_they_are_wrapped_in(tmp_path):
    stream = io.BytesIO()
    Image.new("1", (12000, 12000)).save(stream, "PNG")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pixels.png", stream.getvalue())
        archive.writestr("bytes.png", bytes(2**25))
        archive.writestr("good.png", GOOD)
    assert ingest(tmp_path, tmp_path / "a.zip")["images"] == 1
    reasons = outcome(tmp_path)
    assert "12000 x 12000 pixels" in reasons["pixels.png"]
    assert "unpacks to more than 250 times" in reasons["bytes.png"]


def test_a_compressed_tar_that_grows_without_measure_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("lowmem_jobs.ingest.tars._RATIO_FROM_BYTES", 2**21)
    members = [(tarfile.TarInfo("zeros.png"), bytes(2**23))]
    source = tarred(tmp_path / "a.tar.gz", members, "w:gz")
    assert_bad(tmp_path, source, "unpacks to more than 100 times")


def test_a_file_larger_than_the_limit_is_not_read(tmp_path, monkeypatch):
    for module in ("entries", "folder"):
        monkeypatch.setattr(f"lowmem_jobs.ingest.{module}.MAX_FILE_BYTES", 1000)
    (tmp_path / "f").mkdir()
    (tmp_path / "f/large.png").write_bytes(bytes(1001))
    (tmp_path / "f/good.png").write_bytes(GOOD)
    assert ingest(tmp_path, tmp_path / "f")["images"] == 1
    assert outcome(tmp_path)["large.png"] == "larger than 1000 bytes"


def test_an_encrypted_member_is_listed(tmp_path):
    source = zipped(tmp_path / "a.zip", [("a.png", GOOD), ("b.png", GOOD)])
    data = bytearray(source.read_bytes())
    data[data.find(b"PK\x01\x02") + 8] |= 1  # the flag in the directory
    source.write_bytes(data)
    ingest(tmp_path, source)
    assert outcome(tmp_path)["a.png"] == "encrypted"


def test_a_source_without_any_readable_image_is_refused(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert_bad(tmp_path, empty, "holds no images")
    (empty / "a.png").write_bytes(b"text")
    (empty / "b.png").write_bytes(b"")
    assert_bad(
        tmp_path, empty, "2 files", "none could be stored", "a.png: not an image"
    )
    assert_bad(tmp_path, zipped(tmp_path / "e.zip", []), "holds no images")
    assert_bad(tmp_path, tarred(tmp_path / "e.tar", []), "holds no images")


def archives(tmp_path):
    members = [(f"{i}.png", png(i)) for i in range(6)]
    infos = [(tarfile.TarInfo(name), data) for name, data in members]
    return [
        zipped(tmp_path / "a.zip", members),
        tarred(tmp_path / "a.tar", infos),
        tarred(tmp_path / "a.tar.gz", infos, "w:gz"),
        tarred(tmp_path / "a.tar.xz", infos, "w:xz"),
    ]


@pytest.mark.slow
def test_an_archive_cut_short_anywhere_is_refused_or_what_is_whole_is_taken(tmp_path):
    for archive in archives(tmp_path):
        data = archive.read_bytes()
        for part in range(8):
            cut = tmp_path / f"cut{part}{archive.name}"
            cut.write_bytes(data[: len(data) * part // 8])
            request = {"source": str(cut), "size": 8}
            if len(cut.read_bytes().rstrip(b"\0")) == len(data.rstrip(b"\0")):
                assert drive(JOB, tmp_path / "whole", request)["images"] == 6
                continue
            with pytest.raises(DataError):
                drive(JOB, tmp_path / "w", request)


@pytest.mark.slow
def test_an_altered_archive_never_fails_in_any_other_way_than_bad_data(tmp_path):
    random = np.random.default_rng(5)
    seen = set()
    for archive in archives(tmp_path):
        data = archive.read_bytes()
        for case in range(8):
            altered = bytearray(data)
            for place in random.integers(0, len(data), 1 + case % 8):
                altered[place] ^= 1 << random.integers(8)
            source = tmp_path / f"{case}{archive.name}"
            source.write_bytes(altered)
            try:
                drive(
                    JOB,
                    tmp_path / f"w{source.name}",
                    {"source": str(source), "size": 8},
                )
                seen.add(0)
            except LowmemError as error:
                seen.add(error.exit_code)
    assert seen == {0, 65}


@pytest.mark.parametrize("n_bytes", [-5, -(2**63), 2**63, 2**64, 2**80])
def test_a_tar_member_of_a_size_that_cannot_be_is_refused(tmp_path, n_bytes):
    header = bytearray(tarfile.TarInfo("a.png").tobuf(tarfile.GNU_FORMAT))
    # As large sizes are stored, and negative ones with it: 12 bytes to the base of 256.
    header[124:136] = (b"\x80" if n_bytes > 0 else b"\xff") + (
        n_bytes % 2**88
    ).to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a.tar").write_bytes(bytes(header) + bytes(10240))
    assert_bad(tmp_path, tmp_path / "a.tar", f"a member of {n_bytes} bytes")


def test_a_damaged_tar_header_is_not_taken_for_the_end(tmp_path):
    infos = [(tarfile.TarInfo(f"{i}.png"), png(i)) for i in range(3)]
    source = tarred(tmp_path / "a.tar", infos)
    data = bytearray(source.read_bytes())
    data[data.find(b"1.png")] ^= 1
    source.write_bytes(data)
    assert_bad(tmp_path, source, "no whole header")


ROWS = np.zeros((4, 8, 8, 3), np.uint8)
BAD_ARRAYS = {
    "objects": (np.array([{"a": 1}, None], dtype=object), "object"),
    "two axes": (np.zeros((4, 8), np.uint8), "(4, 8)"),
    "five axes": (np.zeros((1, 2, 3, 4, 5), np.uint8), "(1, 2, 3, 4, 5)"),
    "two channels": (np.zeros((4, 8, 8, 2), np.uint8), "(4, 8, 8, 2)"),
    "empty images": (np.zeros((4, 0, 8), np.uint8), "(4, 0, 8)"),
    "no images": (ROWS[:0], "no images"),
    "int64": (ROWS.astype(np.int64), "int64"),
    "text": (np.full((2, 2, 2), "x"), "<U1"),
    "records": (np.zeros((2, 2, 2), "u1,f4"), "f4"),
    "floats to 255": (np.full((4, 8, 8), 200.0), "from 200 to 200"),
    "not a number": (np.full((4, 8, 8), np.nan), "nan"),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_an_array_that_is_not_images_is_refused_and_never_unpickled(
    tmp_path, name, suffix
):
    array, word = BAD_ARRAYS[name]
    path = tmp_path / f"a.{suffix}"
    write_array(path, array, tmp_path / "unpickled")
    assert_bad(tmp_path, path, word)
    assert not (tmp_path / "unpickled").exists()


def test_an_array_file_cut_short_or_altered_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", ROWS)
    data = (tmp_path / "a.npy").read_bytes()
    for length in (0, 5, 40, 127, 128, len(data) - 1):
        (tmp_path / "a.npy").write_bytes(data[:length])
        assert_bad(tmp_path, tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes(data.replace(b"(4, 8", b"(9, 8"))
    assert_bad(tmp_path, tmp_path / "a.npy", "cut short")
    for shape in (b"(-4, 8, 8, 3)", b"(4, -8, -8, 3)", b"(%d, 8, 8, 3)" % 10**30):
        header = b"{'descr': '|u1', 'fortran_order': False, 'shape': %s}" % shape
        header = header.ljust(117) + b"\n"
        (tmp_path / "a.npy").write_bytes(
            b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
        )
        assert_bad(tmp_path, tmp_path / "a.npy", "has the shape")


def test_an_npz_of_several_unnamed_arrays_or_of_nothing_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", ROWS, ROWS)
    assert_bad(tmp_path, tmp_path / "a.npz", "arr_0", "one called images")
    (tmp_path / "a.npz").write_bytes(b"PK")
    assert_bad(tmp_path, tmp_path / "a.npz")


@pytest.mark.slow
def test_a_truncated_chunk_of_a_zarr_source_is_refused(tmp_path):
    source = {"source": "faces:200", "size": 8}
    drive(JOB, tmp_path / "source", source)
    chunk = tmp_path / "source/images.zarr/images/c.1.0.0.0"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"c\.1\.0\.0\.0 .* samples 128 to 199"):
        ingest(tmp_path, tmp_path / "source/images.zarr")
    assert not (tmp_path / "w/images.zarr").exists()


def test_a_failing_disk_is_no_unreadable_image(tmp_path, monkeypatch):
    (tmp_path / "f").mkdir()
    (tmp_path / "f/a.png").write_bytes(GOOD)

    opens = Path.open

    def fail(path, *mode, **options):
        if path.name != "a.png":
            return opens(path, *mode, **options)
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr("lowmem_jobs.ingest.folder.Path.open", fail)
    with pytest.raises(StorageError, match="Input/output error"):
        ingest(tmp_path, tmp_path / "f")


@pytest.mark.parametrize("name", ["labels.gsheet", "notes.gdoc"])
def test_a_document_of_a_drive_that_cannot_be_opened_is_skipped_and_listed(
    tmp_path, monkeypatch, name
):
    (tmp_path / "f").mkdir()
    for one in ("a.png", name, "z.png"):
        (tmp_path / "f" / one).write_bytes(GOOD)
    opens = Path.open

    def fail(path, *mode, **options):
        if path.name != name:
            return opens(path, *mode, **options)
        raise OSError(95, "Operation not supported", str(path))

    monkeypatch.setattr("lowmem_jobs.ingest.folder.Path.open", fail)
    summary = ingest(tmp_path, tmp_path / "f")
    assert (summary["images"], summary["skipped"]) == (2, 1)
    assert outcome(tmp_path)[name] == "cannot be read: Operation not supported"


class Meddler(Cutter):
    """Changes a source once the first commit is made."""

    def __init__(self, change) -> None:
        super().__init__()
        self._change = change

    def committed(self, cycle, returned_bytes):
        if not self.cycles:
            self._change()
        return super().committed(cycle, returned_bytes)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["zip", "tar"])
def test_an_archive_that_changes_while_it_is_read_is_refused(
    tmp_path, suffix, monkeypatch
):
    monkeypatch.setattr("lowmem_jobs.ingest.ingest_recipe._CHUNK_ROWS", 4)
    source = tmp_path / f"a.{suffix}"
    members = [(f"{i:03}.png", png(i)) for i in range(100)]
    if suffix == "zip":
        zipped(source, members)
    else:
        tarred(source, [(tarfile.TarInfo(name), data) for name, data in members])

    def append():
        with source.open("ab") as stream:
            stream.write(bytes(512))

    request = {"source": str(source), "size": 8}
    with pytest.raises(DataError, match=r"changed or replaced while it was read"):
        drive(JOB, tmp_path / "w", request, cycle_steps=12, overseer=Meddler(append))
    assert not (tmp_path / "w/images.zarr").exists()


@pytest.mark.slow
def test_files_that_change_after_they_were_listed_are_skipped_and_listed(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("lowmem_jobs.ingest.ingest_recipe._CHUNK_ROWS", 4)
    folder = tmp_path / "f"
    folder.mkdir()
    for index in range(100):
        (folder / f"{index:03}.png").write_bytes(png(index))

    def change():
        (folder / "097.png").unlink()
        (folder / "098.png").write_bytes(png(1) + b"more")
        os.utime(folder / "099.png", (1, 1))

    request = {"source": str(folder), "size": 8}
    summary = drive(
        JOB, tmp_path / "w", request, cycle_steps=12, overseer=Meddler(change)
    )
    assert (summary["images"], summary["skipped"]) == (97, 3)
    reasons = outcome(tmp_path)
    assert "No such file" in reasons["097.png"]
    for name in ("098.png", "099.png"):
        assert reasons[name] == "changed while the folder was read"

"""Data are staged whole, only what changed again, and nothing from outside the source."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowmem.base.errors import DataError
from lowmem.base.errors_staging import (
    ReadBackError,
    SourceChangedError,
    SourceReadError,
    StagingPlaceError,
    StagingSpaceError,
)
from lowmem.protocol.options import resolve_options
from lowmem.staging.copied_blocks import Ledger
from lowmem.staging.copy_plan import Known, Stamp, next_offset
from lowmem.staging.copying import stage
from lowmem.staging.survey import source_errors
from lowmem_jobs.ingest.ingest_recipe import recipe_from_options, source_identity
from lowmem_jobs.ingest.job import JOB

BLOCK = 100
CONTENT = bytes(range(256)) * 4  # 1,024 bytes: eleven blocks


class Interruption(BaseException):
    """Stands for the end of the process; tests/processes/test_staging.py has real ones."""


class Told:
    """A listener that keeps what it hears, and acts at the n-th time."""

    def __init__(self, at: int = 0, act=lambda: None) -> None:
        self.heard, self.at, self.act = [], at, act

    def __call__(self, phase, done_bytes, total_bytes) -> None:
        assert 0 <= done_bytes <= total_bytes
        self.heard.append((phase, done_bytes))
        if len(self.heard) == self.at:
            self.act()


def copied(source: Path, folder: Path, told=None):
    return stage(source, folder, tell=told or Told(), block_bytes=BLOCK)


def interrupted(source: Path, folder: Path, at: int) -> None:
    def interrupt():
        raise Interruption

    with pytest.raises(Interruption):
        copied(source, folder, Told(at, interrupt))
    assert not (folder / source.name).exists()


def overwrite(path: Path, content: bytes) -> None:
    """Give a file another content, size and time as before."""
    status = path.stat()
    assert len(content) == status.st_size
    with path.open("r+b") as stream:
        stream.write(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def blank(path: Path, n_bytes: int) -> None:
    """Zero the beginning of a file: seen only by who reads it."""
    overwrite(path, bytes(n_bytes) + path.read_bytes()[n_bytes:])


def contents(folder: Path) -> dict[str, bytes]:
    files_ = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files_}


@pytest.fixture
def archive(tmp_path) -> Path:
    path = tmp_path / "drive" / "faces.zip"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def images(tmp_path) -> Path:
    """A folder of five files in two folders, one empty, one of several blocks."""
    folder = tmp_path / "drive" / "faces"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "one.png").write_bytes(b"1" * 250)
    (folder / "a" / "b" / "two.png").write_bytes(b"2" * 30)
    (folder / "empty.png").write_bytes(b"")
    (folder / ".zattrs").write_bytes(b"{}")
    (folder / "three.png").write_bytes(b"3" * 100)
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        os.utime(path, (10**9 + number, 10**9 + number))
    return folder


# --- the decision ------------------------------------------------------------------

SIZES = st.integers(0, 10 * BLOCK)


@given(size=SIZES, here=SIZES, n_blocks=st.integers(0, 12), is_whole=st.booleans())
def test_copying_goes_on_at_a_block_that_both_the_ledger_and_the_copy_hold(
    size, here, n_blocks, is_whole
):
    seen = Stamp(size_bytes=size, changed_ns=1)
    known = Known(stamp=seen, n_blocks=n_blocks, is_whole=is_whole)
    offset = next_offset(seen, known, Stamp(size_bytes=here, changed_ns=1), BLOCK)
    if is_whole:
        assert offset == (None if here == size else 0)
    else:
        assert offset % BLOCK == 0
        assert offset <= min(size, here, n_blocks * BLOCK)
        assert offset + BLOCK > min(size, here, n_blocks * BLOCK)


@given(known=st.booleans(), is_whole=st.booleans(), change=st.sampled_from("st"))
def test_a_source_of_another_size_or_time_is_copied_from_its_start(
    known, is_whole, change
):
    old = Stamp(size_bytes=500, changed_ns=1)
    new = Stamp(
        size_bytes=501 if change == "s" else 500, changed_ns=1 + (change == "t")
    )
    before = Known(stamp=old, n_blocks=5, is_whole=is_whole) if known else None
    assert next_offset(new, before, old, BLOCK) == 0


# --- one file ----------------------------------------------------------------------


def test_a_copy_goes_on_where_it_was_interrupted_and_reads_nothing_twice(
    archive, tmp_path
):
    for at in (3, 4, 5):
        interrupted(archive, tmp_path / "data", at)
    blank(archive, 500)  # Of six blocks the last one is read again, as a test.
    told = Told()
    found = copied(archive, tmp_path / "data", told)
    assert found.path.read_bytes() == CONTENT
    assert told.heard[0] == ("copying", 600)
    assert found.copied_bytes == len(CONTENT) - 600


def test_what_is_copied_already_is_not_read_again(archive, tmp_path):
    copied(archive, tmp_path / "data")
    blank(archive, len(CONTENT))
    told = Told()
    found = copied(archive, tmp_path / "data", told)
    assert found.path.read_bytes() == CONTENT
    assert (found.copied_bytes, told.heard) == (0, [])


def test_a_source_replaced_behind_its_size_and_time_is_copied_from_its_start(
    archive, tmp_path
):
    interrupted(archive, tmp_path / "data", 6)
    other = CONTENT[::-1]
    overwrite(archive, other)
    assert copied(archive, tmp_path / "data").path.read_bytes() == other


@pytest.mark.parametrize("at", [0, 5], ids=["whole", "in the middle"])
def test_a_source_that_changed_is_copied_anew(archive, tmp_path, at):
    if at:
        interrupted(archive, tmp_path / "data", at)
    else:
        copied(archive, tmp_path / "data")
    archive.write_bytes(b"another archive" * 50)
    found = copied(archive, tmp_path / "data")
    assert found.path.read_bytes() == archive.read_bytes()


def test_a_copy_that_was_changed_here_is_made_again(archive, tmp_path):
    copy = copied(archive, tmp_path / "data").path
    copy.write_bytes(b"somebody wrote here")
    copied(archive, tmp_path / "data")
    assert copy.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "other", [CONTENT + b"more", CONTENT[:-1] + b"!", CONTENT[:-1]], ids=len
)
def test_a_source_that_changes_while_it_is_read_is_refused_and_nothing_published(
    archive, tmp_path, other
):
    def change():
        archive.write_bytes(other)

    with pytest.raises(SourceChangedError, match="zip was changed"):
        copied(archive, tmp_path / "data", Told(4, change))
    assert not (tmp_path / "data" / "faces.zip").exists()
    assert copied(archive, tmp_path / "data").path.read_bytes() == other


def test_a_copy_that_the_disk_did_not_keep_is_copied_again_from_there(
    archive, tmp_path
):
    draft = tmp_path / "data" / ".staging" / "faces.zip" / "copy"
    # The twelfth line comes when all eleven blocks are written.
    told = Told(13, lambda: overwrite(draft, CONTENT[:400] + b"bad" + CONTENT[403:]))
    found = copied(archive, tmp_path / "data", told)
    assert found.path.read_bytes() == CONTENT
    assert ("copying", 400) in told.heard[13:]
    assert found.copied_bytes == len(CONTENT) + len(CONTENT) - 400


def test_a_disk_that_twice_gives_back_other_bytes_is_named(
    archive, tmp_path, monkeypatch
):
    def forget(path):
        overwrite(path, bytes(path.stat().st_size))

    monkeypatch.setattr("lowmem.staging.block_copy.sync_file", forget)
    with pytest.raises(ReadBackError, match="another disk"):
        copied(archive, tmp_path / "data")
    assert not (tmp_path / "data" / "faces.zip").exists()


def test_where_there_is_no_room_nothing_is_copied_and_the_figures_are_said(tmp_path):
    source = tmp_path / "huge.tar"
    with source.open("wb") as stream:
        stream.truncate(2**42)
    with pytest.raises(StagingSpaceError, match=r"free, expected 4096\.00 GiB"):
        copied(source, tmp_path / "data")
    assert list((tmp_path / "data").glob("*.tar")) == []


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOENT, SourceChangedError),
        (errno.EACCES, DataError),
        (errno.EIO, SourceReadError),
        (errno.ENOTCONN, SourceReadError),
    ],
)
def test_a_failure_of_the_source_is_told_from_one_of_the_copy(code, kind):
    with pytest.raises(kind) as caught, source_errors(b"/drive/faces.zip"):
        raise OSError(code, os.strerror(code))
    assert type(caught.value) is kind
    assert "/drive/faces.zip" in str(caught.value)


# --- folders -----------------------------------------------------------------------


def test_a_folder_is_copied_with_its_folders_hidden_and_empty_files(images, tmp_path):
    found = copied(images, tmp_path / "data")
    assert contents(found.path) == contents(images)
    assert (found.n_files, found.n_bytes, found.n_left_out) == (5, 382, 0)


def test_the_copy_of_a_folder_is_the_same_source_to_ingest(images, tmp_path):
    def identity(folder: Path) -> str:
        options = resolve_options("ingest", JOB.options, {"source": str(folder)})
        return source_identity(recipe_from_options(options), tmp_path / "w")

    copy = copied(images, tmp_path / "data").path
    assert identity(copy) == identity(images)


@pytest.mark.parametrize("at", range(1, 16))
def test_a_folder_goes_on_from_the_file_where_it_was_interrupted(images, tmp_path, at):
    interrupted(images, tmp_path / "data", at)
    found = copied(images, tmp_path / "data")
    assert contents(found.path) == contents(images)


def test_what_went_from_a_folder_while_its_copying_was_cut_is_not_in_the_copy(
    images, tmp_path
):
    interrupted(images, tmp_path / "data", 10)
    draft = tmp_path / "data" / ".staging" / "faces" / "copy"
    assert (draft / "a" / "one.png").exists()
    (images / "a" / "one.png").unlink()
    assert contents(copied(images, tmp_path / "data").path) == contents(images)


def test_of_a_folder_only_what_changed_is_copied_again(images, tmp_path):
    copy = copied(images, tmp_path / "data").path
    kept = (copy / "a" / "one.png").stat().st_ino
    (images / "three.png").write_bytes(b"three")
    (images / "a" / "b" / "two.png").unlink()
    (images / "four.png").write_bytes(b"4" * 40)
    found = copied(images, tmp_path / "data")
    assert contents(copy) == contents(images)
    assert found.copied_bytes == 5 + 40
    assert (copy / "a" / "one.png").stat().st_ino == kept


def test_a_second_name_of_the_published_copy_is_never_written_to(images, tmp_path):
    copy = copied(images, tmp_path / "data").path
    (images / "new.png").write_bytes(b"new")
    draft = tmp_path / "data" / ".staging" / "faces" / "copy"
    seen = []

    def spoil():
        # The draft's second name, and so the published file: as if the disk had.
        overwrite(draft / "a" / "one.png", b"1" * 200 + b"x" * 50)
        seen.append((copy / "a" / "one.png").stat().st_ino)

    # Copying begins, then `new.png` from 0 on and whole; then it is read back.
    found = copied(images, tmp_path / "data", Told(4, spoil))
    assert contents(found.path) == contents(images)
    assert (found.path / "a" / "one.png").stat().st_ino != seen[0]


def test_a_drive_that_shows_nothing_takes_nothing_from_the_copy(images, tmp_path):
    copy = copied(images, tmp_path / "data").path
    before = contents(copy)
    images.rename(images.with_name("elsewhere"))
    images.mkdir()
    with pytest.raises(DataError, match="holds no files"):
        copied(images, tmp_path / "data")
    assert contents(copy) == before


def test_no_link_leads_outside_and_what_is_no_file_is_listed(images, tmp_path):
    (tmp_path / "secret").write_text("not of the source")
    (images / "out.png").symlink_to(tmp_path / "secret")
    (images / "a" / "up.png").symlink_to("../../../secret")
    (images / "in.png").symlink_to("a/one.png")
    (images / "circle").symlink_to("a")
    (images / "nowhere.png").symlink_to("gone.png")
    os.mkfifo(images / "pipe")
    found = copied(images, tmp_path / "data")
    names = set(contents(found.path))
    assert names == {
        ".zattrs",
        "a/b/two.png",
        "a/one.png",
        "empty.png",
        "in.png",
        "three.png",
    }
    assert (found.path / "in.png").read_bytes() == b"1" * 250
    assert not any(path.is_symlink() for path in found.path.rglob("*"))
    assert sorted(found.left_out) == [
        "a/up.png: a link that leads outside",
        "circle: a link to a folder",
        "nowhere.png: a link that leads nowhere",
        "out.png: a link that leads outside",
        "pipe: not a regular file",
    ]
    assert found.n_left_out == 5


def test_sha256sum_finds_every_file_as_it_was_read(images, tmp_path):
    for name in (b"a b.png", b"back\\slash\nline.png", b"caf\xe9.png"):
        (images / os.fsdecode(name)).write_bytes(name)
    found = copied(images, tmp_path / "data")
    check = ["sha256sum", "--strict", "--quiet", "-c", found.checksums]
    subprocess.run(check, cwd=tmp_path / "data", check=True)
    lines = found.checksums.read_bytes().split(b"\n")
    one = hashlib.sha256(b"1" * 250).hexdigest().encode()
    assert one + b"  faces/a/one.png" in lines
    assert len(lines) == 8 + 1


# --- places ------------------------------------------------------------------------


def test_what_was_not_staged_is_never_replaced(archive, tmp_path):
    (tmp_path / "data").mkdir()
    mine = tmp_path / "data" / "faces.zip"
    mine.write_bytes(b"mine")
    with pytest.raises(StagingPlaceError, match="was not staged"):
        copied(archive, tmp_path / "data")
    assert mine.read_bytes() == b"mine"


def test_a_copy_of_another_kind_is_not_replaced(archive, images, tmp_path):
    copied(archive, tmp_path / "data")
    archive.unlink()
    images.rename(archive)
    with pytest.raises(StagingPlaceError, match="two of a kind"):
        copied(archive, tmp_path / "data")
    assert (tmp_path / "data" / "faces.zip").read_bytes() == CONTENT


def test_a_copy_into_its_own_source_is_refused(images, tmp_path):
    for folder in (images.parent, images, images / "a"):
        with pytest.raises(StagingPlaceError):
            copied(images, folder)
    assert not list(tmp_path.rglob(".staging"))
    with pytest.raises(DataError, match="is not there"):
        copied(tmp_path / "nothing", tmp_path / "data")


def test_one_destination_serves_one_process_at_a_time(archive, tmp_path):
    ledger = tmp_path / "data" / ".staging" / "faces.zip" / "ledger"
    ledger.parent.mkdir(parents=True)
    with (
        Ledger.open(ledger, block_bytes=BLOCK),
        pytest.raises(StagingPlaceError, match="in use by another"),
    ):
        copied(archive, tmp_path / "data")
    assert copied(archive, tmp_path / "data").path.read_bytes() == CONTENT


@pytest.mark.parametrize("damage", [b"", b"no database", None], ids=str)
def test_a_ledger_that_cannot_be_read_costs_a_copy_and_no_more(
    archive, tmp_path, damage
):
    interrupted(archive, tmp_path / "data", 6)
    ledger = tmp_path / "data" / ".staging" / "faces.zip" / "ledger"
    if damage is None:
        ledger.unlink()
    else:
        ledger.write_bytes(damage)
    found = copied(archive, tmp_path / "data")
    assert found.path.read_bytes() == CONTENT
    assert found.copied_bytes == len(CONTENT)


# --- documents of a mounted Drive that are no files ---------------------------------


def shut(monkeypatch, *names: str) -> None:
    """Let these be listed and not opened, as Google's own documents on a Drive."""
    opens = os.open

    def open_(path, *arguments, **options):
        if os.fsdecode(path).endswith(names):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return opens(path, *arguments, **options)

    monkeypatch.setattr("lowmem.staging.block_copy.os.open", open_)


def test_what_is_listed_and_cannot_be_opened_is_left_out_and_said_each_time(
    images, tmp_path, monkeypatch
):
    (images / "a" / "labels.gsheet").write_bytes(b"{}" * 85)
    (images / "notes.gdoc").write_bytes(b"{}")
    shut(monkeypatch, ".gsheet", ".gdoc")
    right = {name: data for name, data in contents(images).items() if ".g" not in name}
    for n_copied in (382, 0):
        copy = copied(images, tmp_path / "data")
        assert contents(copy.path) == right
        assert (copy.n_files, copy.n_bytes, copy.copied_bytes) == (5, 382, n_copied)
        assert copy.n_left_out == 2
        assert sorted(copy.left_out) == [
            "a/labels.gsheet: cannot be opened: Operation not supported",
            "notes.gdoc: cannot be opened: Operation not supported",
        ]
    # One that becomes a file is copied then.
    monkeypatch.undo()
    shut(monkeypatch, ".gdoc")
    assert copied(images, tmp_path / "data").n_left_out == 1


def test_a_source_of_which_nothing_can_be_opened_is_refused(
    archive, images, tmp_path, monkeypatch
):
    shut(monkeypatch, ".png", ".zip", ".zattrs")
    for source in (archive, images):
        with pytest.raises(DataError, match="holds no files that can be opened"):
            copied(source, tmp_path / "data")
        assert not (tmp_path / "data" / source.name).exists()

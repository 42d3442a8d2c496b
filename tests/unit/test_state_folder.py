"""A program's state folder: committed as it stands, put back as it was, or refused."""

from __future__ import annotations

import os
import tarfile

import pytest

from lowmem.base.clock import SystemClock
from lowmem.base.errors import CorruptFileError
from lowmem.base.errors_exec import StateFolderError
from lowmem.base.workspace import Workspace
from lowmem.checkpoints import folder_commit as module
from lowmem.checkpoints.folder_commit import ARCHIVE, restore_folder
from lowmem.checkpoints.generations import generations, newest_whole
from lowmem.protocol.messages import Progressed
from lowmem.supervisor.exec_files import ExecFiles, progress_from_line


@pytest.fixture
def desk(tmp_path):
    found = ExecFiles(
        space=Workspace.at(tmp_path), job="exec-x", recipe={}, clock=SystemClock()
    )
    found.begin()
    return found


def state_of(desk):
    return desk.space.state("exec-x")


def everything(root):
    return {
        p.relative_to(root).as_posix(): None if p.is_dir() else p.read_bytes()
        for p in root.rglob("*")
    }


def test_each_attempt_finds_exactly_what_was_committed_last(desk):
    state = state_of(desk)
    (state / "empty" / "deep").mkdir(parents=True)
    (state / "a b\nc").write_bytes(b"\0" * 3_000_000)
    (state / "run.sh").write_text("exit 0")
    (state / "run.sh").chmod(0o750)
    before = everything(state)
    desk.commit({"rung": 0}, "running")
    (state / "a b\nc").unlink()
    (state / "run.sh").write_text("changed")
    (state / "new").touch()
    desk.begin()
    assert everything(state) == before
    assert (state / "run.sh").stat().st_mode & 0o777 == 0o750
    assert desk.next_cycle == 1
    # Nothing is kept of a folder that is empty, and that is a state too.
    for name in ("a b\nc", "run.sh"):
        (state / name).unlink()
    (state / "empty" / "deep").rmdir()
    (state / "empty").rmdir()
    desk.commit({"rung": 0}, "running")
    (state / "new").touch()
    desk.begin()
    assert everything(state) == {}
    assert desk.next_cycle == 2


@pytest.mark.parametrize("kind", ["link", "pipe", "name"])
def test_what_cannot_be_kept_is_refused_and_the_former_commit_stands(desk, kind):
    state = state_of(desk)
    (state / "n").write_text("1")
    desk.commit({}, "running")
    (state / "n").write_text("2")
    if kind == "link":
        (state / "odd").symlink_to("/etc/passwd")
    elif kind == "pipe":
        os.mkfifo(state / "odd")
    else:
        (state / os.fsdecode(b"odd\xff")).touch()
    with pytest.raises(StateFolderError, match="odd"):
        desk.commit({}, "running")
    assert generations(desk.space.checkpoints("exec-x")) == [0]
    desk.begin()
    assert everything(state) == {"n": b"1"}


@pytest.mark.parametrize("change", ["longer", "shorter", "gone"])
def test_a_file_that_is_changed_while_it_is_committed_is_refused(
    desk, monkeypatch, change
):
    path = state_of(desk) / "rows"
    path.write_bytes(b"x" * 100)
    add = module._add

    def add_changed(archive, file, name):
        if change == "gone":
            file.unlink()
        status = os.fstat

        def after(descriptor):
            found = status(descriptor)
            if change == "longer":
                path.write_bytes(b"x" * 200)
            elif change == "shorter":
                path.write_bytes(b"x" * 10)
            return found

        with monkeypatch.context() as patch:
            patch.setattr(module.os, "fstat", after)
            add(archive, file, name)

    monkeypatch.setattr(module, "_add", add_changed)
    with pytest.raises(StateFolderError, match="changed while it was committed"):
        desk.commit({}, "running")


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "a/../../out", "link"])
def test_an_archive_that_leads_elsewhere_writes_nothing_outside(tmp_path, name):
    generation = tmp_path / "gen"
    generation.mkdir()
    entry = tarfile.TarInfo(name)
    if name == "link":
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc"
    with tarfile.open(generation / ARCHIVE, "w") as archive:
        archive.addfile(entry)
    with pytest.raises(CorruptFileError, match="no state"):
        restore_folder(generation, tmp_path / "state")
    assert not (tmp_path / "out").exists()
    assert everything(tmp_path / "state") == {}


def test_the_same_state_is_the_same_bytes(desk):
    state = state_of(desk)
    (state / "n").write_text("1")
    sums = []
    for at in (0, 10**9):
        os.utime(state / "n", (at, at))
        desk.commit({}, "running")
        newest = newest_whole(desk.space.checkpoints("exec-x"))
        sums.append(newest.manifest.files[ARCHIVE].sha256)
    assert sums[0] == sums[1]


def test_progress_is_the_last_whole_line_and_items_are_counted_from_commit_to_commit(
    desk,
):
    path = desk.space.desk("exec-x") / "progress"
    assert desk.progress() is None
    path.write_text("1 10 begun\n3 10 reading\n7")
    assert desk.progress() == Progressed(done=3, total=10, note="reading")
    assert desk.progress() is None
    assert desk.commit({}, "running").items == 3
    path.write_text("no number at all\n")
    assert desk.progress() is None
    path.write_text("12\n")
    assert desk.commit({}, "running").items == 9
    desk.begin()
    path.write_text("13\n")
    assert desk.commit({}, "running").items == 1


def test_a_line_of_progress_is_done_total_and_note():
    assert progress_from_line(b"3/10 of it\r\n") == Progressed(
        done=3, total=10, note="of it"
    )
    assert progress_from_line(b"-3") is None
    assert progress_from_line(b"9" * 30) is None


def test_a_commit_is_wanted_until_it_is_answered(desk):
    marker = desk.space.desk("exec-x") / "commit"
    assert not desk.is_commit_wanted()
    marker.touch()
    assert desk.is_commit_wanted()
    desk.answer()
    assert not marker.exists()

"""A workspace that lost the end of its history gets it from its mirror, whole or not yet."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress

import pytest

from lowmem.base.errors import StorageError
from lowmem.base.redo_log import finish_placing
from lowmem.base.workspace import Workspace
from lowmem.checkpoints.commit import commit
from lowmem.checkpoints.manifest import Manifest
from lowmem.mirror.remote import Remote
from lowmem.mirror.serve import answer_recover
from tests import mirrors
from tests.faults.broken_disk import Disk, broken

pytestmark = pytest.mark.fault


@pytest.fixture
def space(tmp_path):
    return Workspace.at(tmp_path / "here" / "work")


@pytest.fixture
def remote(tmp_path):
    return Remote.open(str(tmp_path / "mirror"), "work")


def answer(remote, space, **more):
    return answer_recover(remote, space, "mirror", **more)


@pytest.fixture
def history(space, tmp_path):
    """Two jobs, the second of which replaces the first's result; a copy at every step."""
    mirror, copies = tmp_path / "mirror", []

    def keep():
        copy = Workspace.at(tmp_path / f"copy-{len(copies)}" / "work")
        shutil.copytree(space.root, copy.root)
        copies.append(copy)

    sender = mirrors.uploader(space, mirror)
    for job, text in (("ingest", "old"), ("append", "old and new")):
        mirrors.begin(space, job)
        sender.upload(mirrors.commit(space, 0, job), is_last=False)
        keep()
        shutil.rmtree(space.staging(job))
        (space.root / "images.zarr").mkdir(exist_ok=True)
        (space.root / "images.zarr" / job).write_text(text)
        (space.root / "images.zarr" / "zarr.json").write_text(text)
        news = mirrors.finish(space, 0, ("images.zarr",), job)
        sender.upload(news, is_last=False)
        keep()
    return copies


def test_an_older_copy_is_taken_to_where_the_mirror_is(space, remote, history):
    for copy in history[:-1]:
        found = answer(remote, copy)
        assert found.is_changed
        assert mirrors.sums(copy.root) == mirrors.sums(space.root)
    assert not answer(remote, space).is_changed


def test_nothing_of_what_was_replaced_comes_back_to_an_empty_place(
    space, remote, history, tmp_path
):
    """Else a store would hold chunks of its former self."""
    other = Workspace.at(tmp_path / "there" / "work")
    answer(remote, other)
    assert mirrors.sums(other.root) == mirrors.sums(space.root)
    for archive in (tmp_path / "mirror" / "work").glob("append-*"):
        archive.unlink()
    other = Workspace.at(tmp_path / "elsewhere" / "work")
    answer(remote, other)
    # As the ingest left it, journal included.
    assert mirrors.sums(other.root) == mirrors.sums(history[1].root)


@pytest.mark.usefixtures("history")
def test_a_result_that_did_not_travel_is_told_and_not_what_it_was_before(
    remote, space, tmp_path
):
    for archive in (tmp_path / "mirror" / "work").glob("append-*"):
        archive.unlink()
    mirrors.begin(space, "encode")
    sender = mirrors.uploader(space, tmp_path / "mirror")
    sender.upload(mirrors.commit(space, 0, "encode"), is_last=False)
    other = Workspace.at(tmp_path / "there" / "work")
    found = answer(remote, other)
    assert not (other.root / "images.zarr").exists()
    assert "does not hold images.zarr" in found.notes[0]


def test_a_result_that_is_older_than_the_journal_tells_is_told(
    remote, history, space, tmp_path
):
    """What was appended on the lost machine was too large for the mirror."""
    for archive in (tmp_path / "mirror" / "work").glob("append-*"):
        archive.unlink()
    mirrors.begin(space, "encode")
    sender = mirrors.uploader(space, tmp_path / "mirror")
    sender.upload(mirrors.commit(space, 0, "encode"), is_last=False)
    copy = history[1]
    before = mirrors.sums(copy.root / "images.zarr")
    found = answer(remote, copy)
    assert found.is_changed
    assert mirrors.sums(copy.root / "images.zarr") == before
    assert "what is here is older" in " ".join(found.notes)
    # Moved away, it is as on a new machine.
    assert not any("older" in note for note in answer(remote, space).notes)


@pytest.mark.usefixtures("history")
def test_a_store_of_unknown_origin_stays_as_a_whole(remote, tmp_path):
    other = Workspace.at(tmp_path / "there" / "work")
    (other.root / "images.zarr").mkdir(parents=True)
    (other.root / "images.zarr" / "mine").write_text("the user's")
    found = answer(remote, other)
    assert [p.name for p in (other.root / "images.zarr").iterdir()] == ["mine"]
    assert str(other.root / "images.zarr") in found.notes[0]


def test_a_copy_that_went_another_way_is_left_alone(remote, history):
    copy = history[0]
    mirrors.commit(copy, 1, "ingest")
    before = mirrors.sums(copy.root)
    found = answer(remote, copy)
    assert not found.is_changed
    assert "another machine" in found.notes[0]
    assert mirrors.sums(copy.root) == before


def test_where_nothing_newer_is_whole_a_copy_goes_on_from_where_it_is(
    remote, history, tmp_path
):
    before = mirrors.sums(history[2].root)
    newest = max((tmp_path / "mirror" / "work").glob("append-*.lowmem"))
    data = bytearray(newest.read_bytes())
    data[-3000] ^= 1
    newest.write_bytes(data)
    found = answer(remote, history[2])
    assert "not whole" in " ".join(found.notes)
    assert mirrors.sums(history[2].root) == before


def test_work_that_is_newer_than_the_mirror_stays_when_the_journal_lost_its_end(
    space, remote, tmp_path
):
    sender = mirrors.uploader(space, tmp_path / "mirror")
    mirrors.begin(space)
    lines = []
    for generation in range(3):
        news = mirrors.commit(space, generation)
        _describe(space, generation)
        lines.append(space.journal.read_bytes())
        if generation < 2:
            sender.upload(news, is_last=False)
    space.journal.write_bytes(lines[0])
    before = mirrors.sums(space.checkpoints("train").parent)
    assert answer(remote, space).is_changed
    assert space.journal.read_bytes() == lines[1]
    assert mirrors.sums(space.checkpoints("train").parent) == before


def _describe(space, generation):
    """Give a checkpoint a manifest that is whole."""
    folder, cycle = space.checkpoints("train"), mirrors.cycle(generation)
    shutil.rmtree(folder / f"gen-{generation:08d}")
    commit(folder, Manifest(generation=generation, recipe={"seed": 1}, cycle=cycle), [])


@pytest.mark.usefixtures("history")
def test_damaged_lines_come_from_the_mirror_and_what_was_written_since_stays(
    space, remote
):
    whole = space.journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    lines[1] = lines[1][:30] + b"????" + lines[1][34:]
    space.journal.write_bytes(b"".join(lines))
    # Only where a repair was asked for: a run says that the line is damaged.
    assert not answer(remote, space).is_changed
    assert answer(remote, space, is_repair=True).is_changed
    assert space.journal.read_bytes() == whole


@pytest.mark.slow
@pytest.mark.parametrize("is_persistent", [False, True], ids=["once", "from then on"])
def test_a_recovery_that_the_disk_cuts_anywhere_is_finished_by_the_next(
    remote, history, space, tmp_path, is_persistent, monkeypatch
):
    """Cut before it takes its places: nothing has changed. Later: without the mirror."""
    expected, before = mirrors.sums(space.root), mirrors.sums(history[1].root)
    work = Workspace.at(tmp_path / "cut" / "work")
    seen = set()
    # Hundreds of recoveries; no machine is lost here.
    monkeypatch.setattr(os, "fsync", lambda _: None)

    def attempt(disk):
        shutil.rmtree(work.root, ignore_errors=True)
        shutil.copytree(history[1].root, work.root)
        with broken(disk), suppress(OSError, StorageError):
            answer(remote, work)
        is_decided = finish_placing(work.recovering, work.root)
        now = mirrors.sums(work.root)
        assert now in (before, expected)
        assert not is_decided or now == expected
        seen.add((is_decided, now == expected))
        answer(remote, work)
        assert mirrors.sums(work.root) == expected
        assert not work.recovering.exists()
        return disk.done

    n_operations = attempt(Disk(10**9, errno.EIO, is_persistent=False))
    for place in range(1, n_operations, 12):
        attempt(Disk(place, errno.EIO, is_persistent))
    # Some cuts came before the decision, and some while all took its places.
    assert {(False, False), (False, True)} <= seen
    assert not is_persistent or (True, True) in seen

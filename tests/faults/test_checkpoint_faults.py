"""A checkpoint, a file, a journal line or a result is whole or absent, whatever fails."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil

import numpy as np
import pytest

from lowmem.base.errors import StorageError
from lowmem.base.files import publish, write_file
from lowmem.base.journal import JournalWriter, read_bodies
from lowmem.checkpoints.commit import commit
from lowmem.checkpoints.manifest import Manifest
from lowmem.checkpoints.restore import restore
from lowmem.protocol.commit_point import CommitPoint
from lowmem.protocol.job import Result
from lowmem.protocol.job_decorator import job
from lowmem.protocol.messages import Cycle
from lowmem.worker import cycles
from lowmem.worker.failure import failure_from_exception
from tests.driver import drive
from tests.faults.broken_disk import every_failure, faults

pytestmark = [pytest.mark.fault, pytest.mark.slow]


def manifest(generation):
    return Manifest(
        generation=generation,
        recipe={"seed": 1},
        state={"n": generation},
        cycle=Cycle(
            index=generation,
            items=1,
            started_at="2026-11-22T10:00:00.000Z",
            seconds=1.0,
            commit_seconds=0.0,
            settings={},
        ),
    )


def arrays(generation):
    return {"w": np.full(50, generation), "b": np.arange(generation + 1.0)}


def commit_generation(folder, generation):
    commit(folder, manifest(generation), arrays(generation).items())


def generation_on_disk(folder):
    """Return the generation that a new process would go on from, checked whole."""
    restored = restore(folder)
    assert restored.damaged == ()
    generation = restored.manifest.generation
    assert restored.manifest.state == {"n": generation}
    for name, array in arrays(generation).items():
        np.testing.assert_array_equal(restored.arrays[name], array)
    if hasattr(restored.arrays, "close"):
        restored.arrays.close()
    return generation


@faults()
def test_a_checkpoint_is_whole_or_absent_after_a_failure_at_any_call(
    tmp_path, number, is_persistent
):
    before = tmp_path / "before"
    for generation in range(3):
        commit_generation(before, generation)

    def attempt(failing):
        folder = tmp_path / "now"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(before, folder)
        is_committed = False
        with failing():
            try:
                commit_generation(folder, 3)
                is_committed = True
            except StorageError:
                pass
        found = generation_on_disk(folder)
        assert found == 3 if is_committed else found in {2, 3}
        # The same commit goes through once the disk is mended.
        commit_generation(folder, 3)
        assert generation_on_disk(folder) == 3
        assert not (folder / "tmp").exists()

    assert every_failure(number, is_persistent=is_persistent, attempt=attempt) > 15


@faults()
def test_a_file_holds_the_old_content_or_the_new_after_a_failure_at_any_call(
    tmp_path, number, is_persistent
):
    path = tmp_path / "file"

    def attempt(failing):
        path.write_bytes(b"old content")
        is_written = False
        with failing():
            try:
                write_file(path, b"new content, longer")
                is_written = True
            except StorageError:
                pass
        content = path.read_bytes()
        assert content in {b"old content", b"new content, longer"}
        assert not is_written or content == b"new content, longer"

    assert every_failure(number, is_persistent=is_persistent, attempt=attempt) >= 5


@faults()
def test_a_journal_has_each_line_or_not_after_a_failure_at_any_call(
    tmp_path, number, is_persistent
):
    path = tmp_path / "journal.jsonl"

    def attempt(failing):
        path.unlink(missing_ok=True)
        with JournalWriter(path) as writer:
            writer.append(b'{"n":0}')
        told = [b'{"n":0}']
        with failing():
            try:
                with JournalWriter(path) as writer:
                    for n in range(1, 4):
                        try:
                            writer.append(b'{"n":%d}' % n)
                            told.append(b'{"n":%d}' % n)
                        except StorageError:
                            continue
            except StorageError:
                pass
        with JournalWriter(path) as writer:
            writer.append(b'{"n":9}')
        kept = list(read_bodies(path))
        assert set(told) <= set(kept)
        assert kept == sorted(kept)
        assert kept[-1] == b'{"n":9}'

    assert every_failure(number, is_persistent=is_persistent, attempt=attempt) > 8


@pytest.mark.parametrize("form", ["file", "folder"])
@faults()
def test_a_result_is_the_old_one_or_the_new_and_a_second_call_ends_the_move(
    tmp_path, form, number, is_persistent
):
    staged, final = tmp_path / "staging" / "out", tmp_path / "out"

    def write(path, text):
        if form == "folder":
            (path / "inner").mkdir(parents=True)
            path = path / "inner" / "part"
        path.write_text(text)

    def read(path):
        part = path / "inner" / "part" if form == "folder" else path
        return part.read_text() if part.exists() else None

    def attempt(failing):
        for path in tmp_path.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        staged.parent.mkdir()
        write(final, "old")
        write(staged, "new")
        with failing(), contextlib.suppress(StorageError):
            publish(staged, final)
        allowed = {"old", "new"} | ({None} if form == "folder" else set())
        assert read(final) in allowed
        publish(staged, final)
        assert read(final) == "new"
        assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "staging"]

    assert every_failure(number, is_persistent=is_persistent, attempt=attempt) >= 5


@job()
def adds(ctx):
    """Add in steps, with a file of its own."""
    total = ctx.arrays["total"][0] if ctx.state else 0
    for n in range(ctx.state.get("n", 0), 3):
        total += n
        yield CommitPoint(
            items=1, state={"n": n + 1}, arrays={"total": np.array([total])}
        )
    (ctx.staging / "total.json").write_text(json.dumps(int(total)))
    return Result(publish=["total.json"])


@pytest.mark.parametrize(
    ("number", "is_persistent"),
    [(errno.ENOSPC, True), (errno.EIO, False)],
    ids=["full", "I/O error once"],
)
def test_a_job_interrupted_by_the_disk_at_any_call_ends_as_if_it_were_not(
    tmp_path, monkeypatch, number, is_persistent
):
    # A collection of the test's own garbage, four times in each of 400 runs.
    monkeypatch.setattr(cycles, "clean_up", lambda: 0)

    statuses = set()

    def attempt(failing):
        space = tmp_path / "w"
        shutil.rmtree(space, ignore_errors=True)
        with failing():
            try:
                drive(adds, space)
            except OSError as error:
                statuses.add(failure_from_exception(error).exit_code)
        drive(adds, space)
        assert (space / "total.json").read_text() == "3"

    assert every_failure(number, is_persistent=is_persistent, attempt=attempt) > 60
    assert statuses == {74}

"""Whose a checkpoint's folder is, what it may hold, and what a commit does to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import msgspec
import numpy as np
import pytest

from lowmem import Checkpoint
from lowmem.base.errors import NewerFormatError, UsageError
from lowmem.base.errors_loop import (
    CheckpointClosedError,
    CheckpointLockedError,
    NotACheckpointError,
    NoWholeCommitError,
    UnrestoredError,
)
from lowmem.checkpoints import manifest as manifests
from lowmem.checkpoints import writing
from lowmem.loops.stopping import HEARD


def commit(folder, *states, **options):
    with Checkpoint(folder, **options) as checkpoint:
        checkpoint.restore()
        for state in states:
            checkpoint.commit(state)


def generations(folder):
    return sorted(path.name for path in folder.glob("gen-*"))


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_as_many_commits_stay_as_were_asked_for(tmp_path, keep):
    commit(tmp_path, *range(4), keep=keep)
    assert generations(tmp_path) == [f"gen-{n:08d}" for n in range(4)][-keep:]


def test_a_damaged_commit_is_told_of_and_the_one_before_taken(tmp_path):
    commit(tmp_path, {"x": np.zeros(4)}, {"x": np.ones(4)})
    path = tmp_path / "gen-00000001" / "state.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with Checkpoint(tmp_path) as checkpoint:
        with pytest.warns(RuntimeWarning, match="gen-00000001 was damaged"):
            found = checkpoint.restore()
        assert found["x"].tolist() == [0] * 4
        checkpoint.commit({"x": np.full(4, 2.0)})
        assert checkpoint.restore()["x"].tolist() == [2] * 4


def test_nothing_begins_anew_where_all_commits_are_damaged(tmp_path):
    commit(tmp_path, 1, 2)
    for name in generations(tmp_path):
        (tmp_path / name / "manifest.json").write_bytes(b"")
    with (
        Checkpoint(tmp_path) as checkpoint,
        pytest.raises(NoWholeCommitError, match="holds commits, and none is whole"),
    ):
        checkpoint.restore(0)
    assert len(generations(tmp_path)) == 2


def test_a_commit_that_was_not_restored_is_not_replaced(tmp_path):
    commit(tmp_path, 1)
    with Checkpoint(tmp_path) as checkpoint:
        with pytest.raises(
            UnrestoredError, match=r"expected restore\(\) before the first"
        ):
            checkpoint.commit(2)
        assert checkpoint.restore() == 1
        checkpoint.commit(2)
        assert checkpoint.restore() == 2


def rewritten(folder, **changes):
    path = folder / "gen-00000000" / "manifest.json"
    found = manifests.manifest_from_bytes(path.read_bytes())
    whole = msgspec.structs.replace(found, **changes)
    path.write_bytes(manifests.bytes_from_manifest(whole))


@pytest.mark.parametrize(
    "changes", [{"format": 2}, {"recipe": {"lowmem.Checkpoint": 2}}], ids=str
)
def test_a_newer_format_is_refused_and_kept(tmp_path, changes):
    commit(tmp_path, 1)
    rewritten(tmp_path, **changes)
    with (
        Checkpoint(tmp_path) as checkpoint,
        pytest.raises(NewerFormatError, match="is of format 2"),
    ):
        checkpoint.restore(0)
    assert generations(tmp_path) == ["gen-00000000"]


def test_the_checkpoint_of_a_job_is_refused(tmp_path):
    commit(tmp_path, 1)
    rewritten(tmp_path, recipe={"seed": 1})
    with (
        Checkpoint(tmp_path) as checkpoint,
        pytest.raises(NotACheckpointError, match="is a job's checkpoint"),
    ):
        checkpoint.restore(0)


def test_a_folder_of_other_files_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "tmp").mkdir()
    with pytest.raises(NotACheckpointError, match=r"holds other files \(tmp\)"):
        Checkpoint(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tmp"]
    (tmp_path / "file").touch()
    with pytest.raises(NotACheckpointError, match="is not a folder"):
        Checkpoint(tmp_path / "file")


OTHER = """
import sys, lowmem
try:
    lowmem.Checkpoint(sys.argv[1])
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.process
@pytest.mark.slow
def test_a_second_process_is_refused_and_told_who_has_it(tmp_path):
    with Checkpoint(tmp_path) as checkpoint:
        words = [sys.executable, "-c", OTHER, tmp_path]
        told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        assert told.startswith("CheckpointLockedError")
        assert f"is held open by process {os.getpid()}, expected one" in told
        checkpoint.commit(1)
    assert subprocess.run(words, capture_output=True, check=True).stdout == b""


def test_a_second_one_in_this_process_is_refused(tmp_path):
    first = Checkpoint(tmp_path)
    with pytest.raises(CheckpointLockedError, match="by this very process"):
        Checkpoint(tmp_path)
    first.close()
    Checkpoint(tmp_path).close()


@pytest.mark.process
@pytest.mark.slow
def test_a_forked_child_neither_commits_nor_keeps_the_folder(tmp_path):
    """As workers that load data do, which outlive the block that began them."""
    done = subprocess.run(
        [sys.executable, "-c", FORKED],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["CheckpointClosedError", "1", "2"], done.stderr


FORKED = """
import os, signal, lowmem
with lowmem.Checkpoint("ckpt") as checkpoint:
    checkpoint.commit(1)
    if not (child := os.fork()):
        try:
            checkpoint.commit(9)
        except Exception as error:
            print(type(error).__name__, flush=True)
        checkpoint.close()
        os.kill(os.getpid(), signal.SIGSTOP)
    os.waitpid(child, os.WUNTRACED)
with lowmem.Checkpoint("ckpt") as checkpoint:
    print(checkpoint.restore())
    checkpoint.commit(2)
    print(checkpoint.restore())
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
"""


def test_a_closed_one_is_refused(tmp_path):
    with Checkpoint(tmp_path) as checkpoint:
        checkpoint.commit(1)
    for use in (
        lambda: checkpoint.commit(2),
        checkpoint.restore,
        lambda: checkpoint.stopping,
        checkpoint.__enter__,
    ):
        with pytest.raises(CheckpointClosedError, match="is not held open by this"):
            use()
    checkpoint.close()


@pytest.mark.parametrize(
    "options",
    [{"keep": 0}, {"keep": True}, {"keep": 1.5}, {"time": 0}, {"time": "soon"}],
    ids=str,
)
def test_an_option_that_is_none_is_refused_before_the_folder_is_made(tmp_path, options):
    with pytest.raises(UsageError, match=r"expected|is not a duration"):
        Checkpoint(tmp_path / "ckpt", **options)
    assert not (tmp_path / "ckpt").exists()


@pytest.mark.parametrize("keep", [1, 2])
def test_a_commit_that_was_renamed_is_not_replaced_after_ctrl_c(
    tmp_path, monkeypatch, keep
):
    def stop(*_, **__):
        raise KeyboardInterrupt

    with Checkpoint(tmp_path, keep=keep) as checkpoint:
        checkpoint.commit(1)
        for name, step in (("expired_generations", 2), ("rename", 3)):
            with monkeypatch.context() as patched:
                patched.setattr(writing, name, stop)
                with pytest.raises(KeyboardInterrupt):
                    checkpoint.commit(step)
            assert "gen-00000001" in generations(tmp_path)
        assert checkpoint.restore() == 2
        checkpoint.commit(4)
    assert len(generations(tmp_path)) == keep
    with Checkpoint(tmp_path) as checkpoint:
        assert checkpoint.restore() == 4


# --- stopping ----------------------------------------------------------------------


@pytest.mark.parametrize("number", HEARD)
def test_a_signal_to_stop_is_heard_from_the_first_question_on(tmp_path, number):
    former = signal.getsignal(number)
    with Checkpoint(tmp_path) as checkpoint:
        assert signal.getsignal(number) == former
        assert not checkpoint.stopping
        signal.raise_signal(number)
        assert checkpoint.stopping
    assert signal.getsignal(number) == former


def test_a_second_sigterm_and_a_handler_of_ones_own_act_as_before(tmp_path):
    came = []
    former = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        with Checkpoint(tmp_path) as checkpoint:
            assert not checkpoint.stopping
            signal.raise_signal(signal.SIGTERM)
            assert came == [signal.SIGTERM]
            assert checkpoint.stopping
            signal.raise_signal(signal.SIGTERM)
            assert came == [signal.SIGTERM] * 2
    finally:
        signal.signal(signal.SIGTERM, former)


def test_an_ignored_signal_stays_ignored(tmp_path):
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Checkpoint(tmp_path) as checkpoint:
            assert not checkpoint.stopping
            signal.raise_signal(signal.SIGHUP)
            assert not checkpoint.stopping
    finally:
        signal.signal(signal.SIGHUP, former)


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("number", HEARD)
@pytest.mark.parametrize("chained", ["", "chained"])
def test_a_forked_child_ends_by_its_first_signal(tmp_path, number, chained):
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(int(number)), chained],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [str(-number), "7", "False"], done.stderr


CHILD = """
import os, signal, sys, lowmem
number, chained = int(sys.argv[1]), sys.argv[2]

def ended():
    if not (child := os.fork()):
        if chained:
            inherited = signal.getsignal(number)
            signal.signal(number, lambda *given: inherited(*given))
        signal.raise_signal(number)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

with lowmem.Checkpoint("one") as checkpoint:
    checkpoint.stopping
    print(ended())
signal.signal(number, lambda *_: os._exit(7))
with lowmem.Checkpoint("two") as checkpoint:
    checkpoint.stopping
    print(ended(), checkpoint.stopping)
"""


def test_a_handler_that_calls_the_one_before_may_outlive_the_checkpoint(tmp_path):
    came = []
    former = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        with Checkpoint(tmp_path) as checkpoint:
            assert not checkpoint.stopping
            inner = signal.getsignal(signal.SIGTERM)
            signal.signal(signal.SIGTERM, lambda number, _: inner(number, None))
        signal.raise_signal(signal.SIGTERM)
        assert came == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, former)


def test_the_time_is_heard_in_any_thread(tmp_path):
    found = []
    former = signal.getsignal(signal.SIGTERM)
    with Checkpoint(tmp_path, time=1e-9) as checkpoint:
        asking = threading.Thread(target=lambda: found.append(checkpoint.stopping))
        asking.start()
        asking.join()
        assert signal.getsignal(signal.SIGTERM) == former
    assert found == [True]


# --- within lowmem exec ------------------------------------------------------------


def test_within_exec_a_relative_folder_may_not_lead_out(tmp_path, monkeypatch):
    monkeypatch.setenv("LOWMEM_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("LOWMEM_COMMIT", str(tmp_path / "desk" / "commit"))
    with pytest.raises(UsageError, match="leads out of the state folder"):
        Checkpoint("../ckpt")
    with Checkpoint(tmp_path / "own") as checkpoint:
        checkpoint.commit(1)  # Nobody is asked, so nobody has to answer.
        assert checkpoint.folder == tmp_path / "own"

from __future__ import annotations

import errno
import fcntl
import json
import os

import pytest

from lowmem.base.clock import SystemClock
from lowmem.base.errors import WorkspaceLockedError
from lowmem.base.workspace import Workspace
from lowmem.memory.machine import identity_of
from lowmem.supervisor import lock
from lowmem.supervisor.lock import WorkspaceLock, is_held


class FakeClock(SystemClock):
    """A clock that nobody waits for."""

    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture
def space(tmp_path):
    return Workspace.at(tmp_path / "w")


def held(space, clock=None):
    return WorkspaceLock(space, clock or FakeClock())


def test_a_second_run_is_refused_at_once_and_told_who_holds_it(space):
    clock = FakeClock()
    with held(space):
        assert is_held(space)
        with (
            pytest.raises(WorkspaceLockedError, match=f"process {os.getpid()}"),
            held(space, clock),
        ):
            pass
    assert clock.at == 0


def test_the_lock_is_free_after_its_holder_left(space):
    for _ in range(2):
        with held(space) as one:
            assert one.descriptor >= 0


def test_a_dying_worker_is_waited_for_but_not_for_ever(space):
    with held(space):
        # The supervisor has gone: the name in the file is nobody's.
        space.lock.write_text(
            json.dumps({"pid": 1, "started_ticks": 0, "boot_id": "x"})
        )
        assert not is_held(space)
        clock = FakeClock()
        with (
            pytest.raises(WorkspaceLockedError, match="another process"),
            held(space, clock),
        ):
            pass
        assert clock.at >= lock._PATIENCE_S


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', '{"x": 2}'])
def test_a_file_that_names_nobody_holds_nothing(space, content):
    space.lock.parent.mkdir(parents=True)
    space.lock.write_text(content)
    assert not is_held(space)
    with held(space):
        assert is_held(space)


def test_without_kernel_locks_the_name_of_a_live_holder_keeps_others_out(
    space, monkeypatch
):
    def no_locks(*_: object):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with held(space):
        assert (
            json.loads(space.lock.read_bytes())["pid"] == identity_of(os.getpid()).pid
        )
        with pytest.raises(WorkspaceLockedError), held(space):
            pass
    space.lock.write_text("{}")
    with held(space):
        pass

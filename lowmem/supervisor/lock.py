"""One writer a workspace: a lock that a crash releases.

The kernel's advisory lock on an open file is held by the supervisor *and*, through an
inherited descriptor, by its worker: it is free once both have gone, however they went,
and a worker that outlives its supervisor by a moment still keeps others out. The file
names the holder (pid, start time, boot) for people, and for file systems without such
locks.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Self

from lowmem.base.containment import refuse_foreign
from lowmem.base.errors import WorkspaceLockedError
from lowmem.base.files import make_folder, storage_errors
from lowmem.base.outside import parsed_json, read_text_bytes
from lowmem.memory.machine import ProcessIdentity, identity_of

if TYPE_CHECKING:
    from pathlib import Path

    from lowmem.base.clock import Clock
    from lowmem.base.workspace import Workspace

# seconds; a worker whose supervisor was killed is killed by the kernel at once, but its
# memory takes a while to go.
_PATIENCE_S = 10.0
_RETRY_S = 0.05


class FolderLock:
    """The lock of one folder; a context manager that owns the descriptor.

    Parameters
    ----------
    path
        Of the file that is locked.
    root
        The folder that it stands for, as the refusal names it.
    """

    def __init__(self, path: Path, root: Path, clock: Clock) -> None:
        self._path = path
        self._root = root
        self._clock = clock
        self.descriptor = -1

    def __enter__(self) -> Self:
        path = self._path
        make_folder(path.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        with storage_errors(path):
            self.descriptor = os.open(path, flags, 0o644)
        try:
            self._acquire()
        except BaseException:
            os.close(self.descriptor)
            raise
        me = identity_of(os.getpid())
        text = json.dumps(asdict(me) if me else {}).encode()
        with storage_errors(path):
            os.ftruncate(self.descriptor, 0)
            os.pwrite(self.descriptor, text, 0)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def _acquire(self) -> None:
        """Take the lock; wait only while its holder is a dying worker."""
        path = self._path
        give_up_at = self._clock.monotonic() + _PATIENCE_S
        while not _try_lock(self.descriptor, path):
            holder = _live_holder(path)
            if holder is not None or self._clock.monotonic() > give_up_at:
                raise WorkspaceLockedError(
                    path=self._root, pid=holder.pid if holder else None
                )
            self._clock.sleep(_RETRY_S)


class WorkspaceLock(FolderLock):
    """The lock of one workspace."""

    def __init__(self, space: Workspace, clock: Clock) -> None:
        super().__init__(space.lock, space.root, clock)
        self._space = space

    def __enter__(self) -> Self:  # type: ignore[explicit-override]
        refuse_foreign(self._space)
        return super().__enter__()


def _try_lock(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks: the name of the holder has to do.
        return _live_holder(path) is None
    return True


def _live_holder(path: Path) -> ProcessIdentity | None:
    """Return the process named in the lock file, if that very process still lives."""
    try:
        found = parsed_json(read_text_bytes(path), path)
        named = ProcessIdentity(**found) if isinstance(found, dict) else None
    except (OSError, ValueError, TypeError):
        return None
    if named is None or not isinstance(named.pid, int):
        return None
    return named if identity_of(named.pid) == named else None


def is_held(space: Workspace) -> bool:
    """Return whether a live run holds the workspace, without taking the lock."""
    return _live_holder(space.lock) is not None


def refuse_if_held(space: Workspace) -> None:
    """Refuse a workspace in which a run is at work, without taking the lock.

    Raises
    ------
    WorkspaceLockedError
        Naming the run's process.
    """
    holder = _live_holder(space.lock)
    if holder is not None:
        raise WorkspaceLockedError(path=space.root, pid=holder.pid)

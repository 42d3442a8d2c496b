"""The folder of a checkpoint: where it is, whose, and who else must hear of a commit.

Within ``lowmem exec`` a relative folder lies in the state folder of the command, and is
durable once lowmem has committed that folder: the file protocol of docs/exec.md.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.errors import StorageError, UsageError, WorkspaceLockedError
from lowmem.base.errors_loop import CheckpointLockedError, NotACheckpointError
from lowmem.base.files import make_folder, storage_errors
from lowmem.base.workspace import path_from_text
from lowmem.supervisor.lock import FolderLock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lowmem.base.clock import Clock

LOCK = "checkpoint.lock"
# seconds; a commit of lowmem's takes at least as long.
_LOOK_S = 0.01
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFolder:
    """Where a checkpoint lies.

    Attributes
    ----------
    marker
        The file that asks ``lowmem exec`` for a commit; None where the folder is not in
        its state folder.
    """

    folder: Path
    marker: Path | None = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let no other checkpoint change the state folder meanwhile."""
        if self.marker is None:
            yield
            return
        path = self.marker.with_name(LOCK)
        with storage_errors(path), path.open("wb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def pass_on(self, clock: Clock) -> None:
        """Ask for a commit of the state folder, and wait until it is durable."""
        if self.marker is None:
            return
        with storage_errors(self.marker):
            self.marker.touch()
        while self.marker.exists():
            clock.sleep(_LOOK_S)


def place_of(folder: Path | str, environment: Mapping[str, str]) -> CheckpointFolder:
    """Return the place of a folder as it was given.

    Raises
    ------
    UsageError
        If it leads out of the state folder.
    """
    state, marker = (
        environment.get("LOWMEM_STATE"),
        environment.get("LOWMEM_COMMIT"),
    )
    if not state or not marker or Path(folder).expanduser().is_absolute():
        return CheckpointFolder(folder=path_from_text(folder))
    inside = os.path.normpath(folder)
    if inside == ".." or inside.startswith("../"):
        raise UsageError(
            f"{folder} leads out of the state folder of the command, expected a path "
            "within it, or an absolute one. Give a name such as ckpt."
        )
    return CheckpointFolder(folder=Path(state) / inside, marker=Path(marker))


def open_place(place: CheckpointFolder, clock: Clock) -> ExitStack:
    """Take the folder for this process alone; closing what is returned lets it go.

    Raises
    ------
    NotACheckpointError
        If there is something else; nothing is changed.
    CheckpointLockedError
        If it is held open already.
    """
    folder = place.folder
    _refuse_other(folder)
    stack = ExitStack()
    with place.alone():
        make_folder(folder)
        try:
            lock = stack.enter_context(FolderLock(folder / LOCK, folder, clock))
        except WorkspaceLockedError as error:
            raise CheckpointLockedError(
                path=folder, pid=error.pid, is_own=error.pid == os.getpid()
            ) from None
    stack.callback(_let_go, place, lock.descriptor)
    return stack


def _let_go(place: CheckpointFolder, descriptor: int) -> None:
    """Unlock the folder, though a forked child may have inherited the descriptor."""
    with suppress(OSError, StorageError), place.alone():
        # For file systems without locks: nobody is named any more.
        os.ftruncate(descriptor, 0)
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _refuse_other(folder: Path) -> None:
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise NotACheckpointError(path=folder, problem="is not a folder")
    with storage_errors(folder):
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names alone
    if names and LOCK not in names:
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        raise NotACheckpointError(path=folder, problem=f"holds other files ({shown})")

"""Errors of the checkpoint of a loop; see `lowmem.base.errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.errors import (
    EXIT_JOB,
    DataError,
    LowmemError,
    UsageError,
)

if TYPE_CHECKING:
    from pathlib import Path


class UnkeptValueError(LowmemError, TypeError):
    """Raised when a state holds what a commit cannot keep; nothing was written.

    Parameters
    ----------
    path
        Where it is, as it would be written in Python.
    """

    exit_code = EXIT_JOB

    def __init__(self, *, path: str, problem: str, todo: str = "") -> None:
        self.path = path
        super().__init__(
            f"{path} {problem}, expected plain values, arrays, or an object whose state "
            f"can be taken. {todo or 'Leave it out, or keep what it is made from.'}"
        )


class OtherStateError(UsageError):
    """Raised when a commit does not fit what it is to be put into."""

    def __init__(self, *, path: str, problem: str, expected: str, todo: str) -> None:
        self.path, self.problem, self.expected = path, problem, expected
        super().__init__(f"{path} {problem}, expected {expected}. {todo}")


class UnrestoredError(LowmemError, RuntimeError):
    """Raised when a loop commits without having taken what the folder holds."""

    exit_code = EXIT_JOB

    def __init__(self, *, path: Path) -> None:
        super().__init__(
            f"{path} holds a commit that was not restored, expected restore() before the "
            "first commit(): else the new state would replace the old one unseen. Call "
            "restore(), or delete the folder to begin anew."
        )


class CheckpointClosedError(LowmemError, RuntimeError):
    """Raised when a checkpoint is used that this process does not hold open."""

    exit_code = EXIT_JOB

    def __init__(self, *, path: Path) -> None:
        super().__init__(
            f"{path} is not held open by this process, expected an open Checkpoint. Use "
            "it within its `with` block, in the process that opened it."
        )


class CheckpointLockedError(UsageError):
    """Raised when the folder of a checkpoint is held open already."""

    def __init__(self, *, path: Path, pid: int | None, is_own: bool) -> None:
        self.pid = pid
        if is_own:
            holder, todo = "this very process", "Close the other Checkpoint first."
        else:
            holder = f"process {pid}" if pid else "another process"
            todo = "Wait for that process, stop it, or take another folder."
        super().__init__(
            f"{path} is held open by {holder}, expected one Checkpoint at a time. {todo}"
        )


class NoWholeCommitError(DataError):
    """Raised when a checkpoint holds commits and none is whole."""

    def __init__(self, *, path: Path) -> None:
        super().__init__(
            thing=path,
            problem="holds commits, and none is whole",
            expected="what was written",
            todo="The disk or a copy damaged them: restore the folder. Else delete it, "
            "and the loop begins anew.",
        )


class NotACheckpointError(DataError):
    """Raised when the folder for a checkpoint is something else."""

    def __init__(self, *, path: Path, problem: str) -> None:
        super().__init__(
            thing=path,
            problem=problem,
            expected="a new folder, an empty one, or one that a Checkpoint made",
            todo="Take another folder; this one was left as it is.",
        )

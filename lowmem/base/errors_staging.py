"""The errors of staging, with their wording; see `lowmem.base.errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.errors import (
    EXIT_STOPPED,
    DataError,
    LowmemError,
    StorageError,
    UsageError,
)
from lowmem.base.units import format_bytes

if TYPE_CHECKING:
    from pathlib import Path

_KEPT = "What was copied is kept"


class StagingPlaceError(UsageError):
    """Raised when a copy cannot be made where it was asked for."""

    def __init__(self, *, target: Path, problem: str, todo: str) -> None:
        super().__init__(f"{target} {problem}. {todo}.")


class StagingSpaceError(StorageError):
    """Raised before anything is copied that the disk has no room for."""

    def __init__(self, *, folder: Path, free_bytes: int, needed_bytes: int) -> None:
        self.problem = "no room"
        LowmemError.__init__(
            self,
            f"{folder} has {format_bytes(free_bytes)} free, expected "
            f"{format_bytes(needed_bytes)} for what is still to be copied. Free some "
            f"space or give another DESTINATION. {_KEPT}: the same command continues.",
        )


class SourceReadError(StorageError):
    """Raised when the source's disk or mount fails; the source itself may be whole."""

    def __init__(self, *, path: object, problem: str) -> None:
        self.problem = problem
        LowmemError.__init__(
            self,
            f"{path} could not be read: {problem}, expected the source that was listed. "
            f"Is the drive still mounted? {_KEPT}: the same command continues.",
        )


class NoFileError(SourceReadError):
    """Raised when what is listed as a file cannot be opened as one: it is left out."""


class CopyWriteError(StorageError):
    """Raised when the copy cannot be written."""

    def __init__(
        self, *, path: object, problem: str, free_bytes: int, needed_bytes: int
    ) -> None:
        self.problem = problem
        LowmemError.__init__(
            self,
            f"{path} could not be written: {problem}; its disk has "
            f"{format_bytes(free_bytes)} free, expected {format_bytes(needed_bytes)} for "
            f"the rest. {_KEPT}: free some space, then the same command continues.",
        )


class ReadBackError(StorageError):
    """Raised when the local disk twice gave back other bytes than were written."""

    def __init__(self, *, path: object) -> None:
        self.problem = "not as written"
        LowmemError.__init__(
            self,
            f"the copy in {path} is not what was read from its source, expected the "
            "same bytes; it was copied twice. The local disk or its memory is failing: "
            "give a DESTINATION on another disk.",
        )


class SourceChangedError(DataError):
    """Raised when a file of the source is another one than a moment before."""

    def __init__(self, *, path: object) -> None:
        super().__init__(
            thing=path,
            problem="was changed or has gone while it was copied",
            expected="the same file from beginning to end",
            todo="Wait until it is whole: the same command then copies it from its "
            "start, and nothing else again.",
        )


class StagingStoppedError(LowmemError):
    """Raised when somebody interrupted the copying."""

    exit_code = EXIT_STOPPED

    def __init__(self, *, source: Path) -> None:
        super().__init__(
            f"the copying of {source} was interrupted. {_KEPT}: the same command goes "
            "on."
        )

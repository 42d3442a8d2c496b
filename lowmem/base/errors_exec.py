"""Errors of a command that is run under the budget; see `lowmem.base.errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.errors import EXIT_UNAVAILABLE, LowmemError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


class StateFolderError(LowmemError):
    """Raised when a program's state folder cannot be committed as it stands."""

    def __init__(self, *, path: Path, problem: str) -> None:
        super().__init__(
            f"{path} {problem}, expected a state folder of files and folders that nobody "
            "changes from the moment a commit is asked for until it is answered. What was "
            "committed before is kept."
        )


class MissingProgramError(LowmemError, FileNotFoundError):
    """Raised when the program of a command is not there, or may not be run."""

    exit_code = EXIT_UNAVAILABLE

    def __init__(self, *, program: str, problem: str) -> None:
        super().__init__(
            f"{program} could not be started: {problem}. Expected a program on PATH, or "
            "the path of an executable file."
        )


class NoJobError(UsageError):
    """Raised when a file that is to be run as a job holds none."""

    def __init__(self, *, path: Path, has_run: bool = False) -> None:
        how = "" if has_run else "; it was not run"
        super().__init__(
            f"{path} defines 0 jobs, expected one function decorated with "
            f"@lowmem.job(...), or one lowmem.Job{how}. `lowmem exec -- python {path}` runs "
            "a program as it is, under the budget."
        )

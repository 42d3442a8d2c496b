"""Errors of what a job is to publish; see `lowmem.base.errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.errors import EXIT_JOB, LowmemError

if TYPE_CHECKING:
    from collections.abc import Iterable


class UnwrittenResultError(LowmemError, FileNotFoundError):
    """Raised when a job ends without having written a result that it names."""

    exit_code = EXIT_JOB

    def __init__(self, *, job: str, name: str, by: str = "Result(publish=...)") -> None:
        how = "is described with" if by.startswith("outputs") else "returned"
        # FileNotFoundError's own initialiser would reinterpret two arguments.
        super().__init__(
            f"job {job} {how} {by} with {name!r}, expected it in "
            "ctx.staging. Write it there before the job returns."
        )


class ResultNameError(LowmemError, ValueError):
    """Raised when a job would publish outside its workspace, or over lowmem's files."""

    exit_code = EXIT_JOB

    def __init__(self, *, job: str, name: object, reserved: Iterable[str]) -> None:
        super().__init__(
            f"job {job} is to publish {name!r}, expected the name of "
            "a file or folder in ctx.staging such as 'out.npy' or 'figures/a.png', "
            f"without '..', and none of {', '.join(reserved)}. Choose another name."
        )

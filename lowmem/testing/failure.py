"""What a check raises, with its wording."""

from __future__ import annotations


class CheckError(AssertionError):
    """Raised by `lowmem.testing.check` for a job that breaks a promise.

    Not a `LowmemError`: it ends no command, and has no exit code.

    Attributes
    ----------
    check
        Name of the check, such as ``kills``.
    """

    def __init__(self, *, check: str, job: str, problem: str, todo: str) -> None:
        self.check = check
        super().__init__(f"{check}: {job} {problem.rstrip('.')}. {todo}".rstrip())

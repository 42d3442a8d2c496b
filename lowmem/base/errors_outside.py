"""Errors of files that come from outside and are not what a reader may open."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from lowmem.base.errors import DataError, LowmemError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link",
}


class NotRegularError(DataError):
    """Raised when something stands where a file should: to open it could take for ever."""

    def __init__(self, *, path: object, mode: int) -> None:
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        super().__init__(
            thing=path,
            problem=f"is {kind}",
            expected="a regular file",
            todo="Put the file there, or remove it.",
        )


class OversizedError(DataError):
    """Raised when a text of metadata is larger than any that is meant."""

    def __init__(self, *, path: object, n_bytes: int, most_bytes: int) -> None:
        super().__init__(
            thing=path,
            problem=f"has {n_bytes} bytes",
            expected=f"at most {most_bytes}, as metadata have",
        )


class UnreadableTextError(DataError):
    """Raised when metadata are no JSON, or are nested as none are that anybody means."""

    def __init__(self, *, path: object, problem: str) -> None:
        super().__init__(
            thing=path, problem=f"cannot be read ({problem})", expected="JSON"
        )


class ForeignWorkspaceError(DataError):
    """Raised when a workspace would have lowmem open what lies outside it."""

    def __init__(self, *, path: Path, problem: str) -> None:
        super().__init__(
            thing=path,
            problem=problem,
            expected="only folders and regular files among what lowmem keeps: through a "
            "link the workspace could read or overwrite what is not its own",
            todo="Remove it, or use a workspace of your own.",
        )


class NotAllowedError(StorageError):
    """Raised when this user may not do what the workspace's disk could."""

    def __init__(self, *, path: object, problem: str) -> None:
        self.problem = problem
        # Not `StorageError`'s own: no space and no other disk would help.
        LowmemError.__init__(
            self,
            f"{path} is not this user's to read or write: {problem}. It belongs to "
            "somebody else, or is protected: take another --workspace, or have its owner "
            "give the right to it. What was committed is intact.",
        )

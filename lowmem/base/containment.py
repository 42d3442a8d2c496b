"""A workspace, whoever made it, reads and writes nothing outside itself.

It may have been copied from somebody else. A link in the place of its lock or journal
would have lowmem overwrite what it leads to, a pipe would be waited for without end, and
a name such as ``../x`` in a list of results would be moved elsewhere. So each command
looks at `.lowmem` once, before it opens any file of it, and each result's place is looked
at before it is taken. Against somebody who changes the folder meanwhile this is no guard.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from lowmem.base.errors_outside import ForeignWorkspaceError, NotRegularError
from lowmem.base.files import storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from lowmem.base.workspace import Workspace

# A job may link within what it makes. What shards share is opened as a regular file or
# not at all, and there may be a million of it.
_IN_THE_MAKING = frozenset({"staging", "rebuild", "remaking", "blocks.shared"})
_SHOWN = 60  # characters of a name
_KINDS = (stat.S_IFREG, stat.S_IFDIR)


def refuse_foreign(space: Workspace) -> None:
    """Refuse a workspace whose own files are not files.

    Raises
    ------
    ForeignWorkspaceError
        If anything that lowmem keeps there is a link that leads out.
    NotRegularError
        If it is a pipe, a socket, a device; or if journal or lock are folders.

    Notes
    -----
    Time: one reading of the folders, some 10 ms for the 8,000 chunks of a store in the
    making.
    """
    private = space.private
    if private.is_symlink():
        raise _leads_out(private)
    if not private.exists():
        return
    if not private.is_dir():
        raise ForeignWorkspaceError(path=private, problem="is no folder")
    for path in (space.journal, space.lock):
        if path.is_dir():
            raise NotRegularError(path=path, mode=stat.S_IFDIR)
    with storage_errors(private):
        for entry in _entries(str(private)):
            _refuse(entry, private)


def _entries(folder: str, making: str = "") -> Iterator[os.DirEntry[str]]:
    """Yield all that is to be looked at.

    Parameters
    ----------
    making
        The folder of results in the making that this one lies in: of those, only links
        that lead out of it are yielded.
    """
    # What other shards replace meanwhile is nothing to refuse.
    with suppress(FileNotFoundError), os.scandir(folder) as found:
        yield from _looked_at(list(found), making)


def _looked_at(
    entries: Iterable[os.DirEntry[str]], making: str
) -> Iterator[os.DirEntry[str]]:
    for entry in entries:
        if entry.is_symlink():
            if not (making and _is_below(os.path.realpath(entry.path), making)):
                yield entry
        elif entry.is_dir(follow_symlinks=False):
            own = os.path.realpath(entry.path) if entry.name in _IN_THE_MAKING else ""
            yield from _entries(entry.path, making or own)
        elif not making:
            yield entry


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _refuse(entry: os.DirEntry[str], private: Path) -> None:
    path = private.__class__(entry.path)
    if entry.is_symlink():
        raise _leads_out(path)
    try:
        mode = entry.stat(follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if stat.S_IFMT(mode) not in _KINDS:
        raise NotRegularError(path=path, mode=mode)


def _leads_out(path: Path) -> ForeignWorkspaceError:
    return ForeignWorkspaceError(path=path, problem=f"is a link to {path.readlink()}")


def place_in(root: Path, name: str) -> Path:
    """Return the place of a result by its name in the workspace.

    Raises
    ------
    ForeignWorkspaceError
        If the name leads out of it, or a folder on the way is a link that does.
    """
    parts = PurePosixPath(name).parts
    is_normal = (
        bool(parts) and "\0" not in name and not PurePosixPath(name).is_absolute()
    )
    if not is_normal or ".." in parts:
        raise ForeignWorkspaceError(
            path=root, problem=f"lists the result {name!r}, which lies outside it"
        )
    path = root / name
    try:
        folder = os.path.realpath(path.parent)
        path.exists()
    except OSError as error:
        problem = (
            f"lists the result {name[:_SHOWN]!r}, which is no name ({error.strerror})"
        )
        raise ForeignWorkspaceError(path=root, problem=problem) from error
    if not _is_below(folder, os.path.realpath(root)):
        raise ForeignWorkspaceError(
            path=path.parent, problem=f"leads to {folder}, outside the workspace"
        )
    return path

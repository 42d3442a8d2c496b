"""Images in a folder and the folders below it; only the standard library."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base import DataError, StorageError
from lowmem_jobs.ingest.entries import MAX_FILE_BYTES, Entry, is_ignored
from lowmem_jobs.ingest.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What the file itself is to blame for; anything else is the disk's doing.
_OF_THE_FILE = (
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EISDIR,
    errno.ELOOP,
    # Google's own documents on a mounted Drive are listed, and cannot be opened.
    errno.EOPNOTSUPP,
    errno.ENXIO,
    errno.ENODEV,
)


def list_folder(root: Path, *, without: Path) -> Iterator[Entry]:
    """Yield every file below ``root``, in no particular order.

    Parameters
    ----------
    root
        The folder.
    without
        A folder to leave out: the workspace may lie inside the source.

    Notes
    -----
    Hidden files and folders are passed over. Links to files are followed, links to
    folders are not: they may form circles.
    """
    for folder, folders, names in os.walk(root, onerror=_fail):
        here = Path(folder)
        linked = [name for name in folders if (here / name).is_symlink()]
        folders[:] = [
            name
            for name in folders
            if not is_ignored(name) and here / name != without and name not in linked
        ]
        for name in [*names, *linked]:
            if not is_ignored(name):
                yield _entry(root, here / name)


def _fail(error: OSError) -> None:
    raise DataError(
        thing=error.filename,
        problem=f"cannot be listed ({error.strerror})",
        expected="a folder that may be read",
    )


def _entry(root: Path, path: Path) -> Entry:
    name = path.relative_to(root).as_posix()
    try:
        status = path.stat()
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
        return Entry(name=name, n_bytes=0, problem=problem)
    problem = ""
    if stat.S_ISDIR(status.st_mode):
        problem = "a link to a folder, which is not followed"
    elif not stat.S_ISREG(status.st_mode):
        problem = "not a regular file"
    return Entry(
        name=name,
        n_bytes=status.st_size,
        changed_s=0 if problem else int(status.st_mtime),
        problem=problem,
    )


def file_reader(root: Path) -> Callable[[Entry], bytes]:
    """Return a function that reads one file, never more than the limit.

    Raises
    ------
    UnreadableError
        By that function, if the file cannot be read, or is not what was listed.
    StorageError
        By that function, if its disk fails: the run can go on later.
    """

    def read(entry: Entry) -> bytes:
        path = root / entry.name
        try:
            with path.open("rb") as stream:
                data = stream.read(MAX_FILE_BYTES + 1)
                status = os.fstat(stream.fileno())
        except OSError as error:
            if error.errno in _OF_THE_FILE:
                raise UnreadableError(f"cannot be read: {error.strerror}") from error
            problem = error.strerror or str(error)
            raise StorageError(path=path, problem=problem) from error
        if len(data) > MAX_FILE_BYTES:
            raise UnreadableError(f"larger than {MAX_FILE_BYTES} bytes")
        found = (len(data), status.st_size, int(status.st_mtime))
        if found != (entry.n_bytes, entry.n_bytes, entry.changed_s):
            raise UnreadableError("changed while the folder was read")
        return data

    return read

"""The files of a source, one by one; nothing of it is read, and no link leads outside."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.base.errors import DataError, StorageError
from lowmem.base.errors_staging import (
    NoFileError,
    SourceChangedError,
    SourceReadError,
)
from lowmem.staging.copy_plan import Stamp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_REFUSED = (errno.EACCES, errno.EPERM)
# A file that is listed and no file, as Google's own documents on a mounted Drive are.
_NO_FILE = (errno.EOPNOTSUPP, errno.ENODEV)
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A file of the source.

    Attributes
    ----------
    name
        Relative to the source, as the system stores it; empty for the source itself.
    stamp
        Its size and time of change.
    path
        Where its bytes are: what a link within the source points to, not the link.
    """

    name: bytes
    stamp: Stamp
    path: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What is no file of the source, and why it is not copied."""

    name: bytes
    reason: str


def stamp_from_status(status: os.stat_result) -> Stamp:
    """Return by what a file is known again."""
    return Stamp(size_bytes=status.st_size, changed_ns=status.st_mtime_ns)


@contextmanager
def source_errors(path: object) -> Iterator[None]:
    """Turn an `OSError` raised inside into one that tells of the source.

    Raises
    ------
    SourceChangedError
        If the file has gone.
    DataError
        If it may not be read.
    NoFileError
        If it is listed, and cannot be opened by anybody.
    SourceReadError
        If its disk or mount fails.
    """
    try:
        yield
    except StorageError:
        # Of the copy, or told already.
        raise
    except OSError as error:
        named = os.fsdecode(path) if isinstance(path, bytes) else path
        if error.errno in _GONE:
            raise SourceChangedError(path=named) from error
        problem = error.strerror or str(error)
        if error.errno in _NO_FILE:
            raise NoFileError(path=named, problem=problem) from error
        if error.errno in _REFUSED:
            raise DataError(
                thing=named,
                problem=f"cannot be read ({problem})",
                expected="a source that may be read",
            ) from error
        raise SourceReadError(path=named, problem=problem) from error


def survey(source: Path) -> Iterator[Seen | LeftOut]:
    """Yield every file of a source, and what of it is not copied, in no order.

    Parameters
    ----------
    source
        A file or a folder; absolute, without links.

    Notes
    -----
    Links within a folder are followed to files of the same folder, never further, and
    never to folders: these may form circles. Folders without files are passed over.
    Memory: the names of the folders that are still to be looked into.
    """
    top = os.fsencode(source)
    with source_errors(source):
        status = source.stat()
        if not stat.S_ISDIR(status.st_mode):
            yield _file(b"", top, status)
            return
    folders = [b""]
    while folders:
        yield from _look_into(top, folders.pop(), folders)


def _look_into(
    top: bytes, folder: bytes, folders: list[bytes]
) -> Iterator[Seen | LeftOut]:
    """Yield the files of one folder, and add its folders to those to look into."""
    here = b"/".join(filter(None, (top, folder)))
    with source_errors(here), os.scandir(here) as entries:
        for entry in entries:
            name = b"/".join(filter(None, (folder, entry.name)))
            if entry.is_symlink():
                yield _linked(top, name, entry.path)
            elif entry.is_dir(follow_symlinks=False):
                folders.append(name)
            else:
                yield _file(name, entry.path, entry.stat(follow_symlinks=False))


def _linked(top: bytes, name: bytes, path: bytes) -> Seen | LeftOut:
    """Return what a link points to, if that is a file within the source."""
    try:
        real = os.path.realpath(path, strict=True)
        status = os.stat(real)  # noqa: PTH116 - names are bytes: not all are text
    except OSError:
        return LeftOut(name=name, reason="a link that leads nowhere")
    if not real.startswith(top + b"/"):
        return LeftOut(name=name, reason="a link that leads outside")
    if stat.S_ISDIR(status.st_mode):
        return LeftOut(name=name, reason="a link to a folder")
    return _file(name, real, status)


def _file(name: bytes, path: bytes, status: os.stat_result) -> Seen | LeftOut:
    if not stat.S_ISREG(status.st_mode):
        return LeftOut(name=name, reason="not a regular file")
    return Seen(name=name, stamp=stamp_from_status(status), path=path)

"""Durable files: the only place that renames, replaces or forces data to the disk.

A file is durable when its bytes *and* the entry in its folder have reached the disk;
neither Zarr nor Keras sees to that. Every failure of the disk leaves this module as a
`StorageError`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from lowmem.base.errors import StorageError
from lowmem.base.errors_outside import NotAllowedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from io import FileIO
    from pathlib import Path

_SYNC_FILE_RANGE_WRITE = 2


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` raised inside into a `StorageError` that names ``path``."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise storage_error(error, path) from error


def storage_error(error: OSError, path: object) -> StorageError:
    """Return what is told of an `OSError` that ``path`` met."""
    problem = error.strerror or str(error)
    if error.errno in (errno.EACCES, errno.EPERM):
        return NotAllowedError(path=path, problem=problem)
    return StorageError(path=path, problem=problem)


def sync_file(path: Path) -> None:
    """Force the bytes of one file, or the entries of one folder, to the disk."""
    with storage_errors(path):
        # A pipe among the files of a job is not waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            os.fsync(descriptor)
        except OSError as error:
            # Some network and FUSE mounts cannot sync a folder; the files are synced.
            if error.errno != errno.EINVAL:
                raise
        finally:
            os.close(descriptor)


def begin_writing_out(stream: FileIO) -> None:
    """Let the system begin to write out what a file holds, and do not wait for it.

    A later `sync_file` then finds little left to do. It says nothing of durability, so
    a system that lacks the call, or refuses it, is left to itself.
    """
    begin = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if begin is not None:
        start = end = ctypes.c_int64(0)
        begin(stream.fileno(), start, end, _SYNC_FILE_RANGE_WRITE)


def sync_tree(root: Path) -> None:
    """Force every file and folder below ``root``, and ``root`` itself, to the disk."""
    for folder, _, names in os.walk(root):
        for name in names:
            sync_file(root.__class__(folder) / name)
        sync_file(root.__class__(folder))


def make_folder(path: Path) -> None:
    """Create ``path`` and its parents if they are missing."""
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def write_file(path: Path, data: bytes) -> None:
    """Replace the content of ``path``, durably and all at once.

    Readers see the old content or the new, never a mixture; after a crash too.
    """
    temporary = path.with_name(path.name + ".tmp")
    with storage_errors(path):
        try:
            with os.fdopen(_own_file(temporary), "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        except OSError:
            # A full disk gets its space back.
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    sync_file(path.parent)


def create_file(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file under a name that nobody has used, durably; no rename is needed.

    For storage that renames by copying: until this returns, a reader may find a part.

    Raises
    ------
    StorageError
        If the name is taken, or the disk takes no more.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    with storage_errors(path), os.fdopen(os.open(path, flags, 0o666), "wb") as stream:
        for part in parts:
            stream.write(part)
        stream.flush()
        os.fsync(stream.fileno())
    sync_file(path.parent)


def _own_file(path: Path) -> int:
    """Open a file for writing whose name is this module's own; no link is followed."""
    if path.is_symlink():
        path.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    # Neither a link that came meanwhile nor a pipe is what was meant.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)


def rename(source: Path, target: Path) -> None:
    """Give ``source`` the name ``target``, durably; an existing file is replaced."""
    with storage_errors(target):
        os.replace(source, target)
    sync_file(target.parent)
    if source.parent != target.parent:
        sync_file(source.parent)


def move(source: Path, target: Path) -> None:
    """Give ``source`` the name ``target``; durable only after `sync_tree`."""
    with storage_errors(target):
        os.replace(source, target)


def remove(path: Path) -> None:
    """Delete a file or a whole folder; nothing happens where there is none."""
    with storage_errors(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def publish(staged: Path, final: Path) -> None:
    """Move a finished result to its place, replacing what was there.

    Notes
    -----
    Whole or absent: ``final`` is the old result, absent for an instant when both are
    folders, or the new one. Calling it again after a crash at any point finishes the
    move, since ``staged`` disappears last.
    """
    retired = final.with_name(f".{final.name}.old")
    if not staged.exists():
        remove(retired)
        return
    sync_tree(staged) if staged.is_dir() else sync_file(staged)
    make_folder(final.parent)
    if final.is_dir():
        remove(retired)
        rename(final, retired)
    rename(staged, final)
    remove(retired)

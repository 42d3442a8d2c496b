"""Copy one file in large blocks, and read a copy back from the disk.

A block is read, hashed, written and remembered before the next: that is all of a file
that is ever held, and all that a kill can lose.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from lowmem.base.errors_staging import SourceChangedError
from lowmem.base.files import begin_writing_out, remove, storage_errors, sync_file
from lowmem.staging.survey import source_errors, stamp_from_status

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO
    from pathlib import Path

    from lowmem.staging.copied_blocks import Ledger
    from lowmem.staging.survey import Seen


def copy_file(
    seen: Seen,
    draft: Path,
    ledger: Ledger,
    *,
    offset: int,
    block: memoryview,
    tell: Callable[[int], None],
) -> None:
    """Copy a file from ``offset`` on, and give the copy its time of change.

    Parameters
    ----------
    draft
        Where the copy is made.
    block
        Memory for one block; its length is that of every block.
    tell
        Called with the bytes that are copied, after each block; begins with those that
        were there.

    Raises
    ------
    SourceChangedError
        If the file is not what was seen, before or after it was read.
    NoFileError
        If what is listed as a file is none.
    SourceReadError, StorageError
        If the source, or the copy's disk, fails.
    """
    with source_errors(seen.path), _opened(seen.path) as source:
        _require_same(seen, source)
        if not _continues(seen, source, draft, ledger, offset=offset, block=block):
            offset = 0
            ledger.begin(seen)
            remove(draft)
        with storage_errors(draft):
            draft.parent.mkdir(parents=True, exist_ok=True)
            draft.touch()
        tell(offset)
        _copy_blocks(seen, source, draft, ledger, offset=offset, block=block, tell=tell)
        _require_same(seen, source)
    with storage_errors(draft):
        os.utime(draft, ns=(seen.stamp.changed_ns, seen.stamp.changed_ns))
    ledger.note_whole(seen.name)


def require_file(seen: Seen) -> None:
    """Refuse what is listed as a file and cannot be opened as one.

    Raises
    ------
    NoFileError, SourceChangedError, SourceReadError, DataError
        As `source_errors` tells them apart.
    """
    with source_errors(seen.path), _opened(seen.path):
        pass


def _opened(path: bytes) -> FileIO:
    # A pipe that has taken the file's place would block; a link lead elsewhere.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    stream = open(os.open(path, flags), "rb", buffering=0)  # noqa: PTH123, SIM115
    with suppress(OSError):
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
    return stream


def _require_same(seen: Seen, source: FileIO) -> None:
    if stamp_from_status(os.fstat(source.fileno())) != seen.stamp:
        raise SourceChangedError(path=os.fsdecode(seen.path))


def _continues(
    seen: Seen,
    source: FileIO,
    draft: Path,
    ledger: Ledger,
    *,
    offset: int,
    block: memoryview,
) -> bool:
    """Tell whether a copy may go on at ``offset``; the source then stands there.

    The block before is read again: a file whose size and time were set back shows here.
    """
    if not offset or draft.lstat().st_nlink > 1:
        # A second name of what is published: that must not be written to.
        return False
    source.seek(offset - len(block))
    n_bytes = fill(source, block)
    digest = hashlib.sha256(block[:n_bytes]).digest()
    if digest == ledger.block(seen.name, offset // len(block) - 1):
        return True
    source.seek(0)
    return False


def _copy_blocks(
    seen: Seen,
    source: FileIO,
    draft: Path,
    ledger: Ledger,
    *,
    offset: int,
    block: memoryview,
    tell: Callable[[int], None],
) -> None:
    with storage_errors(draft):
        copy = draft.open("r+b", buffering=0)
    with copy:
        with storage_errors(draft):
            copy.truncate(copy.seek(offset))
        while n_bytes := fill(source, block):
            if offset + n_bytes > seen.stamp.size_bytes:
                # A file that grows as fast as it is read would never end.
                raise SourceChangedError(path=os.fsdecode(seen.path))
            digest = hashlib.sha256(block[:n_bytes]).digest()
            with storage_errors(draft):
                _write(copy, block[:n_bytes])
                begin_writing_out(copy)
            ledger.note_block(seen.name, offset // len(block), digest)
            offset += n_bytes
            tell(offset)


def fill(stream: FileIO, block: memoryview) -> int:
    """Read until the block is full or the file ends; return the number of bytes."""
    n_bytes = 0
    while n_new := stream.readinto(block[n_bytes:]):
        n_bytes += n_new
    return n_bytes


def _write(stream: FileIO, data: memoryview) -> None:
    while data:
        data = data[stream.write(data) :]


def read_back(
    seen: Seen,
    draft: Path,
    ledger: Ledger,
    *,
    block: memoryview,
    tell: Callable[[int], None],
) -> bool:
    """Tell whether a copy is on the disk as its source was read; keep its SHA-256.

    From the first block that differs on, the copy is forgotten.

    Raises
    ------
    StorageError
        If it cannot be read.
    """
    whole, number, done = hashlib.sha256(), 0, 0
    sync_file(draft)
    with storage_errors(draft), draft.open("rb", buffering=0) as copy:
        # What is in the page cache says nothing of the disk.
        os.posix_fadvise(copy.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while n_bytes := fill(copy, block):
            digest = hashlib.sha256(block[:n_bytes]).digest()
            if digest != ledger.block(seen.name, number):
                break
            whole.update(block[:n_bytes])
            number, done = number + 1, done + n_bytes
            tell(done)
    if done != seen.stamp.size_bytes:
        ledger.cut(seen.name, number)
        return False
    ledger.note_checked(seen.name, whole.digest())
    return True

"""Images in a zip archive, read member by member and never unpacked to the disk."""

from __future__ import annotations

import errno
import lzma
import stat
import struct
import zipfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lowmem.base.errors import DataError, StorageError
from lowmem_jobs.ingest.entries import (
    MAX_FILE_BYTES,
    Entry,
    UnreadableError,
    is_ignored,
    name_problem,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_ENCRYPTED = 0x1  # of a member's flag bits
# A flat bitmap shrinks some hundred times, a bomb a thousand; small ones do no harm.
_MAX_RATIO = 250
_RATIO_FROM_BYTES = 2**24
_UNIX = 3  # the system whose file modes are in the upper half of external_attr
# All that reading hostile bytes was seen to raise; NotImplementedError is one of them.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
)


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive.

    Raises
    ------
    DataError
        If its directory cannot be read.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (*DAMAGE, OSError) as error:
        raise DataError(
            thing=path,
            problem=f"cannot be read as a zip archive ({error})",
            expected="a whole zip archive",
            todo="It may have been cut short: copy it again.",
        ) from error
    with archive:
        yield archive


def list_zip(archive: zipfile.ZipFile) -> Iterator[Entry]:
    """Yield the members of an archive, in stored order."""
    for member in archive.infolist():
        if not member.is_dir() and not is_ignored(member.filename):
            yield Entry(
                name=member.filename,
                n_bytes=member.file_size,
                place=member,
                problem=_problem(member),
            )


def _problem(member: zipfile.ZipInfo) -> str:
    mode = member.external_attr >> 16
    ratio_bytes = max(member.compress_size, 1) * _MAX_RATIO
    # The archive's own spelling: `filename` has been cut at the first zero byte.
    if problem := name_problem(member.orig_filename):
        return problem
    if member.create_system == _UNIX and stat.S_ISLNK(mode):
        return "a link, which is not followed"
    if member.flag_bits & _ENCRYPTED:
        return "encrypted"
    if member.file_size > max(ratio_bytes, _RATIO_FROM_BYTES):
        return f"unpacks to more than {_MAX_RATIO} times its size"
    return ""


def member_reader(archive: zipfile.ZipFile) -> Callable[[Entry], bytes]:
    """Return a function that reads one member, never more than the limit."""

    def read(entry: Entry) -> bytes:
        try:
            with archive.open(entry.place) as stream:
                data = stream.read(MAX_FILE_BYTES + 1)
        except DAMAGE as error:
            raise UnreadableError(f"damaged in the archive: {error}") from error
        except OSError as error:
            # A damaged header may point before the start of the file.
            if error.errno == errno.EINVAL:
                raise UnreadableError("damaged in the archive") from error
            problem = error.strerror or str(error)
            raise StorageError(path=archive.filename, problem=problem) from error
        if len(data) > MAX_FILE_BYTES:
            raise UnreadableError(f"larger than {MAX_FILE_BYTES} bytes")
        return data

    return read

"""Images in a zip archive, read member by member and never unpacked to the disk."""

from __future__ import annotations

import errno
import lzma
import stat
import struct
import zipfile
import zlib
from bz2 import BZ2Decompressor
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from lowmem.base import DataError, StorageError
from lowmem_jobs.ingest.entries import Entry, is_ignored, name_problem
from lowmem_jobs.ingest.unreadable import UnreadableError
from lowmem_jobs.ingest.zip_directory import (
    ZipDamageError,
    packed_content,
    path_of,
    read_directory,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lowmem_jobs.ingest.zip_directory import Member

_ENCRYPTED = 0x1  # of a member's flag bits
# A flat bitmap shrinks some hundred times, a bomb a thousand; small ones do no harm.
_MAX_RATIO = 250
_RATIO_FROM_BYTES = 2**24
# No method lets what cannot be compressed grow by more; factor, and bytes.
_MAX_GROWTH = 1.125
_MAX_HEADER = 4096
_MAX_DICTIONARY = 2**27  # bytes; the format allows 4 GiB
_UNIX = 3  # the system whose file modes are in the upper half of external_attr
# All that reading hostile bytes was seen to raise; of an unknown compression, RuntimeError.
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
    """Open an archive of few members, as .npz files are.

    Raises
    ------
    DataError
        If its directory cannot be read.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (*DAMAGE, OSError) as error:
        raise _damage(path, error) from error
    with archive:
        yield archive


def list_zip(path: Path, stream: IO[bytes]) -> Iterator[Entry]:
    """Yield the members of an open archive, in stored order.

    Raises
    ------
    DataError
        If its directory cannot be read.
    """
    try:
        for member in read_directory(stream):
            name = path_of(member.name, member.system)
            if not name.endswith("/") and not is_ignored(name):
                yield Entry(
                    name,
                    n_bytes=member.n_bytes,
                    place=member.offset,
                    packed_bytes=member.packed_bytes,
                    crc=member.crc,
                    method=member.method,
                    problem=_problem(member),
                )
    except ZipDamageError as error:
        raise _damage(path, error) from error


def _problem(member: Member) -> str:
    """Return why a member is not to be read; empty if it is.

    The name is the archive's own spelling, whatever follows a zero byte included.
    """
    return (
        name_problem(member.name)
        or _kind_problem(member)
        or _size_problem(member.n_bytes, member.packed_bytes)
    )


def _kind_problem(member: Member) -> str:
    if member.system == _UNIX and stat.S_ISLNK(member.attributes >> 16):
        return "a link, which is not followed"
    if member.flags & _ENCRYPTED:
        return "encrypted"
    if member.method not in _METHODS:
        return f"compressed by method {member.method}"
    return ""


def _size_problem(n_bytes: int, packed_bytes: int) -> str:
    if n_bytes > max(max(packed_bytes, 1) * _MAX_RATIO, _RATIO_FROM_BYTES):
        return f"unpacks to more than {_MAX_RATIO} times its size"
    if packed_bytes > n_bytes * _MAX_GROWTH + _MAX_HEADER:
        return "damaged in the archive: larger than what is packed in it"
    return ""


def packed_reader(path: Path, stream: IO[bytes]) -> Callable[[Entry], bytes]:
    """Return a function that reads one member of the open archive, as it is packed."""

    def read(entry: Entry) -> bytes:
        try:
            return packed_content(
                stream,
                offset=entry.place,
                name=entry.name,
                n_bytes=entry.packed_bytes,
            )
        except (*DAMAGE, ZipDamageError) as error:
            raise UnreadableError(f"damaged in the archive: {error}") from error
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise UnreadableError("damaged in the archive") from error
            problem = error.strerror or str(error)
            raise StorageError(path=path, problem=problem) from error

    return read


def unpacked(entry: Entry, packed: bytes) -> bytes:
    """Return what a member holds, once size and CRC-32 have shown it to be whole.

    Raises
    ------
    UnreadableError
        If it is not.
    """
    try:
        data = _METHODS[entry.method](packed, entry.n_bytes + 1)
    except DAMAGE as error:
        raise UnreadableError(f"damaged in the archive: {error}") from error
    except OSError as error:  # of the decompressor bz2
        raise UnreadableError("damaged in the archive") from error
    if len(data) != entry.n_bytes:
        raise UnreadableError("damaged in the archive: it is not of its size")
    if zlib.crc32(data) != entry.crc:
        raise UnreadableError("damaged in the archive: its CRC-32 is another")
    return data


def _stored(packed: bytes, _max_bytes: int) -> bytes:
    return packed


def _inflated(packed: bytes, max_bytes: int) -> bytes:
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, max_bytes)


def _from_bz2(packed: bytes, max_bytes: int) -> bytes:
    return BZ2Decompressor().decompress(packed, max_bytes)


def _from_lzma(packed: bytes, max_bytes: int) -> bytes:
    """Unpack LZMA: APPNOTE.TXT 5.8.8; only the header differs from an .lzma file's."""
    if packed[2:4] != b"\x05\0":
        raise lzma.LZMAError("its header is altered")
    size = (max_bytes - 1).to_bytes(8, "little")
    alone = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_MAX_DICTIONARY)
    return alone.decompress(packed[4:9] + size + packed[9:], max_bytes)


_METHODS = {
    zipfile.ZIP_STORED: _stored,
    zipfile.ZIP_DEFLATED: _inflated,
    zipfile.ZIP_BZIP2: _from_bz2,
    zipfile.ZIP_LZMA: _from_lzma,
}


def _damage(path: Path, error: Exception) -> DataError:
    return DataError(
        thing=path,
        problem=f"cannot be read as a zip archive ({error})",
        expected="a whole zip archive",
        todo="It may have been cut short: copy it again.",
    )

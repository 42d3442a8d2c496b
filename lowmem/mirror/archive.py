"""A plain tar, written and read as a stream: nothing but regular files.

Written by hand from `tarfile.TarInfo`'s headers, since what comes from a mirror is
untrusted: links, devices, sparse files and extended headers are refused as damage.
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BLOCK_BYTES = 2**20
_RECORD = 512
_NAME_BYTES = 100


class DamagedArchiveError(Exception):
    """An archive that is not whole, or not ours; caught within `lowmem.mirror`."""


class ChangedFileError(Exception):
    """A file that changed while it was read; caught within `lowmem.mirror`."""


class Writable(Protocol):
    """Where an archive goes."""

    def write(self, data: bytes, /) -> int:
        """Write all of ``data``."""
        ...


class Readable(Protocol):
    """Where an archive comes from."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes; none at the end."""
        ...


@dataclass(slots=True)
class ArchiveWriter:
    """Writes one archive and takes its checksum on the way.

    Attributes
    ----------
    size_bytes
        Written so far.
    """

    stream: Writable
    size_bytes: int = 0
    _members: int = 0
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def add(self, path: str, size_bytes: int, blocks: Iterable[bytes]) -> str:
        """Write one file and return the SHA-256 of its bytes.

        Raises
        ------
        ChangedFileError
            If ``blocks`` hold fewer or more bytes than ``size_bytes``.
        """
        info = tarfile.TarInfo(path)
        info.size = size_bytes
        self._write(info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
        digest, left = hashlib.sha256(), size_bytes
        for block in blocks:
            left -= len(block)
            if left < 0:
                break
            digest.update(block)
            self._write(block)
        if left:
            raise ChangedFileError(path)
        self._write(bytes(-size_bytes % _RECORD))
        self._members += 1
        return digest.hexdigest()

    def member_of(self, path: str) -> str:
        """Return the name under which a file is put in: its path, if that is short."""
        is_short = len(path.encode(errors="surrogateescape")) <= _NAME_BYTES
        return path if is_short else f"long-names/{self._members:08d}"

    def close(self) -> str:
        """Write the end, and return the SHA-256 of the whole archive."""
        self._write(bytes(2 * _RECORD))
        return self._digest.hexdigest()

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        self.size_bytes += len(data)
        self.stream.write(data)


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """One file of an archive; its blocks are to be read before the next member."""

    name: str
    size_bytes: int
    blocks: Iterator[bytes]

    def content(self, most_bytes: int) -> bytes:
        """Return the whole content.

        Raises
        ------
        DamagedArchiveError
            If it is larger than ``most_bytes``, or cut.
        """
        if self.size_bytes > most_bytes:
            raise DamagedArchiveError(f"{self.name} has {self.size_bytes} bytes")
        return b"".join(self.blocks)


def members(stream: Readable) -> Iterator[ArchiveMember]:
    """Yield the files of an archive in order, up to its end.

    Raises
    ------
    DamagedArchiveError
        If it is cut, or holds anything but plain files.
    """
    while True:
        header = _exactly(stream, _RECORD)
        if header == bytes(_RECORD):
            return
        try:
            info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise DamagedArchiveError(f"header: {error}") from error
        if info.type not in {tarfile.REGTYPE, tarfile.AREGTYPE} or info.size < 0:
            raise DamagedArchiveError(f"{info.name!r} is no plain file")
        blocks = _blocks(stream, info.size)
        yield ArchiveMember(info.name, info.size, blocks)
        for _ in blocks:
            pass


def _blocks(stream: Readable, size_bytes: int) -> Iterator[bytes]:
    left = size_bytes
    while left:
        block = stream.read(min(left, BLOCK_BYTES))
        if not block:
            raise DamagedArchiveError("the archive is cut")
        left -= len(block)
        yield block
    _exactly(stream, -size_bytes % _RECORD)


def _exactly(stream: Readable, size_bytes: int) -> bytes:
    data = b""
    while len(data) < size_bytes:
        block = stream.read(size_bytes - len(data))
        if not block:
            raise DamagedArchiveError("the archive is cut")
        data += block
    return data

"""The directory of a zip archive, read member by member.

The standard library keeps an object for each member, 55 MiB for 100,000 of them. Here
each is yielded and forgotten, or kept on the disk in a `Catalog`. Formats: PKWARE's
APPNOTE.TXT 6.3.10, sections 4.3.12 to 4.3.16, 4.4 and 4.5.3 (zip64).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple

from lowmem_jobs.ingest.entries import unpacked_to

if TYPE_CHECKING:
    from collections.abc import Iterator

_MEMBER = struct.Struct("<4s2B5H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
_MAX_COMMENT = 2**16 - 1
_BLOCK_BYTES = 2**20
_LONGEST = _MEMBER.size + 3 * (2**16 - 1)  # with name, extra field and comment; bytes
# What is read at once of a member: its own header, and its content where that is small.
_EXTRA_BYTES = 64
_SMALL_BYTES = 2**16
_CHARACTER_BYTES = 4  # in UTF-8, at most
_UNKNOWN = 2**32 - 1  # in a field whose value is in the zip64 extra field
_MOST = 2**63 - 1  # bytes; no file system has a larger file
_EXTRA_64 = 1
_EXTRA_NAME = 0x7075
_EXTRA_NAME_HEAD = struct.Struct(
    "<BI"
)  # version, CRC-32 of the name that it stands for
_UNIX_SYSTEMS = (3, 19)  # Unix and macOS
_FAT = 0
_UTF8 = 0x800  # of a member's flags


class ZipDamageError(Exception):
    """Raised when the directory, or a member's own header, is not as it must be."""


class Member(NamedTuple):
    """What the directory says of one member; there may be millions.

    Attributes
    ----------
    name
        As `decoded` reads it; bytes that are no text as surrogates.
    system, attributes
        Where it was made, and its attributes there.
    flags, method, crc
        Bits, compression, CRC-32 of its content.
    packed_bytes, n_bytes
        Its size in the archive, and unpacked.
    offset
        Where its own header is, from the start of the file.
    """

    name: str
    system: int
    attributes: int
    flags: int
    method: int
    crc: int
    packed_bytes: int
    n_bytes: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where the directory is, and how far offsets in it are off."""

    start: int
    n_bytes: int
    shift: int


def read_directory(stream: IO[bytes]) -> Iterator[Member]:
    """Yield the members of an archive, in stored order.

    Raises
    ------
    ZipDamageError
        If there is no directory, or it is cut short or altered.
    """
    place = _place(stream)
    position, end = place.start, place.start + place.n_bytes
    block, at = b"", 0
    is_last = False
    while position < end:
        if len(block) - at < _LONGEST and not is_last:
            # A caller may read members in between.
            stream.seek(position)
            block, at = stream.read(_BLOCK_BYTES), 0
            is_last = len(block) < _BLOCK_BYTES
        fields = _fields(_MEMBER, block, at, b"PK\x01\x02", "a member of the directory")
        n_name, n_extra, n_comment = fields[11:14]
        start = at + _MEMBER.size
        middle = start + n_name
        if middle + n_extra > len(block):
            raise ZipDamageError("the directory is cut short")
        extra = block[middle : middle + n_extra]
        yield _member(fields, block[start:middle], extra, place.shift)
        length = _MEMBER.size + n_name + n_extra + n_comment
        position, at = position + length, at + length


def _member(fields: tuple[int, ...], name: bytes, extra: bytes, shift: int) -> Member:
    # By their place in the structure: sizes unpacked and packed, and the offset.
    sizes = _zip64((fields[10], fields[9], fields[17]), extra)
    offset = sizes[2] + shift
    if offset < 0 or max(*sizes, offset) > _MOST:
        raise ZipDamageError("a member has a size or a place that cannot be")
    return Member(
        decoded(name, fields[4], system=fields[2], extra=extra),
        system=fields[2],
        attributes=fields[16],
        flags=fields[4],
        method=fields[5],
        crc=fields[8],
        packed_bytes=sizes[1],
        n_bytes=sizes[0],
        offset=offset,
    )


def _zip64(sizes: tuple[int, int, int], extra: bytes) -> tuple[int, int, int]:
    """Return sizes of which some may be in the extra field, those in their order."""
    if _UNKNOWN not in sizes:
        return sizes
    large = _extra_64(extra)
    found = []
    for size in sizes:
        if size == _UNKNOWN:
            if len(large) < 8:  # noqa: PLR2004 - one number of 64 bits
                raise ZipDamageError("a member lacks its size of 64 bits")
            size, large = int.from_bytes(large[:8], "little"), large[8:]  # noqa: PLW2901
        found.append(size)
    return found[0], found[1], found[2]


def _extra_64(extra: bytes) -> bytes:
    return next((part for kind, part in _parts(extra) if kind == _EXTRA_64), b"")


def _parts(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind and content of the parts of an extra field."""
    while len(extra) >= 4:  # noqa: PLR2004 - kind and length, 16 bits each
        kind, length = struct.unpack_from("<2H", extra)
        yield kind, extra[4 : 4 + length]
        extra = extra[4 + length :]


def decoded(name: bytes, flags: int, *, system: int = 0, extra: bytes = b"") -> str:
    """Return a name as text, as the programs that unpack archives do.

    Parameters
    ----------
    system
        Where the member was made.
    extra
        Its extra field, which may hold the name once more, in UTF-8 (0x7075).

    Notes
    -----
    UTF-8 where that is declared. The standard's code page 437 is what programs of Windows
    wrote; the Finder and `zip` on Linux write UTF-8 without declaring it, and hardly any
    name of code page 437 is UTF-8 by chance. Of other bytes from Unix no code page is
    known: they stay what they are, as in a folder.
    """
    # The tables of a code page are slow, and ASCII is the same in all.
    if flags & _UTF8 or name.isascii():
        return name.decode("utf-8", "surrogateescape")
    try:
        return (_name_in_extra(name, extra) or name).decode("utf-8")
    except UnicodeDecodeError:
        if system in _UNIX_SYSTEMS:
            return name.decode("utf-8", "surrogateescape")
        return name.decode("cp437")


def _name_in_extra(name: bytes, extra: bytes) -> bytes:
    """Return the name in the extra field, if it is of this name; else nothing."""
    for kind, part in _parts(extra):
        if kind == _EXTRA_NAME and len(part) > _EXTRA_NAME_HEAD.size:
            version, crc = _EXTRA_NAME_HEAD.unpack_from(part)
            if version == 1 and crc == zlib.crc32(name):
                return part[_EXTRA_NAME_HEAD.size :]
    return b""


def directory_bytes(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the directory as it is stored: names, sizes and CRC-32 of all members.

    Raises
    ------
    ZipDamageError
        If there is none.
    """
    place = _place(stream)
    left = place.n_bytes
    stream.seek(place.start)
    while block := stream.read(min(left, _BLOCK_BYTES)):
        left -= len(block)
        yield block


def _place(stream: IO[bytes]) -> _Place:
    size = stream.seek(0, 2)
    start = max(0, size - _END.size - _MAX_COMMENT)
    stream.seek(start)
    tail = stream.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise ZipDamageError("it has no directory at its end")
    *_, n_bytes, offset, _ = _END.unpack_from(tail, at)
    end = start + at
    if end >= _LOCATOR_64.size + _END_64.size:
        stream.seek(end - _LOCATOR_64.size)
        if stream.read(4) == b"PK\x06\x07":
            end -= _LOCATOR_64.size + _END_64.size
            stream.seek(end)
            data = stream.read(_END_64.size)
            fields = _fields(_END_64, data, 0, b"PK\x06\x06", "the end in 64 bits")
            n_bytes, offset = fields[8:10]
    first = end - n_bytes
    if first < 0:
        raise ZipDamageError("its directory would begin before the archive")
    # Something may stand before the archive: a program that unpacks it, for one.
    return _Place(start=first, n_bytes=n_bytes, shift=first - offset)


def packed_content(stream: IO[bytes], *, offset: int, name: str, n_bytes: int) -> bytes:
    """Return the content of a member as it is stored, found by its own header.

    Raises
    ------
    ZipDamageError
        If there is no such header, or it is another member's.
    """
    stream.seek(offset)
    # Once more in the extra field, where it is not ASCII.
    n_names = 1 if name.isascii() else 2
    head = _LOCAL.size + n_names * _CHARACTER_BYTES * (len(name) + 1) + _EXTRA_BYTES
    data = stream.read(head + min(n_bytes, _SMALL_BYTES))
    fields = _fields(_LOCAL, data, 0, b"PK\x03\x04", "its own header")
    flags, n_name, n_extra = fields[2], *fields[9:11]
    middle = _LOCAL.size + n_name
    if len(data) < middle + n_extra:
        # A name may be longer than the path that it is.
        data += stream.read(middle + n_extra - len(data))
    stored, extra = data[_LOCAL.size : middle], data[middle : middle + n_extra]
    # Where it was made stands in the directory alone.
    if not any(
        path_of(decoded(stored, flags, system=system, extra=extra), system) == name
        for system in (_FAT, _UNIX_SYSTEMS[0])
    ):
        raise ZipDamageError("its own header has another name than the directory")
    start = middle + n_extra
    if start + n_bytes <= len(data):
        return data[start : start + n_bytes]
    stream.seek(offset + start)
    return stream.read(n_bytes)


def path_of(name: str, system: int) -> str:
    r"""Return a member's name as the relative path that it is unpacked to.

    Parameters
    ----------
    system
        Where the member was made.

    Notes
    -----
    Up to its first zero byte: what every system takes for the name. Compress-Archive of
    Windows PowerShell parts folders by backslashes; Info-ZIP and libarchive take them so
    where there is no slash, and the system is that of FAT.

    Examples
    --------
    >>> path_of("./cat/1.png", 3), path_of("cat\\1.png", 0), path_of("cat\\1.png", 3)
    ('cat/1.png', 'cat/1.png', 'cat\\1.png')
    """
    path = name.partition("\0")[0]
    if system == _FAT and "/" not in path:
        path = path.replace("\\", "/")
    return unpacked_to(path)


def _fields(
    form: struct.Struct, data: bytes, at: int, mark: bytes, what: str
) -> tuple[int, ...]:
    if len(data) - at < form.size or not data.startswith(mark, at):
        raise ZipDamageError(f"{what} is cut short or altered")
    fields: tuple[int, ...] = form.unpack_from(data, at)
    return fields

"""Images in a tar archive, in the order of their names whatever the stored order.

Name order needs random access. A plain archive has it. A compressed one can only be
read forwards, so it is first unpacked *as a whole* to one plain archive in the staging
folder: that costs disk, but memory stays bounded and every later restart is cheap.
Decoding it once for each backward step, or holding images until their turn comes, would
cost time or memory without bound.
"""

from __future__ import annotations

import lzma
import tarfile
import zlib
from bz2 import BZ2File
from contextlib import contextmanager
from gzip import GzipFile
from io import FileIO
from typing import IO, TYPE_CHECKING, Self

from lowmem.base import DataError, remove, rename, storage_errors, sync_file
from lowmem_jobs.ingest.entries import (
    Entry,
    is_ignored,
    name_problem,
    unpacked_to,
)
from lowmem_jobs.ingest.tar_links import Links, is_link
from lowmem_jobs.ingest.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_BLOCK = 2**20  # bytes moved at once
# Images hardly shrink; an archive that grows more than this is a bomb.
_MAX_RATIO = 100
_RATIO_FROM_BYTES = 2**28
# All that reading hostile headers was seen to raise.
_DAMAGE = (
    tarfile.TarError,
    ValueError,
    EOFError,
    OverflowError,
    LookupError,
    # A chain of headers, each of which says that it belongs to the next.
    RecursionError,
)
# Bytes of a long name, or of all that is noted of a member beside its header.
_MOST_HEADER_BYTES = 2**20
_RECORD = 512  # bytes; the unit of the format
# Where a header says whose format it is, and that of GNU.
_MAGIC, _GNU_MAGIC = slice(257, 265), b"ustar  \0"
_NAME_BYTES = 100
_SPARSE = 1  # in the place where other archives have the compression
# What GNU tar notes of a folder, a part of a file from another tape, a tape's name.
_RECORDS = (b"D", b"M", b"N", b"V")
_MOST_BYTES = 2**62  # no file system has a larger file; a header may say 2^88


def plain_tar(path: Path, staging: Path) -> Path:
    """Return where the plain archive is: ``path`` itself, or what `unpack` makes."""
    return path if path.name.lower().endswith(".tar") else staging / "source.tar"


def partial_tar(staging: Path) -> Path:
    """Return where an archive is while `unpack` works on it."""
    return staging / "source.tar.part"


def unpack(path: Path, staging: Path, *, start: int) -> Iterator[int]:
    """Make `plain_tar` of a compressed archive; yield the bytes done after each block.

    Parameters
    ----------
    start
        Bytes done already, by an earlier process.

    Raises
    ------
    DataError
        If the compressed data are damaged, cut short, or grow without measure.

    Notes
    -----
    Going on costs decompressing what was done once more, but no writing.
    """
    plain = plain_tar(path, staging)
    if plain == path or plain.exists():
        return
    partial = partial_tar(staging)
    # It was deleted where the archive could not be read to its end.
    is_kept = partial.exists() and partial.stat().st_size >= start
    try:
        yield from _unpack(path, partial, start if is_kept else 0)
    except DataError:
        remove(partial)
        raise
    sync_file(partial)
    rename(partial, plain)


def _unpack(path: Path, target: Path, start: int) -> Iterator[int]:
    limit = max(path.stat().st_size * _MAX_RATIO, _RATIO_FROM_BYTES)
    written = start
    with _decompressed(path) as source, target.open("ab") as sink:
        sink.truncate(start)
        with _read_errors(path):
            source.seek(start)
        while block := _next_block(source, path):
            written += len(block)
            if written > limit:
                raise _damage(path, f"unpacks to more than {_MAX_RATIO} times its size")
            with storage_errors(target):
                sink.write(block)
                sink.flush()
            yield written


def _decompressed(path: Path) -> GzipFile | BZ2File | lzma.LZMAFile:
    name = path.name.lower()
    if name.endswith("bz2"):
        return BZ2File(path)
    if name.endswith("xz"):
        return lzma.LZMAFile(path)
    return GzipFile(path)


def _next_block(source: GzipFile | BZ2File | lzma.LZMAFile, path: Path) -> bytes:
    with _read_errors(path):
        return source.read(_BLOCK)


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise _damage(path, f"cannot be unpacked ({error})") from error


def list_tar(path: Path) -> Iterator[Entry]:
    """Yield the members of a plain archive, in stored order.

    Raises
    ------
    DataError
        If the archive is damaged or cut short.
    """
    links: Links | None = None
    end = 0
    try:
        for member, end in _members(path):  # noqa: B007 - where the last one ended
            if is_link(member):
                links = links or _links_before(path, member)
                links.pass_by(member)
                entry = links.entry(member)
            else:
                entry = _entry(member)
                if links is not None:
                    links.pass_by(member)
            if links is not None and (problem := links.place_problem(member)):
                entry = Entry(member.name, problem=problem)
            if not member.isdir() and not is_ignored(member.name):
                yield _checked(entry)
    except _DAMAGE as error:
        raise _damage(path, f"cannot be read as a tar archive ({error})") from error
    _require_end(path, end)


def _members(path: Path) -> Iterator[tuple[tarfile.TarInfo, int]]:
    """Yield each member of a plain archive, and where the next one begins."""
    with (
        _Headers(path) as stream,
        tarfile.open(fileobj=stream, mode="r:", tarinfo=_Member) as archive,
    ):
        while (member := archive.next()) is not None:
            # Each remembered header is a kilobyte; an archive may have millions.
            archive.members = []  # type: ignore[attr-defined]
            _require_place(path, member)
            # As `tar -C FOLDER .` names them: the same files as the folder's.
            member.name = unpacked_to(member.name)
            if member.isreg() and member.name.endswith("/"):
                # So programs unpack it, whatever its header says.
                member.type = tarfile.DIRTYPE
            yield member, archive.offset


class _Member(tarfile.TarInfo):
    """A member whose name has no time of GNU's in it.

    GNU tar, with `--listed-incremental`, and others keep times where the format of POSIX
    keeps the first part of a long name. The library takes the one for the other.
    """

    @classmethod
    def frombuf(  # type: ignore[explicit-override]
        cls, buf: bytes | bytearray, encoding: str, errors: str
    ) -> Self:
        """Return the member of a header."""
        member = super().frombuf(buf, encoding, errors)
        if bytes(buf[_MAGIC]) == _GNU_MAGIC:
            name = bytes(buf[:_NAME_BYTES]).partition(b"\0")[0].decode(encoding, errors)
            member.name = name.rstrip("/") if member.isdir() else name
        return member


class _Headers(FileIO):
    """An archive of which headers are read, and nothing as large as content.

    The library takes the size that a header of its own kind states, and reads so much at
    once: 200 MB of a name.
    """

    def read(self, size: int | None = -1, /) -> bytes:  # type: ignore[explicit-override]
        """Return so many bytes; refuse more than headers have.

        Raises
        ------
        tarfile.ReadError
            If there are more.
        """
        n_bytes = -1 if size is None else size
        if not 0 <= n_bytes <= _MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {n_bytes} bytes")
        return super().read(n_bytes) or b""


def _links_before(path: Path, first: tarfile.TarInfo) -> Links:
    """Return what links stand for, with all noted that comes before the first one."""
    links = Links(lambda: (member for member, _ in _members(path)), _entry)
    for member, _ in _members(path):
        if member.offset == first.offset:
            break
        links.pass_by(member)
    return links


def _require_place(path: Path, member: tarfile.TarInfo) -> None:
    """Refuse a size that a header can state and no file can have."""
    if not 0 <= member.size <= _MOST_BYTES:
        raise _damage(path, f"holds a member of {member.size} bytes")


def _require_end(path: Path, offset: int) -> None:
    """Refuse an archive that stops before its end mark, a record of zeros.

    The library takes a damaged header, and a file that was cut between two members, for
    the end: what follows would be lost without a word.
    """
    with path.open("rb") as stream:
        stream.seek(offset)
        mark = stream.read(_RECORD)
        if any(mark) or not mark:
            raise _damage(path, f"has no whole header and no end mark at byte {offset}")


def _entry(member: tarfile.TarInfo) -> Entry:
    if member.type in _RECORDS:
        return Entry(member.name, problem="a record of its program, and no file")
    # One of a kind that nobody knows is a plain file: POSIX.1-2017, pax, "typeflag".
    if not member.isreg() and member.type in tarfile.SUPPORTED_TYPES:
        return Entry(member.name, problem="a device, which is not followed")
    if member.issparse():
        # Its holes are listed in its headers.
        place = member.offset
        return Entry(member.name, n_bytes=member.size, place=place, method=_SPARSE)
    return Entry(member.name, n_bytes=member.size, place=member.offset_data)


def _checked(entry: Entry) -> Entry:
    """Return an entry with what is wrong with its name, before all else."""
    problem = name_problem(entry.name)
    return entry._replace(problem=problem) if problem else entry


def span_reader(stream: IO[bytes]) -> Callable[[Entry], bytes]:
    """Return a function that reads one member out of the open plain archive."""

    def read(entry: Entry) -> bytes:
        stream.seek(entry.place)
        if entry.method == _SPARSE:
            return _with_holes(entry, stream)
        data = stream.read(entry.n_bytes)
        if len(data) < entry.n_bytes:
            raise UnreadableError("cut short in the archive")
        return data

    return read


def _with_holes(entry: Entry, stream: IO[bytes]) -> bytes:
    """Return a file that is stored without its zeros; the stream is at its headers."""
    try:
        with tarfile.TarFile(fileobj=stream) as archive:
            member = archive.next()
            content = None if member is None else archive.extractfile(member)
            data = b"" if content is None else content.read(entry.n_bytes)
    except _DAMAGE as error:
        raise UnreadableError(f"damaged in the archive: {error}") from error
    if len(data) < entry.n_bytes:
        raise UnreadableError("cut short in the archive")
    return data


def _damage(path: Path, problem: str) -> DataError:
    return DataError(
        thing=path,
        problem=problem,
        expected="a whole tar archive",
        todo="It may have been cut short: copy it again.",
    )

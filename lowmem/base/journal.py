"""An append-only file of JSON lines, each with its checksum.

One line is ``{"crc":"8 hex digits","body":{...}}``; the checksum is CRC-32 of the
body's bytes. A crash can only tear the last line, which is dropped before the next
one is written; any other damage is an error, since a line in the middle was
durable once.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Self

from lowmem.base.errors import CorruptFileError
from lowmem.base.files import make_folder, storage_errors, sync_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A job's message of its summary or options has 4 MiB at the most.
LONGEST_LINE_BYTES = 2**24
_HEAD = b'{"crc":"'
_MIDDLE = b'","body":'
_BODY_START = len(_HEAD) + 8 + len(_MIDDLE)


def line_from_body(body: bytes) -> bytes:
    """Return the line of a body, newline included."""
    return _HEAD + b"%08x" % zlib.crc32(body) + _MIDDLE + body + b"}\n"


def body_from_line(line: bytes) -> bytes | None:
    """Return the body of a whole line, or None if the line is torn or damaged."""
    if not (line.startswith(_HEAD) and line.endswith(b"}\n")):
        return None
    body = line[_BODY_START:-2]
    return body if line_from_body(body) == line else None


def read_bodies(path: Path) -> Iterator[bytes]:
    """Yield the bodies of a journal in order; a torn last line ends it silently.

    Raises
    ------
    CorruptFileError
        If any other line does not match its checksum.
    """
    for number, line in enumerate(lines_of(path), start=1):
        body = body_from_line(line)
        if body is not None:
            yield body
        elif line.endswith(b"\n"):
            raise CorruptFileError(path=path, problem=f"line {number} is damaged")


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield the lines of a journal as they stand, none where there is no journal.

    Raises
    ------
    CorruptFileError
        If one is longer than any that is written: it is not read into memory.
    """
    if not path.exists():
        return
    with storage_errors(path), path.open("rb") as stream:
        number = 0
        while line := stream.readline(LONGEST_LINE_BYTES + 1):
            number += 1
            if len(line) > LONGEST_LINE_BYTES:
                problem = f"line {number} is longer than {LONGEST_LINE_BYTES} bytes"
                raise CorruptFileError(path=path, problem=problem)
            yield line


def whole_part(path: Path) -> bytes:
    """Return a journal as it stands, less a torn last line; empty where there is none."""
    if not path.exists():
        return b""
    with storage_errors(path):
        data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1]


def bodies_with_ends(journal: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the bodies of whole lines, and where each line ends; damaged ones are left out."""
    end = 0
    for line in journal.splitlines(keepends=True):
        end += len(line)
        body = body_from_line(line)
        if body is not None:
            yield body, end


class JournalWriter:
    """The one writer of a journal; a context manager that owns the open file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        make_folder(path.parent)
        self._whole_bytes = sum(len(line_from_body(body)) for body in read_bodies(path))
        with storage_errors(path):
            path.touch()
        sync_file(path.parent)
        with storage_errors(path):
            # Unbuffered: what a full disk refused must not be written by a later close.
            self._stream = path.open("ab", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def append(self, body: bytes) -> None:
        """Add one line and wait until it is on the disk."""
        line = line_from_body(body)
        with storage_errors(self._path):
            # A torn or a failed line goes, else this one would follow half of it.
            self._stream.truncate(self._whole_bytes)
            self._write(line)
        self._whole_bytes += len(line)

    def _write(self, line: bytes) -> None:
        rest = line
        while rest:
            rest = rest[self._stream.write(rest) :]
        os.fsync(self._stream.fileno())

"""The way to files that may come from anybody: regular ones, in bounds, never waited for.

A pipe in the place of a file would be waited for without end; a document nested deeper
than the interpreter's stack, or larger than memory, would end the process that reads it.
So what is read as metadata (JSON, TOML, headers) is opened and parsed here, by every
source, store, mirror and configuration, and what breaks a bound is bad data (65).
"""

from __future__ import annotations

import errno
import json
import os
import stat
from io import BufferedReader, FileIO
from typing import TYPE_CHECKING

import msgspec

from lowmem.base.errors import NewerFormatError
from lowmem.base.errors_outside import (
    NotRegularError,
    OversizedError,
    UnreadableTextError,
)
from lowmem.base.files import storage_errors

if TYPE_CHECKING:
    from pathlib import Path

# Consolidated metadata of ten thousand arrays take 10 MB; parsed, ten times that.
MOST_TEXT_BYTES = 2**24
# Levels of lists and mappings within each other. Zarr and Keras use eight; the
# interpreter ends at some hundreds, and sooner the deeper the call.
MOST_LEVELS = 64
# All that the decoder of typed JSON raises for bytes it cannot take.
BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Versioned(msgspec.Struct, frozen=True):
    """What a description of any format has in common with all others."""

    format: int


def refuse_newer_format(text: bytes, *, path: Path | str, known: int) -> None:
    """Refuse a description in JSON that a newer lowmem wrote, which is not damage.

    Only of bytes that are known to be whole, or that nothing can tell to be so: one
    flipped bit may make another number of a format.

    Parameters
    ----------
    path
        Where it lies, for the message.
    known
        The newest format that this version reads.

    Raises
    ------
    NewerFormatError
        Naming the file and both formats.
    """
    try:
        found = msgspec.json.decode(text, type=_Versioned).format
    except BAD_JSON:
        return
    if found > known:
        raise NewerFormatError(path=path, found=found, known=known)


def refuse_unless_regular(path: Path | str) -> None:
    """Refuse what is there and is no regular file; links are followed.

    Raises
    ------
    NotRegularError
        Saying what it is.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - a string costs less here
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISREG(mode):
        raise NotRegularError(path=path, mode=mode)


def open_regular(path: Path | str, flags: int = os.O_RDONLY) -> int:
    """Return a descriptor of a regular file; a pipe or device is not waited for.

    Raises
    ------
    NotRegularError
        If it is something else.
    OSError
        If it cannot be opened.
    """
    refuse_unless_regular(path)
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise NotRegularError(path=path, mode=stat.S_IFIFO) from error
        raise
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    raise NotRegularError(path=path, mode=mode)


def stream_of(path: Path | str) -> FileIO:
    """Open a regular file for reading, unbuffered; see `open_regular`."""
    return FileIO(open_regular(path), "rb")


def read_text_bytes(path: Path, most_bytes: int = MOST_TEXT_BYTES) -> bytes:
    """Return a whole file of metadata.

    Raises
    ------
    NotRegularError, OversizedError
        If it is no file, or larger than any that is meant.
    StorageError
        If it cannot be read.
    """
    with storage_errors(path), BufferedReader(stream_of(path)) as stream:
        # The size that is told is that of a moment.
        data = stream.read(most_bytes + 1)
        if len(data) > most_bytes:
            n_bytes = max(len(data), os.fstat(stream.fileno()).st_size)
            raise OversizedError(path=path, n_bytes=n_bytes, most_bytes=most_bytes)
    return data


def read_json(path: Path) -> object:
    """Return the JSON document in a file.

    Raises
    ------
    DataError
        If it is no file, too large, nested too deeply, or no JSON.
    """
    return parsed_json(read_text_bytes(path), path)


def parsed_json(data: bytes, thing: object) -> object:
    """Return a JSON document of at most `MOST_LEVELS` levels.

    Parameters
    ----------
    thing
        What the document is, for the message.

    Raises
    ------
    UnreadableTextError
        If it is nested deeper, or no JSON.
    """
    try:
        document: object = json.loads(data)
    except RecursionError as error:
        raise UnreadableTextError(path=thing, problem=_TOO_DEEP) from error
    except ValueError as error:
        raise UnreadableTextError(path=thing, problem=str(error)) from error
    if is_deeper(document, MOST_LEVELS):
        raise UnreadableTextError(path=thing, problem=_TOO_DEEP)
    return document


def is_deeper(document: object, most_levels: int) -> bool:
    """Tell whether lists and mappings lie within each other on more levels.

    Examples
    --------
    >>> is_deeper({"a": [1]}, 2), is_deeper({"a": [[1]]}, 2)
    (False, True)
    """
    level = [document]
    for _ in range(most_levels + 1):
        level = [part for node in level for part in _parts(node)]
        if not level:
            return False
    return True


def _parts(node: object) -> list[object]:
    """Return what a list or a mapping holds; nothing of a plain value."""
    if isinstance(node, dict):
        return list(node.values()) or [None]
    return (list(node) or [None]) if isinstance(node, list) else []


_TOO_DEEP = f"nested on more than {MOST_LEVELS} levels"

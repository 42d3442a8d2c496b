"""The lines of a table of labels: UTF-8, each within a bound."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from lowmem.base import DataError, refuse_unless_regular, storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Ten thousand columns of a hundred characters.
_MOST_LINE_BYTES = 2**20
# What is hashed whole in half a second: 14 million lines take half of it.
_MOST_TABLE_BYTES = 2**30
_BLOCK_BYTES = 2**17
_MARK = b"\xef\xbb\xbf"


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each line that is not blank, with its number from 1 on, without its end.

    Raises
    ------
    DataError
        If it is no regular file, or larger than 1 GiB; if a line has more than a MiB, is
        no UTF-8, or has characters of control that end lines or texts elsewhere.

    Notes
    -----
    Memory: one line.
    """
    refuse_unless_regular(path)
    with storage_errors(path), path.open("rb") as stream:
        number = n_bytes = 0
        while line := stream.readline(_MOST_LINE_BYTES + 1):
            number += 1
            n_bytes += len(line)
            if n_bytes > _MOST_TABLE_BYTES:
                raise DataError(
                    thing=path,
                    problem=f"has more than {_MOST_TABLE_BYTES} bytes",
                    expected="a smaller table of labels",
                    todo="Leave out the columns that are not needed.",
                )
            if len(line) > _MOST_LINE_BYTES:
                raise DataError(
                    thing=f"{path}, line {number}",
                    problem=f"has more than {_MOST_LINE_BYTES} bytes",
                    expected="the line of one picture",
                )
            text = _text(
                line.removeprefix(_MARK) if number == 1 else line, path, number
            )
            if text.strip():
                yield number, text


def _text(line: bytes, path: Path, number: int) -> str:
    where = f"{path}, line {number}"
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            thing=where,
            problem=f"is no UTF-8 ({error.reason} at byte {error.start} of the line)",
            expected="text in UTF-8",
            todo="Save the table as UTF-8.",
        ) from error
    text = text.removesuffix("\n").removesuffix("\r")
    if "\r" in text or "\0" in text:
        raise DataError(
            thing=where,
            problem="holds a carriage return or a zero within it",
            expected="lines that end in \\n or \\r\\n",
            todo="Save the table as plain text in UTF-8.",
        )
    return text


def table_sha256(path: Path) -> str:
    """Return the SHA-256 of a table, which tells one from another.

    Raises
    ------
    DataError
        If it is no regular file.
    """
    refuse_unless_regular(path)
    digest = hashlib.sha256()
    with storage_errors(path), path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def n_line_ends(path: Path) -> int:
    """Return how many lines end in a table: what memory for it follows from."""
    refuse_unless_regular(path)
    with storage_errors(path), path.open("rb") as stream:
        count = 0
        while block := stream.read(_BLOCK_BYTES):
            count += block.count(b"\n")
    return count

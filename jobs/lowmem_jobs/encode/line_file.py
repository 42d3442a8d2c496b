r"""Lines of a text file as rows, in memory that does not grow with the file. No NumPy.

Line ``k`` of the file is row ``k - 1``: an empty line is a row too, so that numbers of rows
are numbers of lines. What ends a line (``\n``, ``\r\n``) is no part of it, nor is the mark
that some editors put before the first.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from lowmem.base import DataError, refuse_unless_regular, storage_errors
from lowmem.mapping import UnchangedFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

# Lines between two places that are remembered: 8 bytes each.
_APART = 1024
# bytes. A file with a longer line is none of lines.
_LONGEST = 2**24
_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFile:
    """A text file whose lines can be read from any of them on.

    Attributes
    ----------
    file
        As it was before its lines were counted.
    n_lines
        How many there are; a last one need not end in a newline.
    places
        Where every 1,024th line begins, in bytes.
    """

    file: UnchangedFile
    n_lines: int
    places: array[int]

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.file.path

    def read(self, start: int, stop: int) -> list[str]:
        """Return the lines of rows ``start`` to ``stop`` (exclusive).

        Raises
        ------
        DataError
            If one of them is not UTF-8, or the file is not what it was when its lines
            were counted.
        """
        with storage_errors(self.path), self.path.open("rb") as stream:
            stream.seek(self.places[start // _APART])
            for _ in range(start % _APART):
                stream.readline()
            lines = [stream.readline() for _ in range(start, stop)]
            self.file.refuse_changed(stream)
        return [self._text(line, row) for row, line in enumerate(lines, start)]

    def _text(self, line: bytes, row: int) -> str:
        if row == 0:
            line = line.removeprefix(_MARK)
        try:
            return line.removesuffix(b"\n").removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            raise DataError(
                thing=f"line {row + 1} of {self.path}",
                problem=f"is not UTF-8 ({error.reason} at byte {error.start} of it)",
                expected="text in UTF-8, one row a line, or an array (.npy, Zarr)",
            ) from error


def find_lines(path: Path) -> LineFile:
    """Return the lines of a file.

    Raises
    ------
    DataError
        If it has none, or one too long to be a line of text.

    Notes
    -----
    Reads the whole file, once in a process for as long as it is not written to.
    """
    refuse_unless_regular(path)
    return _scanned(UnchangedFile.at(path))


@lru_cache(maxsize=4)
def _scanned(file: UnchangedFile) -> LineFile:
    path, n_lines, at, places = file.path, 0, 0, array("q")
    with storage_errors(path), path.open("rb") as stream:
        for line in _lines(stream):
            if len(line) > _LONGEST:
                raise DataError(
                    thing=f"line {n_lines + 1} of {path}",
                    problem=f"is longer than {_LONGEST} bytes",
                    expected="text in UTF-8, one row a line, or an array (.npy, Zarr)",
                )
            if n_lines % _APART == 0:
                places.append(at)
            n_lines, at = n_lines + 1, at + len(line)
    if not n_lines:
        raise DataError(
            thing=path, problem="is empty", expected="a line of text or more"
        )
    return LineFile(file=file, n_lines=n_lines, places=places)


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield lines; of one that is too long, no more than shows it."""
    while line := stream.readline(_LONGEST + 1):
        yield line

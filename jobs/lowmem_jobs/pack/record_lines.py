"""Lines of a file as UTF-8, with the byte at which the next one begins."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Self

from lowmem.base import DataError

if TYPE_CHECKING:
    from pathlib import Path

_BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# Of one line: what one value may be.
MOST_LINE_BYTES = 2**28


class LineReader:
    """The lines of a file from where it stands, their ends included.

    Attributes
    ----------
    position
        The byte after the last line that was given.

    Parameters
    ----------
    first_byte
        Where the stream stands.
    """

    def __init__(self, stream: IO[bytes], path: Path, first_byte: int = 0) -> None:
        self._stream = stream
        self._path = path
        self.position = first_byte

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self.next_bytes()
        if line is None:
            raise StopIteration
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            at = self.position - len(line) + error.start
            raise DataError(
                thing=self._path,
                problem=f"is no UTF-8 at byte {at} ({line[error.start : error.end]!r})",
                expected="text in UTF-8",
                todo="iconv -t utf-8 converts it, for whoever knows what it is.",
            ) from error

    def next_bytes(self) -> bytes | None:
        """Return the next line as it is; None at the end. A mark of UTF-8 is left out.

        Raises
        ------
        DataError
            If it is longer than any value may be, or of UTF-16.
        """
        line = self._stream.readline(MOST_LINE_BYTES + 1)
        is_first = self.position == 0
        self.position += len(line)
        if len(line) > MOST_LINE_BYTES:
            raise DataError(
                thing=self._path,
                problem=f"has a line of more than {MOST_LINE_BYTES} bytes at byte "
                f"{self.position - len(line)}",
                expected="shorter ones",
            )
        if is_first and line.startswith(_UTF_16):
            raise DataError(
                thing=self._path, problem="is UTF-16", expected="text in UTF-8"
            )
        if is_first and line.startswith(_BOM):
            line = line[len(_BOM) :]
            # A file may be its mark alone.
            return line or self.next_bytes()
        return line or None

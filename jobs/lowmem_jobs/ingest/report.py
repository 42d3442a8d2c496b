"""The list of what became of every entry: ``ingest-report.csv``."""

from __future__ import annotations

import csv
from io import StringIO
from typing import TYPE_CHECKING

from lowmem.base import storage_errors, sync_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

COLUMNS = ("name", "status", "reason", "row")
REPORT = "ingest-report.csv"
_FORMULA = ("=", "+", "-", "@", "\t")


def entries_before(path: Path, row: int) -> int | None:
    """Return how many entries of the source come before the one stored in a row.

    None if the list is not there or does not tell.
    """
    if not path.is_file():
        return None
    with storage_errors(path), path.open(newline="", encoding="utf-8") as stream:
        try:
            for number, line in enumerate(csv.DictReader(stream)):
                if line["row"] == str(row):
                    return number
        except (UnicodeDecodeError, csv.Error, KeyError):
            return None
    return None


def harmless(text: str) -> str:
    """Return a text with an apostrophe before it where a spreadsheet would compute it.

    Names come from archives that anybody may have made; spreadsheets run what begins
    with one of these characters as a formula, and take the apostrophe for "this is text".

    Examples
    --------
    >>> harmless("=1+1.png"), harmless("a=1.png")
    ("'=1+1.png", 'a=1.png')
    """
    # Readers take a bare carriage return for the end of a line; the writer does not.
    text = text.replace("\r", "\\r")
    return f"'{text}" if text.startswith(_FORMULA) else text


class IngestReport:
    """A CSV file that grows, and can be cut back to a committed length.

    Attributes
    ----------
    n_bytes
        Its length.
    """

    def __init__(self, path: Path, *, n_bytes: int) -> None:
        self._path = path
        self.n_bytes = n_bytes
        with storage_errors(path), path.open("ab") as stream:
            stream.truncate(n_bytes)
        if n_bytes == 0:
            self.append([COLUMNS])

    def append(self, lines: Iterable[tuple[str, ...]]) -> None:
        """Write lines at the end."""
        text = StringIO()
        safe = (tuple(map(harmless, line)) for line in lines)
        csv.writer(text, lineterminator="\n").writerows(safe)
        data = text.getvalue().encode()
        with storage_errors(self._path), self._path.open("ab") as stream:
            stream.write(data)
        self.n_bytes += len(data)

    def flush(self) -> None:
        """Wait until all that was written is on the disk."""
        sync_file(self._path)
        sync_file(self._path.parent)

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


class Report:
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
        csv.writer(text, lineterminator="\n").writerows(lines)
        data = text.getvalue().encode()
        with storage_errors(self._path), self._path.open("ab") as stream:
            stream.write(data)
        self.n_bytes += len(data)

    def flush(self) -> None:
        """Wait until all that was written is on the disk."""
        sync_file(self._path)
        sync_file(self._path.parent)

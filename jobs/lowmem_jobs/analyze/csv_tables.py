"""Tables as CSV, some rows at a time: of 1,024 components there are 523,776 pairs."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from lowmem.base import storage_errors, sync_file
from lowmem_jobs.analyze.summary import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

# A row of twelve numbers takes 1.5 kB on its way to text.
_ROWS_AT_ONCE = 1024


def write_csv(path: Path, table: Mapping[str, NDArray[Any] | Sequence[Any]]) -> None:
    """Write columns of equal length as text, in full precision.

    What is undefined is left empty; a number is written so that it reads back equal.
    """
    n_rows = len(next(iter(table.values())))
    with storage_errors(path), path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(table)
        for start in range(0, n_rows, _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            columns = [plain(column[rows]) for column in table.values()]
            # None is written as an empty field.
            writer.writerows(zip(*columns, strict=True))
    sync_file(path)
    sync_file(path.parent)

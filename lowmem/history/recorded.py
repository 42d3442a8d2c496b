"""The records of a journal, one after the other; what they add up to is `fold`'s."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.errors import CorruptFileError, NewerFormatError
from lowmem.base.journal import read_bodies
from lowmem.base.outside import BAD_JSON
from lowmem.protocol.records import FORMAT, JobBegun, record_from_body

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lowmem.protocol.records import AnyRecord


def read_records(path: Path) -> Iterator[AnyRecord]:
    """Yield the records of a journal in order; none where there is no journal.

    Raises
    ------
    CorruptFileError
        If a line is damaged (a torn last one is not), or whole but of no known form.
    NewerFormatError
        If a newer lowmem wrote it.
    """
    for number, body in enumerate(read_bodies(path), start=1):
        try:
            record = record_from_body(body)
        except BAD_JSON as error:
            raise CorruptFileError(
                path=path, problem=f"line {number} is no known record ({error})"
            ) from error
        if isinstance(record, JobBegun) and record.format > FORMAT:
            raise NewerFormatError(path=path, found=record.format, known=FORMAT)
        yield record

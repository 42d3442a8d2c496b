"""The lines of a journal, damaged ones too, of which only the place is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.base.errors import NewerFormatError
from lowmem.base.journal import body_from_line, lines_of
from lowmem.base.outside import BAD_JSON
from lowmem.protocol.records import FORMAT, JobBegun, record_from_body

if TYPE_CHECKING:
    from pathlib import Path

    from lowmem.protocol.records import AnyRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLines:
    """What a journal holds.

    Attributes
    ----------
    records
        All that are whole, in order.
    n_lines
        How many lines there are, a torn one not counted.
    damaged
        Numbers of the lines that are not as they were written, from 1; consecutive ones
        together.
    is_torn
        Whether a crash left half a line at the end, which every reader ignores.
    """

    records: tuple[AnyRecord, ...]
    n_lines: int = 0
    damaged: tuple[range, ...] = ()
    is_torn: bool = False


def read_lines(path: Path) -> JournalLines:
    """Return the lines of a journal; none where there is no journal.

    Raises
    ------
    NewerFormatError
        If a newer lowmem wrote it.
    """
    records: list[AnyRecord] = []
    damaged: list[range] = []
    number, is_torn = 0, False
    for number, line in enumerate(lines_of(path), start=1):
        record = _record(line)
        if record is not None:
            _refuse_newer(record, path)
            records.append(record)
        elif _is_torn(line):
            is_torn = True
        elif damaged and damaged[-1].stop == number:
            damaged[-1] = range(damaged[-1].start, number + 1)
        else:
            damaged.append(range(number, number + 1))
    return JournalLines(
        records=tuple(records),
        n_lines=number - is_torn,
        damaged=tuple(damaged),
        is_torn=is_torn,
    )


def _record(line: bytes) -> AnyRecord | None:
    body = body_from_line(line)
    if body is None:
        return None
    try:
        return record_from_body(body)
    except BAD_JSON:
        return None


def _refuse_newer(record: AnyRecord, path: Path) -> None:
    if isinstance(record, JobBegun) and record.format > FORMAT:
        raise NewerFormatError(path=path, found=record.format, known=FORMAT)


def _is_torn(line: bytes) -> bool:
    """Return whether a crash left this line, which only the last can be.

    One that is whole but for another byte in the place of its end was altered: what it
    held counted once.
    """
    return not line.endswith(b"\n") and body_from_line(line[:-1] + b"\n") is None

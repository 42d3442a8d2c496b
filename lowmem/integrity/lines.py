"""The lines of a journal, damaged ones too, and what can be made of those.

A CRC-32 tells where a single flipped bit is: it differs for every bit of a line of up
to 11 kB [1]_, and such a line is restored exactly. Of other damage only the place is
known.

References
----------
.. [1] P. Koopman, "32-bit cyclic redundancy codes for Internet applications",
   DSN 2002, Table 1: Hamming distance 4 up to 91,607 bits.
"""

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

# Bytes; what lies beyond is not tried: each bit costs a checksum of the whole.
_LONGEST = 2**15


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some consecutive lines of a journal.

    Attributes
    ----------
    first_line, last_line
        Their numbers, from 1.
    records
        What they hold; of damaged ones what could be restored.
    problem
        What is wrong with them; empty if nothing is.
    is_restored
        Whether ``records`` is all that they held.
    """

    first_line: int
    last_line: int
    records: tuple[AnyRecord, ...]
    problem: str = ""
    is_restored: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLines:
    """A journal in pieces: whole lines, and runs of damaged ones between them.

    Attributes
    ----------
    is_torn
        Whether a crash left half a line at the end, which every reader ignores.
    """

    pieces: tuple[Piece, ...]
    is_torn: bool = False

    @property
    def n_lines(self) -> int:
        """How many lines there are, a torn one not counted."""
        return self.pieces[-1].last_line if self.pieces else 0

    @property
    def records(self) -> tuple[AnyRecord, ...]:
        """All records that are whole, or could be restored, in order."""
        return tuple(record for piece in self.pieces for record in piece.records)

    @property
    def damaged(self) -> tuple[Piece, ...]:
        """The pieces that are not as they were written."""
        return tuple(piece for piece in self.pieces if piece.problem)


def read_lines(path: Path) -> JournalLines:
    """Return the lines of a journal; none where there is no journal.

    Raises
    ------
    NewerFormatError
        If a newer lowmem wrote it.
    """
    pieces: list[Piece] = []
    held: list[bytes] = []
    number = 0
    for number, line in enumerate(lines_of(path), start=1):
        record = _record(line)
        if record is None:
            held.append(line)
            continue
        _refuse_newer(record, path)
        pieces += _damaged(held, before=number)
        held = []
        pieces.append(Piece(first_line=number, last_line=number, records=(record,)))
    rest = _damaged(held, before=number + 1)
    is_torn = bool(rest) and not rest[0].is_restored and not held[-1].endswith(b"\n")
    if is_torn:
        # Whole lines before the torn one are damage all the same.
        rest = _damaged(held[:-1], before=number)
    return JournalLines(pieces=(*pieces, *rest), is_torn=is_torn)


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


def _damaged(lines: list[bytes], *, before: int) -> list[Piece]:
    """Return the piece that ends before a line, if it holds any."""
    if not lines:
        return []
    restored = restored_records(b"".join(lines))
    return [
        Piece(
            first_line=before - len(lines),
            last_line=before - 1,
            records=restored or (),
            problem="does not match its CRC-32",
            is_restored=restored is not None,
        )
    ]


def restored_records(damaged: bytes) -> tuple[AnyRecord, ...] | None:
    """Return what some lines held before one bit of them was flipped.

    Returns
    -------
    records
        None if no single bit makes them whole.

    Notes
    -----
    The flipped bit may have made a line's end, or taken it: any number of lines is
    tried as one. Time: some 10 ms a kilobyte, squared.
    """
    if len(damaged) > _LONGEST:
        return None
    content = bytearray(damaged)
    for place in range(len(content)):
        for bit in range(8):
            content[place] ^= 1 << bit
            found = _all_records(bytes(content))
            content[place] ^= 1 << bit
            if found is not None:
                return found
    return None


def _all_records(content: bytes) -> tuple[AnyRecord, ...] | None:
    """Return the records of lines that are all whole, else None."""
    if not content.endswith(b"\n"):
        return None
    records: list[AnyRecord] = []
    for line in content[:-1].split(b"\n"):
        record = _record(line + b"\n")
        if record is None:
            return None
        records.append(record)
    return tuple(records)

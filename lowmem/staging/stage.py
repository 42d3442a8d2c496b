"""The course of a staging: look, decide, copy, read back, publish.

Whatever is killed on the way goes on from the last block: the copy is made aside, next to
its ledger, and takes its place by one rename when all of it was read back.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.base.errors import DataError
from lowmem.base.errors_staging import StagingPlaceError
from lowmem.base.files import make_folder
from lowmem.staging.decide import BLOCK_BYTES
from lowmem.staging.ledger import Ledger
from lowmem.staging.places import Places
from lowmem.staging.renew import is_published, renew
from lowmem.staging.sums import write_checksums
from lowmem.staging.survey import LeftOut, Seen, survey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lowmem.staging.renew import Listener

_TOLD = 20  # things that are not copied, of which the name is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A copy that is whole.

    Attributes
    ----------
    path, checksums
        The copy; the SHA-256 of its files.
    n_files, n_bytes
        Of all of it.
    copied_bytes
        Read from the source this time.
    left_out
        What of the source was not copied, and why; the first of them.
    n_left_out
        How many there are.
    """

    path: Path
    checksums: Path
    n_files: int
    n_bytes: int
    copied_bytes: int
    left_out: tuple[str, ...]
    n_left_out: int


def stage(
    source: Path, folder: Path, *, tell: Listener, block_bytes: int = BLOCK_BYTES
) -> Staged:
    """Copy a file or a folder into ``folder``, or go on with that.

    Parameters
    ----------
    source
        A file, or a folder with all below it.
    folder
        Made if it is missing. The copy in it has the source's name.
    tell
        Told of every block.
    block_bytes
        Bytes in one block.

    Raises
    ------
    StagingPlaceError
        If the copy cannot be there.
    DataError
        If the source is not there, is empty, or changes.
    StorageError
        If a disk fails, is full, or does not keep what is written.

    Notes
    -----
    Memory: one block, the ledger's cache, and the names of one folder.
    """
    work = Places.at(source, folder)
    make_folder(work.private)
    with Ledger.open(work.private / "ledger", block_bytes=block_bytes) as ledger:
        left_out, n_left_out = _look(work, ledger)
        copied_bytes = 0
        if not _is_current(work, ledger):
            _require_ours(work, ledger)
            copied_bytes = renew(work, ledger, memoryview(bytearray(block_bytes)), tell)
        if not work.checksums.exists():
            write_checksums(work, ledger)
        n_files, n_bytes = ledger.seen_totals()
    return Staged(
        path=work.target,
        checksums=work.checksums,
        n_files=n_files,
        n_bytes=n_bytes,
        copied_bytes=copied_bytes,
        left_out=left_out,
        n_left_out=n_left_out,
    )


def _look(work: Places, ledger: Ledger) -> tuple[tuple[str, ...], int]:
    """Keep in the ledger what is in the source; return what of it is not copied."""
    told: list[str] = []
    n_left_out = 0

    def files() -> Iterator[Seen]:
        nonlocal n_left_out
        for found in survey(work.source):
            if isinstance(found, Seen):
                yield found
                continue
            n_left_out += 1
            if len(told) < _TOLD:
                told.append(_told(found))

    ledger.note_seen(files())
    if not ledger.seen_totals()[0]:
        raise DataError(
            thing=work.source,
            problem="holds no files",
            expected="a file, or a folder with files, to copy",
            todo="Is the drive mounted? What was copied before is left as it is.",
        )
    return tuple(told), n_left_out


def _told(found: LeftOut) -> str:
    return f"{os.fsdecode(found.name)}: {found.reason}"


def _is_current(work: Places, ledger: Ledger) -> bool:
    """Tell whether the published copy is what the source is."""
    if not work.target.exists() or ledger.gone():
        return False
    return all(is_published(work, ledger, seen) for seen in ledger.seen())


def _require_ours(work: Places, ledger: Ledger) -> None:
    """Refuse to replace what was not staged, or what is of another kind."""
    if not work.target.exists():
        return
    todo = "Move it away, or give another DESTINATION"
    if not any(True for _ in ledger.checked()):
        problem = "is there and was not staged, expected nothing, or a former copy"
        raise StagingPlaceError(target=work.target, problem=problem, todo=todo)
    if work.target.is_dir() != work.source.is_dir():
        problem = "and its source are a file and a folder, expected two of a kind"
        raise StagingPlaceError(target=work.target, problem=problem, todo=todo)

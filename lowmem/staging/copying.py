"""The course of a staging: look, decide, copy, read back, publish.

Whatever is killed on the way goes on from the last block: the copy is made aside, next to
its ledger, and takes its place by one rename when all of it was read back.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.base.errors import DataError
from lowmem.base.errors_staging import NoFileError, StagingPlaceError
from lowmem.base.files import make_folder, rename, storage_errors, sync_file
from lowmem.staging.block_copy import require_file
from lowmem.staging.copied_blocks import Ledger
from lowmem.staging.copy_plan import BLOCK_BYTES
from lowmem.staging.renew import is_published, renew
from lowmem.staging.scratch_paths import Places
from lowmem.staging.survey import LeftOut, Seen, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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
        left_out = _LeftOut()
        _look(work, ledger, left_out)

        def leave_out(seen: Seen, problem: str) -> None:
            ledger.leave_out(seen.name)
            left_out.add(LeftOut(name=seen.name, reason=f"cannot be opened: {problem}"))
            _require_files(work, ledger)

        copied_bytes = 0
        if not _is_current(work, ledger, leave_out):
            _require_ours(work, ledger)
            block = memoryview(bytearray(block_bytes))
            copied_bytes = renew(work, ledger, block, tell, leave_out)
        if not work.checksums.exists():
            write_checksums(work, ledger)
        n_files, n_bytes = ledger.seen_totals()
    return Staged(
        path=work.target,
        checksums=work.checksums,
        n_files=n_files,
        n_bytes=n_bytes,
        copied_bytes=copied_bytes,
        left_out=tuple(left_out.told),
        n_left_out=left_out.n_all,
    )


class _LeftOut:
    """What of a source is not copied: how much, and of the first ones what and why."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.n_all = 0

    def add(self, found: LeftOut) -> None:
        """Note one."""
        self.n_all += 1
        if len(self.told) < _TOLD:
            self.told.append(f"{os.fsdecode(found.name)}: {found.reason}")


def _look(work: Places, ledger: Ledger, left_out: _LeftOut) -> None:
    """Keep in the ledger what is in the source; note what of it is not copied."""

    def files() -> Iterator[Seen]:
        for found in survey(work.source):
            if isinstance(found, Seen):
                yield found
            else:
                left_out.add(found)

    ledger.note_seen(files())
    _require_files(work, ledger)


def _require_files(work: Places, ledger: Ledger) -> None:
    if not ledger.seen_totals()[0]:
        raise DataError(
            thing=work.source,
            problem="holds no files that can be opened",
            expected="a file, or a folder with files, to copy",
            todo="Is the drive mounted? What was copied before is left as it is.",
        )


def _is_current(
    work: Places, ledger: Ledger, leave_out: Callable[[Seen, str], None]
) -> bool:
    """Tell whether the published copy is what the source is."""
    if not work.target.exists() or ledger.gone():
        return False
    for seen in ledger.seen():
        if is_published(work, ledger, seen):
            continue
        try:
            require_file(seen)
        except NoFileError as error:
            leave_out(seen, error.problem)
            continue
        return False
    return True


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


def write_checksums(work: Places, ledger: Ledger) -> None:
    """Write the SHA-256 of every file as `sha256sum` does."""
    draft = work.checksums.with_name(work.checksums.name + ".tmp")
    top = os.fsencode(work.target.name)
    with storage_errors(draft), draft.open("wb") as stream:
        for name, digest in ledger.checked():
            path = b"/".join(filter(None, (top, name)))
            safe = path.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
            mark = b"" if safe == path else b"\\"
            stream.write(b"%s%s  %s\n" % (mark, bytes(digest).hex().encode(), safe))
    sync_file(draft)
    rename(draft, work.checksums)

"""Make the copy what its source is: copy what is missing, read all back, publish."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Protocol

from lowmem.base.errors import StorageError
from lowmem.base.errors_staging import (
    CopyWriteError,
    NoFileError,
    ReadBackError,
    SourceReadError,
    StagingSpaceError,
)
from lowmem.base.files import make_folder, publish, remove
from lowmem.staging.block_copy import copy_file, read_back
from lowmem.staging.copy_plan import next_offset
from lowmem.staging.scratch_paths import below, stamp_here

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowmem.staging.copied_blocks import Ledger
    from lowmem.staging.scratch_paths import Places
    from lowmem.staging.survey import Seen

_ATTEMPTS = 2


class Listener(Protocol):
    """Who is told how far it is."""

    def __call__(self, phase: str, done_bytes: int, total_bytes: int) -> None:
        """Hear that so many bytes of a phase are done; at its beginning too."""
        ...


def is_published(work: Places, ledger: Ledger, seen: Seen) -> bool:
    """Tell whether the copy of a file is in its place, as the source has it now."""
    known = ledger.known(seen.name)
    is_whole = known is not None and known.is_whole and known.stamp == seen.stamp
    return is_whole and stamp_here(work.target_of(seen)) == seen.stamp


def renew(
    work: Places,
    ledger: Ledger,
    block: memoryview,
    tell: Listener,
    leave_out: Callable[[Seen, str], None],
) -> int:
    """Make the copy what the source is; return the bytes read from the source.

    Parameters
    ----------
    leave_out
        Told of what is listed as a file and is none, and why.
    """
    for name in ledger.gone():
        remove(below(work.draft, name))
        ledger.forget(name)
    copied_bytes = 0
    for _ in range(_ATTEMPTS):
        copied_bytes += _copy_missing(work, ledger, block, tell, leave_out)
        if _read_all_back(work, ledger, block, tell):
            break
    else:
        raise ReadBackError(path=work.draft)
    remove(work.checksums)
    publish(work.draft, work.target)
    return copied_bytes


def _copy_missing(
    work: Places,
    ledger: Ledger,
    block: memoryview,
    tell: Listener,
    leave_out: Callable[[Seen, str], None],
) -> int:
    total = ledger.seen_totals()[1]
    missing = 0
    for seen in ledger.seen():
        _take_over(work, ledger, seen)
        offset = _offset(work, ledger, seen, len(block))
        missing += 0 if offset is None else seen.stamp.size_bytes - offset
    free = shutil.disk_usage(work.private).free
    if free < missing:
        folder = work.target.parent
        raise StagingSpaceError(folder=folder, free_bytes=free, needed_bytes=missing)
    done = total - missing
    tell("copying", done, total)
    for seen in ledger.seen():
        offset = _offset(work, ledger, seen, len(block))
        if offset is None:
            continue
        telling = _told_after(tell, "copying", done - offset, total)
        try:
            _copy(work, ledger, seen, offset=offset, block=block, tell=telling)
        except NoFileError as error:
            leave_out(seen, error.problem)
            missing -= seen.stamp.size_bytes - offset
            total -= seen.stamp.size_bytes
            continue
        done += seen.stamp.size_bytes - offset
    return missing


def _told_after(
    tell: Listener, phase: str, before: int, total: int
) -> Callable[[int], None]:
    return lambda n_bytes: tell(phase, before + n_bytes, total)


def _take_over(work: Places, ledger: Ledger, seen: Seen) -> None:
    """Give the published copy of a file that has not changed a second name."""
    draft = work.draft_of(seen)
    if draft.exists() or not is_published(work, ledger, seen):
        return
    make_folder(draft.parent)
    try:
        os.link(work.target_of(seen), draft)
    except OSError:
        # A disk without second names: then it is copied from the source again.
        remove(draft)


def _offset(work: Places, ledger: Ledger, seen: Seen, block_bytes: int) -> int | None:
    here = stamp_here(work.draft_of(seen))
    return next_offset(seen.stamp, ledger.known(seen.name), here, block_bytes)


def _copy(
    work: Places,
    ledger: Ledger,
    seen: Seen,
    *,
    offset: int,
    block: memoryview,
    tell: Callable[[int], None],
) -> None:
    draft = work.draft_of(seen)
    try:
        copy_file(seen, draft, ledger, offset=offset, block=block, tell=tell)
    except SourceReadError:
        raise
    except StorageError as error:
        here = stamp_here(draft)
        raise CopyWriteError(
            path=draft,
            problem=error.problem,
            free_bytes=shutil.disk_usage(work.private).free,
            needed_bytes=seen.stamp.size_bytes - (here.size_bytes if here else 0),
        ) from error


def _read_all_back(
    work: Places, ledger: Ledger, block: memoryview, tell: Listener
) -> bool:
    """Tell whether every copy is on the disk as it was read from the source."""
    total, done, is_whole = ledger.seen_totals()[1], 0, True
    tell("reading back", 0, total)
    for seen in ledger.seen():
        telling = _told_after(tell, "reading back", done, total)
        draft = work.draft_of(seen)
        if not read_back(seen, draft, ledger, block=block, tell=telling):
            is_whole = False
        done += seen.stamp.size_bytes
    return is_whole

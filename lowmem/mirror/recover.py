"""Build a workspace from its mirror; or say how a workspace and its mirror stand.

The newest generation that is whole decides which lineage is taken and brings the
journal; of every other job the newest whole one of the same lineage follows. All is
verified in a folder of its own before anything takes its place, the journal last: cut
at any point, the next run begins the recovery anew.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lowmem.base.errors import StorageError
from lowmem.base.errors_mirror import MirrorAheadError, MirrorDamagedError
from lowmem.base.files import (
    make_folder,
    move,
    remove,
    rename,
    storage_errors,
    sync_tree,
)
from lowmem.base.journal import bodies_with_ends, whole_part
from lowmem.mirror.archive import DamagedArchiveError
from lowmem.mirror.library import contents_of, generations, journal_of, read_data
from lowmem.mirror.names import JOURNAL
from lowmem.mirror.policy import newest_first, newest_per_job, own
from lowmem.protocol.records import JobBegun, record_from_body

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from lowmem.base.workspace import Workspace
    from lowmem.mirror.archive import Member
    from lowmem.mirror.names import About, Contents, Entry
    from lowmem.mirror.policy import Generation
    from lowmem.mirror.remote import Remote


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What came back.

    Attributes
    ----------
    jobs
        What was taken of each job.
    damaged
        Newer generations that were not whole, and why.
    kept
        Places that were taken already, and stay as they are.
    other_lineages
        Generations of another machine that shares the mirror.
    """

    jobs: tuple[About, ...] = ()
    damaged: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    other_lineages: int = 0


def is_empty(space: Workspace) -> bool:
    """Return whether a workspace has no history, so that a recovery loses nothing."""
    return not space.journal.exists() or not space.journal.stat().st_size


def recover(remote: Remote, space: Workspace, url: str) -> Recovered:
    """Fill an empty workspace with the newest that the mirror holds; nothing, if nothing.

    Raises
    ------
    MirrorDamagedError
        If there are generations and none is whole.
    StorageError
        If the workspace's own disk fails or is too small.
    """
    found = newest_first(generations(remote))
    if not found:
        return Recovered()
    folder = space.private / "recovering"
    remove(folder)
    work = _Recovery(remote, folder)
    try:
        head = work.first_whole(found)
        if head is None:
            raise MirrorDamagedError(url=url, damaged=work.damaged)
        journal = (work.tree / JOURNAL).read_bytes()
        mine = own(found, journal)
        begun = beginnings(journal)
        for job, candidates in newest_per_job(mine).items():
            if job != head.name.job:
                born = begun.get(job, 0)
                work.first_whole(c for c in candidates if c.about.sequence >= born)
        kept = _place(work.tree, space)
    finally:
        remove(folder)
    return Recovered(
        jobs=tuple(work.jobs),
        damaged=tuple(work.damaged),
        kept=kept,
        other_lineages=len(found) - len(mine),
    )


def beginnings(journal: bytes) -> dict[str, int]:
    """Return where each job last began from nothing: what is older is another life's."""
    found = ((record_from_body(body), end) for body, end in bodies_with_ends(journal))
    return {record.job: end for record, end in found if isinstance(record, JobBegun)}


def compare(remote: Remote, space: Workspace, url: str) -> bool:
    """Return whether all of the mirror is of this workspace's lineage.

    Raises
    ------
    MirrorAheadError
        If the workspace is an older copy of what the mirror holds.
    """
    found = newest_first(generations(remote))
    journal = whole_part(space.journal)
    mine = {g.name for g in own(found, journal)}
    others = [g for g in found if g.name not in mine]
    for other in others:
        if _is_continuation(remote, other, journal):
            raise MirrorAheadError(
                workspace=space.root, url=url, at=other.about.at, job=other.name.job
            )
    return not others


def _is_continuation(remote: Remote, other: Generation, journal: bytes) -> bool:
    """Return whether a generation's journal goes on where this one ends."""
    if other.about.sequence <= len(journal):
        return False
    try:
        theirs = journal_of(remote, other)
    except (FileNotFoundError, DamagedArchiveError):
        return False
    return theirs is not None and theirs.startswith(journal)


@dataclass(slots=True)
class _Recovery:
    """Generations verified one after the other into one tree."""

    remote: Remote
    folder: Path
    jobs: list[About] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    @property
    def tree(self) -> Path:
        """What the workspace is to become."""
        return self.folder / "tree"

    def first_whole(self, candidates: Iterable[Generation]) -> Generation | None:
        """Take the first that is whole."""
        for candidate in candidates:
            try:
                self._take(candidate)
            except (FileNotFoundError, DamagedArchiveError) as error:
                self.damaged.append(f"{candidate.name}: {error}")
                continue
            self.jobs.append(candidate.about)
            return candidate
        return None

    def _take(self, generation: Generation) -> None:
        raw = self.folder / "raw"
        remove(raw)
        make_folder(raw)
        self._refuse_too_large(generation.size_bytes or 0)
        files: dict[str, Path] = {}

        def keep(member: Member) -> Iterator[bytes]:
            files[member.name] = raw / f"{len(files):08d}"
            return _written(member, files[member.name])

        def keep_entry(member: Member, entry: Entry) -> Iterator[bytes]:
            key = f"{entry.archive}/{entry.member}"
            files[key] = raw / f"{len(files):08d}"
            return _written(member, files[key])

        contents = contents_of(self.remote, generation, keep)
        self._refuse_too_large(sum(e.size_bytes for e in contents.entries if e.archive))
        for archive in sorted(contents.archives):
            for _ in read_data(self.remote, archive, contents, keep_entry):
                pass
        self._move(contents, files)

    def _move(self, contents: Contents, files: dict[str, Path]) -> None:
        for entry in contents.entries:
            key = f"{entry.archive}/{entry.member}" if entry.archive else entry.member
            target = self.tree / entry.path
            if target.exists():
                # The journal and the options of the newest generation stay.
                continue
            make_folder(target.parent)
            with storage_errors(target):
                os.utime(files[key], ns=(entry.mtime_ns, entry.mtime_ns))
            move(files[key], target)

    def _refuse_too_large(self, n_bytes: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if n_bytes > free:
            raise StorageError(
                path=self.folder,
                problem=f"has {free} bytes free, of {n_bytes} that the mirror holds",
            )


def _written(member: Member, path: Path) -> Iterator[bytes]:
    with storage_errors(path), path.open("wb") as stream:
        for block in member.blocks:
            stream.write(block)
            yield block


def _place(tree: Path, space: Workspace) -> tuple[str, ...]:
    """Move a verified tree to the workspace, the journal last; return what stayed."""
    sync_tree(tree)
    journal = tree / JOURNAL
    waiting = tree.with_name("journal")
    rename(journal, waiting)
    kept: list[Path] = []
    _merge(tree, space.root, kept)
    remove(space.journal)
    rename(waiting, space.journal)
    return tuple(str(path) for path in kept)


def _merge(source: Path, target: Path, kept: list[Path]) -> None:
    for item in sorted(source.iterdir()):
        place = target / item.name
        if not place.exists():
            rename(item, place)
        elif place.is_dir() and item.is_dir() and not place.is_symlink():
            _merge(item, place, kept)
        else:
            kept.append(place)

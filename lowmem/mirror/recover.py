"""Build a workspace from its mirror, or take it to where its mirror is.

The newest generation that is whole decides which lineage is taken and brings the
journal; of every other job the newest whole one of the same lineage follows. All is
verified in a folder of its own before anything takes its place, the journal last: cut
before that, the next run begins the recovery anew; cut later, it ends it.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lowmem.base.errors import StorageError
from lowmem.base.errors_mirror import MirrorDamagedError
from lowmem.base.files import make_folder, move, remove, storage_errors
from lowmem.base.journal import whole_part
from lowmem.base.redo_log import finish_placing, tree_in
from lowmem.history.provenance import owner_of
from lowmem.mirror.archive import DamagedArchiveError
from lowmem.mirror.library import contents_of, generations, read_data
from lowmem.mirror.names import JOURNAL
from lowmem.mirror.policy import newest_first, newest_per_job, own
from lowmem.mirror.relation import beginnings, is_continuation, owners_in
from lowmem.mirror.tree_placement import put_in_place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from lowmem.base.workspace import Workspace
    from lowmem.mirror.archive import ArchiveMember
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
    outdated
        Results that are older than the journal tells: the later ones did not travel.
    absent
        Results that the journal tells of and that are nowhere.
    other_lineages
        Generations of another machine that shares the mirror.
    """

    jobs: tuple[About, ...] = ()
    damaged: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    other_lineages: int = 0


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
    recovered = _recovered(remote, space, found, found)
    if found and not recovered.jobs:
        raise MirrorDamagedError(url=url, damaged=list(recovered.damaged))
    return recovered


def catch_up(remote: Remote, space: Workspace) -> Recovered:
    """Take a workspace that is behind its mirror to where the mirror is.

    Where nothing that is newer is whole, nothing happens: it goes on from where it is.

    Raises
    ------
    StorageError
        See `recover`.
    """
    journal = whole_part(space.journal)
    found = newest_first(generations(remote))
    ahead = [g for g in found if is_continuation(remote, g, journal)]
    return _recovered(remote, space, ahead, found)


def _recovered(
    remote: Remote, space: Workspace, heads: list[Generation], found: list[Generation]
) -> Recovered:
    """Take the first head that is whole, and of every other job what belongs to it."""
    folder = space.recovering
    finish_placing(folder, space.root)
    work = _Recovery(remote, folder)
    try:
        head = work.first_whole(heads)
        if head is None:
            return Recovered(damaged=tuple(work.damaged))
        journal = (work.tree / JOURNAL).read_bytes()
        mine = own(found, journal)
        begun = beginnings(journal)
        for job, candidates in newest_per_job(mine).items():
            if job != head.name.job:
                born = begun.get(job, 0)
                work.first_whole(c for c in candidates if c.about.sequence >= born)
        kept, older = put_in_place(folder, space)
    finally:
        # Unless it was cut while all takes its places: then that is finished.
        finish_placing(folder, space.root)
    names = sorted(owners_in(journal))
    return Recovered(
        jobs=tuple(work.jobs),
        damaged=tuple(work.damaged),
        kept=kept,
        outdated=older,
        absent=tuple(name for name in names if not (space.root / name).exists()),
        other_lineages=len(found) - len(mine),
    )


@dataclass(slots=True)
class _Recovery:
    """Generations verified one after the other into one tree."""

    remote: Remote
    folder: Path
    jobs: list[About] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    _owners: Mapping[str, str] | None = None

    @property
    def tree(self) -> Path:
        """What the workspace is to become."""
        return tree_in(self.folder)

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

        def keep(member: ArchiveMember) -> Iterator[bytes]:
            files[member.name] = raw / f"{len(files):08d}"
            return _written(member, files[member.name])

        def keep_entry(member: ArchiveMember, entry: Entry) -> Iterator[bytes]:
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
        if self._owners is None:
            self._owners = owners_in(files[JOURNAL].read_bytes())
        for entry in contents.entries:
            key = f"{entry.archive}/{entry.member}" if entry.archive else entry.member
            target = self.tree / entry.path
            owner = owner_of(entry.path, self._owners)
            if target.exists() or owner not in {None, contents.about.job}:
                # The journal and the options of the newest generation stay; and what
                # another job has replaced since is not what it was.
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


def _written(member: ArchiveMember, path: Path) -> Iterator[bytes]:
    with storage_errors(path), path.open("wb") as stream:
        for block in member.blocks:
            stream.write(block)
            yield block

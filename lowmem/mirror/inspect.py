"""Hold a mirror against a workspace: which generation is whole, and whose.

Reads only, but for `discard`; nothing that is of another lineage is brought or deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lowmem.base.files import storage_errors
from lowmem.base.journal import whole_part
from lowmem.checkpoints.manifest import FileEntry
from lowmem.checkpoints.sums import digest_of_entries
from lowmem.mirror.archive import DamagedArchiveError, members
from lowmem.mirror.library import (
    about_of,
    archives,
    contents_of,
    description_of,
    generations,
    verify_data,
)
from lowmem.mirror.names import CONFIG
from lowmem.mirror.policy import is_beginning, newest_first, own
from lowmem.mirror.relation import beginnings, is_continuation
from lowmem.protocol.mirror_messages import (
    Discarded,
    Fetched,
    FetchedFile,
    HeldGeneration,
    Inspected,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lowmem.base.workspace import Workspace
    from lowmem.mirror.archive import ArchiveMember
    from lowmem.mirror.names import ArchiveName, Contents, Entry
    from lowmem.mirror.policy import Generation
    from lowmem.mirror.remote import Remote

_PRIVATE = ".lowmem/"


def inspect(remote: Remote, space: Workspace) -> Inspected:
    """Read all that a mirror holds, and say what it is.

    Notes
    -----
    Memory: some MiB, and a few hundred bytes a file. Time: one read of every generation,
    and of the data archives that one refers to.
    """
    look = _Look(remote, whole_part(space.journal))
    found = newest_first(generations(remote))
    mine = {g.name for g in own(found, look.journal)}
    held = tuple(
        look.at(generation, is_own=generation.name in mine) for generation in found
    )
    return look.inspected(held, {g.name for g in found})


@dataclass(slots=True)
class _Look:
    """One reading of a mirror; what two generations share is read once."""

    remote: Remote
    journal: bytes
    _checked: set[tuple[str, str, str]] = field(default_factory=set)
    _used: set[str] = field(default_factory=set)

    def at(self, generation: Generation, *, is_own: bool) -> HeldGeneration:
        """Return what a generation is."""
        problem, results = "", ""
        self._used |= generation.archives
        try:
            contents = self._verified(generation)
        except FileNotFoundError as error:
            problem = f"lacks a file ({error})"
        except DamagedArchiveError as error:
            problem = str(error)
        else:
            results = _results_sha256(contents) if contents.about.is_done else ""
        about = generation.about
        return HeldGeneration(
            name=str(generation.name),
            job=about.job,
            generation=about.generation,
            is_done=about.is_done,
            is_marked=generation.is_marked,
            is_own=is_own,
            is_current=is_own and is_current(generation, self.journal),
            is_ahead=not is_own
            and is_continuation(self.remote, generation, self.journal),
            problem=problem,
            results_sha256=results,
        )

    def _verified(self, generation: Generation) -> Contents:
        contents = contents_of(self.remote, generation)
        self._used |= contents.archives
        for archive in sorted(contents.archives):
            wanted = {
                (archive, e.member, e.sha256)
                for e in contents.entries
                if e.archive == archive
            }
            if not wanted <= self._checked:
                verify_data(self.remote, archive, contents)
                self._checked |= wanted
        return contents

    def inspected(
        self, held: tuple[HeldGeneration, ...], known: set[ArchiveName]
    ) -> Inspected:
        """Return all, with what nothing can be made of."""
        there = self.remote.names()
        nameless: list[str] = []
        fragments = [g.name for g in held if g.problem and not g.is_marked]
        mine = [g.name for g in held if g.problem and not g.is_marked and g.is_own]
        for name in archives(self.remote):
            text = str(name)
            if name in known or text in self._used:
                continue
            if name.ok in there:
                nameless.append(text)
                continue
            fragments.append(text)
            if is_own_archive(self.remote, name, self.journal):
                mine.append(text)
        return Inspected(
            generations=held,
            nameless=tuple(nameless),
            fragments=tuple(fragments),
            own_fragments=tuple(mine),
        )


def is_current(generation: Generation, journal: bytes) -> bool:
    """Return whether a job has not begun anew since one of its generations was made."""
    born = beginnings(journal).get(generation.about.job, 0)
    return generation.about.sequence >= born


def is_own_archive(remote: Remote, name: ArchiveName, journal: bytes) -> bool:
    """Return whether an archive says that this journal goes on from its own."""
    try:
        about = about_of(remote, name)
    except (FileNotFoundError, DamagedArchiveError):
        return False
    return about is not None and is_beginning(about, journal)


def _results_sha256(contents: Contents) -> str:
    """Return the checksum of the list of results, as the journal has it."""
    return digest_of_entries(
        {
            e.path: FileEntry(size_bytes=e.size_bytes, sha256=e.sha256)
            for e in contents.entries
            if not e.path.startswith(_PRIVATE) and e.path != CONFIG
        }
    )


# --- bring --------------------------------------------------------------------------


def fetch(
    remote: Remote, space: Workspace, sha256: Mapping[str, str], folder: Path
) -> Fetched:
    """Write what is wanted, and there, to ``folder``; see `Fetch`.

    Notes
    -----
    A generation of which one file is damaged still gives its others: each is believed
    by its own checksum alone.
    """
    journal = whole_part(space.journal)
    found: dict[str, FetchedFile] = {}
    for generation in own(generations(remote), journal):
        left = {path: sums for path, sums in sha256.items() if path not in found}
        if not is_current(generation, journal):
            # An earlier life of the job: only what is the same to the bit.
            left = {path: sums for path, sums in left.items() if sums}
        if not left:
            continue
        with contextlib.suppress(FileNotFoundError, DamagedArchiveError):
            contents = description_of(remote, generation)
            if contents is not None and contents.about == generation.about:
                _take(remote, generation, _wanted_of(contents, left), found, folder)
    return Fetched(files=tuple(found[path] for path in sorted(found)))


def _wanted_of(
    contents: Contents, left: Mapping[str, str]
) -> dict[str, dict[str, tuple[str, Entry]]]:
    """Return the wanted places by archive, empty for the generation's own, and member."""
    by_sum = {entry.sha256: entry for entry in contents.entries}
    by_path = {entry.path: entry for entry in contents.entries}
    wanted: dict[str, dict[str, tuple[str, Entry]]] = {}
    for path, sums in left.items():
        entry = by_path.get(path)
        if sums and (entry is None or entry.sha256 != sums):
            entry = by_sum.get(sums)
        if entry is not None:
            wanted.setdefault(entry.archive, {})[entry.member] = (path, entry)
    return wanted


def _take(
    remote: Remote,
    generation: Generation,
    wanted: dict[str, dict[str, tuple[str, Entry]]],
    found: dict[str, FetchedFile],
    folder: Path,
) -> None:
    for archive, by_member in wanted.items():
        name = archive or str(generation.name)
        with contextlib.suppress(FileNotFoundError, DamagedArchiveError):
            _read(remote, name, by_member, found, folder)


def _read(
    remote: Remote,
    archive: str,
    wanted: dict[str, tuple[str, Entry]],
    found: dict[str, FetchedFile],
    folder: Path,
) -> None:
    """Write the wanted members of one archive that match their checksums."""
    with remote.reading(archive) as stream:
        for member in members(stream):
            if member.name not in wanted:
                continue
            path, entry = wanted.pop(member.name)
            name = f"{len(found):08d}"
            if _write(member, folder / name) == (entry.size_bytes, entry.sha256):
                found[path] = FetchedFile(path=path, name=name, archive=archive)
            if not wanted:
                return


def _write(member: ArchiveMember, path: Path) -> tuple[int, str]:
    digest, size_bytes = hashlib.sha256(), 0
    with storage_errors(path), path.open("wb") as stream:
        for block in member.blocks:
            stream.write(block)
            digest.update(block)
            size_bytes += len(block)
    return size_bytes, digest.hexdigest()


# --- tidy ---------------------------------------------------------------------------


def discard(remote: Remote, space: Workspace, names: tuple[str, ...]) -> Discarded:
    """Delete those archives that are this lineage's; the marker goes first.

    Whoever asks has seen them not to be whole.
    """
    journal = whole_part(space.journal)
    mine = {str(g.name) for g in own(generations(remote), journal)}
    gone = []
    for name in archives(remote):
        text = str(name)
        if text in names and (text in mine or is_own_archive(remote, name, journal)):
            remote.delete(name.ok)
            remote.delete(text)
            gone.append(text)
    return Discarded(names=tuple(gone))

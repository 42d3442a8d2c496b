"""What a mirror holds: list its generations, read and verify one.

    remote = Remote.open("/content/drive/MyDrive/mirror", "lowmem-work")
    newest = newest_first(generations(remote))[0]
    contents = contents_of(remote, newest)        # paths, sizes, SHA-256

What is read is held against its checksums before it is believed.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from lowmem.base.outside import refuse_newer_format
from lowmem.mirror.archive import BLOCK_BYTES, DamagedArchiveError, members
from lowmem.mirror.names import (
    ABOUT,
    CONTENTS,
    FORMAT,
    JOURNAL,
    OK_SUFFIX,
    About,
    Contents,
    Entry,
    Ok,
    archive_name,
    contents_from_bytes,
    decoded,
    is_safe,
)
from lowmem.mirror.policy import Generation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lowmem.mirror.archive import ArchiveMember, Readable
    from lowmem.mirror.names import ArchiveName
    from lowmem.mirror.remote import Remote

# What is taken into memory of descriptions, whoever wrote them.
_MOST_ABOUT_BYTES = 2**16
_MOST_CONTENTS_BYTES = 2**26
_MOST_JOURNAL_BYTES = 2**28


def archives(remote: Remote) -> list[ArchiveName]:
    """Return the names of all archives, generations and data, oldest first."""
    found = (archive_name(name) for name in remote.names())
    return sorted(name for name in found if name is not None)


def generations(remote: Remote) -> list[Generation]:
    """Return every generation that says what it is; in no particular order.

    Notes
    -----
    Reads the marker of each or, where that is missing or damaged, the first member.
    One that says nothing, or something else than its name, is left out.

    Raises
    ------
    NewerFormatError
        If the marker of one is of a newer lowmem: none is left out for that, since what
        is left out is begun anew.
    """
    names = remote.names()
    found = []
    for text in sorted(names):
        name = archive_name(text)
        if name is not None and name.kind == "generation":
            generation = _generation(remote, name, is_marked=text + OK_SUFFIX in names)
            if generation is not None:
                found.append(generation)
    return found


def _generation(
    remote: Remote, name: ArchiveName, *, is_marked: bool
) -> Generation | None:
    try:
        ok = _marker(remote, name) if is_marked else None
        if ok is not None and _is_of(ok.about, name):
            return Generation(
                name,
                ok.about,
                is_marked=True,
                size_bytes=ok.size_bytes,
                sha256=ok.sha256,
                archives=frozenset(ok.archives),
            )
        about = about_of(remote, name)
    except (FileNotFoundError, DamagedArchiveError):
        # Deleted since it was listed, or never whole.
        return None
    return Generation(name, about, is_marked=False) if about else None


def _marker(remote: Remote, name: ArchiveName) -> Ok | None:
    """Return what a marker says; None if it is damaged, which spoils no archive."""
    try:
        data = remote.content(name.ok)
    except DamagedArchiveError:
        return None
    refuse_newer_format(data, path=remote.place_of(name.ok), known=FORMAT)
    return decoded(data, Ok)


def about_of(remote: Remote, name: ArchiveName) -> About | None:
    """Return what the first member of an archive says; None if it is not this one's."""
    with remote.reading(str(name)) as stream:
        first = next(members(stream), None)
        if first is None or first.name != ABOUT:
            return None
        about = decoded(first.content(_MOST_ABOUT_BYTES), About)
    return about if about is not None and _is_of(about, name) else None


def _is_of(about: About, name: ArchiveName) -> bool:
    return (about.job, about.sequence) == (name.job, name.sequence)


def journal_of(remote: Remote, generation: Generation) -> bytes | None:
    """Return the journal in a generation; None unless it matches its checksum."""
    with remote.reading(str(generation.name)) as stream:
        for member in members(stream):
            if member.name == JOURNAL:
                journal = member.content(_MOST_JOURNAL_BYTES)
                found = hashlib.sha256(journal).hexdigest()
                is_it = found == generation.about.journal_sha256
                return journal if is_it else None
    return None


def contents_of(
    remote: Remote,
    generation: Generation,
    take: Callable[[ArchiveMember], Iterator[bytes]] | None = None,
) -> Contents:
    """Read a generation's own archive to its end, and return what it holds.

    Parameters
    ----------
    take
        Given each file; returns its blocks, having done with them what it wants.

    Raises
    ------
    DamagedArchiveError
        If anything is missing, does not match its checksum, or has no business there.
    NewerFormatError
        If what it holds is described by a newer lowmem.
    """
    place = remote.place_of(str(generation.name))
    with remote.reading(str(generation.name)) as stream:
        digest = Digesting(stream)
        sums, contents = _read_members(digest, take, place)
        digest.finish()
    if generation.is_marked and digest.found != (
        generation.size_bytes,
        generation.sha256,
    ):
        raise DamagedArchiveError(f"{generation.name} does not match its marker")
    _check_entries(contents, generation, sums)
    return contents


def _read_members(
    stream: Readable,
    take: Callable[[ArchiveMember], Iterator[bytes]] | None,
    place: str,
) -> tuple[dict[str, tuple[int, str]], Contents]:
    sums: dict[str, tuple[int, str]] = {}
    contents: Contents | None = None
    for member in members(stream):
        if member.name == CONTENTS:
            contents = contents_from_bytes(member.content(_MOST_CONTENTS_BYTES), place)
            continue
        if contents is not None or member.name in sums:
            raise DamagedArchiveError(f"{member.name} is not where it belongs")
        digest = hashlib.sha256()
        for block in take(member) if take else member.blocks:
            digest.update(block)
        sums[member.name] = (member.size_bytes, digest.hexdigest())
    if contents is None:
        raise DamagedArchiveError("the archive does not say what it holds")
    return sums, contents


def _check_entries(
    contents: Contents, generation: Generation, sums: dict[str, tuple[int, str]]
) -> None:
    if contents.about != generation.about:
        raise DamagedArchiveError("it is another than it says at its start")
    paths = {entry.path for entry in contents.entries}
    if len(paths) != len(contents.entries):
        raise DamagedArchiveError("two files have the same place")
    for entry in contents.entries:
        if not is_safe(entry.path, generation.about.job):
            raise DamagedArchiveError(f"{entry.path!r} leads out of its place")
        if not entry.archive and sums.get(entry.member) != _sum_of(entry):
            raise DamagedArchiveError(f"{entry.path} does not match its checksum")


def _sum_of(entry: Entry) -> tuple[int, str]:
    return entry.size_bytes, entry.sha256


def data_entries(archive: str, contents: Contents) -> dict[str, Entry]:
    """Return the files that a generation takes from a data archive, by member."""
    return {e.member: e for e in contents.entries if e.archive == archive}


def verify_data(remote: Remote, archive: str, contents: Contents) -> None:
    """Read what a generation takes from a data archive.

    Raises
    ------
    DamagedArchiveError
        If anything is missing or does not match its checksum.
    """
    for _ in read_data(remote, archive, contents, lambda member, _: member.blocks):
        pass


def description_of(remote: Remote, generation: Generation) -> Contents | None:
    """Return what a generation says that it holds; its files may be damaged."""
    place = remote.place_of(str(generation.name))
    with remote.reading(str(generation.name)) as stream:
        for member in members(stream):
            if member.name == CONTENTS:
                return contents_from_bytes(member.content(_MOST_CONTENTS_BYTES), place)
    return None


def read_data(
    remote: Remote,
    archive: str,
    contents: Contents,
    take: Callable[[ArchiveMember, Entry], Iterator[bytes]],
) -> Iterator[Entry]:
    """Read a data archive, and yield each wanted file once it has matched.

    Raises
    ------
    DamagedArchiveError
        If one is missing or does not match its checksum.
    """
    name = archive_name(archive)
    if name is None or name.kind != "data":
        raise DamagedArchiveError(f"{archive!r} is no data archive")
    wanted = data_entries(archive, contents)
    with remote.reading(archive) as stream:
        for member in members(stream):
            entry = wanted.pop(member.name, None)
            if entry is None:
                continue
            digest = hashlib.sha256()
            for block in take(member, entry):
                digest.update(block)
            if (member.size_bytes, digest.hexdigest()) != _sum_of(entry):
                raise DamagedArchiveError(f"{entry.path} does not match its checksum")
            yield entry
            if not wanted:
                return
    if wanted:
        raise DamagedArchiveError(f"{archive} lacks {len(wanted)} files")


class Digesting:
    """A stream that takes the checksum of what is read through it."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._size_bytes = 0

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes."""
        block = self._stream.read(size)
        self._digest.update(block)
        self._size_bytes += len(block)
        return block

    def finish(self) -> None:
        """Read the rest."""
        while self.read(BLOCK_BYTES):
            pass

    @property
    def found(self) -> tuple[int, str]:
        """Size and SHA-256 of all that was read."""
        return self._size_bytes, self._digest.hexdigest()

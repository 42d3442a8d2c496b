"""Send one generation: data, archive, read back, marker, read back, retention."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from lowmem.mirror.archive import ArchiveWriter, ChangedFileError, DamagedArchiveError
from lowmem.mirror.leftovers import Leftovers
from lowmem.mirror.library import (
    Digesting,
    about_of,
    archives,
    contents_of,
    generations,
)
from lowmem.mirror.names import (
    ABOUT,
    CONTENTS,
    JOURNAL,
    ArchiveName,
    Contents,
    Entry,
    Ok,
    bytes_from_contents,
)
from lowmem.mirror.policy import cleared, expired, is_beginning, own
from lowmem.mirror.relation import beginnings, is_in_place
from lowmem.mirror.snapshot import take_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from lowmem.base.clock import Clock
    from lowmem.base.workspace import Workspace
    from lowmem.mirror.names import About
    from lowmem.mirror.policy import Generation
    from lowmem.mirror.remote import Remote
    from lowmem.mirror.snapshot import LocalFile, News, Snapshot

# bytes of new chunks, and seconds, of which one is waited for before they are sent: so
# hours of small cycles make few files.
_LEAST_DATA_BYTES = 64 * 2**20
_DATA_INTERVAL_S = 60.0
# looks for a file that was just written: some mounts show it late.
_LOOKS = 4
_LOOK_S = 0.5

_Sent = dict[tuple[str, int, int], Entry]


class MirrorFaultError(Exception):
    """What was written is not what it should be; caught in `lowmem.mirror.serve`."""


class OvertakenError(Exception):
    """Results that are others by now; caught in `lowmem.mirror.serve`."""


@dataclass(slots=True)
class Uploader:
    """Sends the generations of one workspace.

    Attributes
    ----------
    open_remote
        Opens the mirror; called again after every failure.
    """

    open_remote: Callable[[], Remote]
    space: Workspace
    clock: Clock
    has_data: bool = False
    _remote: Remote | None = None
    _sent: dict[str, _Sent] = field(default_factory=dict)
    _data_due: dict[str, float] = field(default_factory=dict)
    _leftovers: Leftovers = field(init=False)
    _floor: str | None = None
    others: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._leftovers = Leftovers.read(self.space.uploading)

    def upload(self, news: News, *, is_last: bool) -> About | None:
        """Make one generation durable; None if the job went on before it could be read.

        Parameters
        ----------
        is_last
            Whether there will be no later chance: small data are sent too.

        Raises
        ------
        TooLargeError
            See `take_snapshot`.
        OvertakenError
            If the job's results are others by now, or about to be.
        MirrorFaultError
            If the mirror does not keep what it was given.
        Exception
            Whatever the store's library raises.
        """
        remote = self._opened()
        self._refuse_stale(news, self.space.journal.read_bytes())
        durable = self._durable(remote, news)
        if durable is not None:
            return durable
        snapshot = take_snapshot(self.space, news, self.clock, has_data=self.has_data)
        if snapshot is None:
            return None
        try:
            # The journal that is sent tells whose the results are.
            self._refuse_stale(news, snapshot.journal)
            return self._send(remote, snapshot, is_last=is_last)
        except ChangedFileError:
            return None
        finally:
            snapshot.close()

    def _refuse_stale(self, news: News, journal: bytes) -> None:
        published = news.published
        if published is not None and not is_in_place(news.job, published, journal):
            raise OvertakenError(news.job)

    def forget(self) -> None:
        """Open the mirror anew the next time."""
        self._remote = None

    def _opened(self) -> Remote:
        if self._remote is None:
            self._remote = self.open_remote()
        return self._remote

    def _durable(self, remote: Remote, news: News) -> About | None:
        """Return the results of a job that are in the mirror already.

        Not those that it had before it last began: their number may be the same.
        """
        if news.published is None:
            return None
        born = beginnings(self.space.journal.read_bytes()).get(news.job, 0)
        for generation in self._own(remote):
            about = generation.about
            is_current = about.job == news.job and about.sequence >= born
            if is_current and generation.is_marked:
                is_it = about.is_done and about.generation == news.generation
                return about if is_it else None
        return None

    def _own(self, remote: Remote) -> list[Generation]:
        return own(generations(remote), self.space.journal.read_bytes())

    def _send(
        self, remote: Remote, snapshot: Snapshot, *, is_last: bool
    ) -> About | None:
        about = snapshot.about = self._not_before(remote, snapshot.about)
        if snapshot.chunks and about.job not in self._sent:
            self._sent[about.job] = self._recall(remote, about.job)
        sent = self._sent.get(about.job, {})
        new = [chunk for chunk in snapshot.chunks if _key(chunk) not in sent]
        is_due = is_last or about.is_done or self._is_data_due(about.job, new)
        if new and not is_due:
            return None
        entries = [_at(sent[_key(c)], c) for c in snapshot.chunks if _key(c) in sent]
        if new:
            entries += self._send_data(remote, snapshot, new)
            self._data_due[about.job] = self.clock.monotonic() + _DATA_INTERVAL_S
        name = _new_name(about)
        with self._noted(name):
            load = _Load(
                about=about,
                files=snapshot.loose,
                journal=snapshot.journal,
                elsewhere=entries,
            )
            size_bytes, sha256, loose = _write(remote, name, load)
            _refuse_other((*loose, *entries), snapshot.recorded)
            self._confirm(remote, str(name), size_bytes, sha256)
            names = tuple(sorted({e.archive for e in entries}))
            ok = Ok(size_bytes=size_bytes, sha256=sha256, about=about, archives=names)
            self._mark(remote, name, msgspec.json.encode(ok))
        self._floor = about.at
        self._retire(remote)
        return about

    def _not_before(self, remote: Remote, about: About) -> About:
        """Return it with a time that is not before the newest of its lineage.

        The clock of this machine may be behind that of the one before.
        """
        if self._floor is None:
            self._floor = max((g.about.at for g in self._own(remote)), default="")
        return msgspec.structs.replace(about, at=max(about.at, self._floor))

    def _is_data_due(self, job: str, new: Sequence[LocalFile]) -> bool:
        is_large = sum(chunk.size_bytes for chunk in new) >= _LEAST_DATA_BYTES
        return is_large or self.clock.monotonic() >= self._data_due.get(job, 0.0)

    def _recall(self, remote: Remote, job: str) -> _Sent:
        """Return the chunks that an earlier process has sent of this job."""
        for generation in self._own(remote):
            if generation.name.job == job and generation.is_marked:
                with contextlib.suppress(DamagedArchiveError, FileNotFoundError):
                    contents = contents_of(remote, generation)
                    return {
                        (_key_of_path(e.path, job), e.size_bytes, e.mtime_ns): e
                        for e in contents.entries
                        if e.archive
                    }
        return {}

    def _send_data(
        self, remote: Remote, snapshot: Snapshot, new: Sequence[LocalFile]
    ) -> list[Entry]:
        name = _new_name(snapshot.about, is_data=True)
        with self._noted(name):
            load = _Load(about=snapshot.about, files=new)
            size_bytes, sha256, entries = _write(remote, name, load)
            self._confirm(remote, str(name), size_bytes, sha256)
        entries = [msgspec.structs.replace(e, archive=str(name)) for e in entries]
        sent = self._sent.setdefault(snapshot.about.job, {})
        for chunk, entry in zip(new, entries, strict=True):
            if chunk.is_settled:
                sent[_key(chunk)] = entry
        return entries

    @contextlib.contextmanager
    def _noted(self, name: ArchiveName) -> Iterator[None]:
        """Note what was begun, so that it is deleted later if it is not finished."""
        self._leftovers.add(name)
        yield
        self._leftovers.drop(name)

    def _confirm(self, remote: Remote, name: str, size_bytes: int, sha256: str) -> None:
        """Read an archive back; a mount may show it late, or cut."""
        found: tuple[int, str] = (0, "")
        for look in range(_LOOKS):
            if look:
                self.clock.sleep(_LOOK_S)
            with contextlib.suppress(FileNotFoundError), remote.reading(name) as stream:
                digest = Digesting(stream)
                digest.finish()
                found = digest.found
            if found == (size_bytes, sha256):
                return
        raise MirrorFaultError(f"{name} reads back otherwise than it was written")

    def _mark(self, remote: Remote, name: ArchiveName, data: bytes) -> None:
        with remote.creating(name.ok) as stream:
            stream.write(data)
        for look in range(_LOOKS):
            if look:
                self.clock.sleep(_LOOK_S)
            with contextlib.suppress(FileNotFoundError):
                if remote.content(name.ok) == data:
                    return
        raise MirrorFaultError(f"{name.ok} reads back otherwise than it was written")

    def _retire(self, remote: Remote) -> None:
        """Delete what is no longer needed; what cannot be deleted now is tried again."""
        everybody = generations(remote)
        mine = own(everybody, self.space.journal.read_bytes())
        names = {g.name for g in mine}
        self.others = frozenset(str(g.name) for g in everybody if g.name not in names)
        data = [name for name in archives(remote) if name.kind == "data"]
        own_data = {str(name) for name in data if self._is_own(remote, name)}
        for name in expired(mine, everybody, data, own_data=own_data):
            if name.kind == "generation":
                remote.delete(name.ok)
            remote.delete(str(name))
            if name.kind == "data":
                self._forget_data(str(name))
        for name in cleared(self._leftovers.names, mine, everybody):
            remote.delete(name.ok)
            remote.delete(str(name))
            self._leftovers.drop(name)

    def _is_own(self, remote: Remote, name: ArchiveName) -> bool:
        """Return whether a data archive is of this lineage."""
        if any(e.archive == str(name) for s in self._sent.values() for e in s.values()):
            return True
        try:
            about = about_of(remote, name)
        except (FileNotFoundError, DamagedArchiveError):
            return False
        if about is None:
            return False
        journal = self.space.journal.read_bytes()
        return is_beginning(about, journal)

    def _forget_data(self, archive: str) -> None:
        for job, sent in self._sent.items():
            self._sent[job] = {k: e for k, e in sent.items() if e.archive != archive}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """What goes into one archive.

    Attributes
    ----------
    journal
        None in a data archive.
    elsewhere
        Entries that lie in data archives.
    """

    about: About
    files: Sequence[LocalFile]
    journal: bytes | None = None
    elsewhere: Sequence[Entry] = ()


def _write(
    remote: Remote, name: ArchiveName, load: _Load
) -> tuple[int, str, list[Entry]]:
    """Write one archive; return its size, its SHA-256 and the entries of its files."""
    entries: list[Entry] = []
    with remote.creating(str(name)) as stream:
        writer = ArchiveWriter(stream)
        about = msgspec.json.encode(load.about)
        writer.add(ABOUT, len(about), [about])
        if load.journal is not None:
            size_bytes = len(load.journal)
            sha256 = writer.add(JOURNAL, size_bytes, [load.journal])
            entries.append(_entry(JOURNAL, JOURNAL, size_bytes, sha256))
        for file in load.files:
            member = writer.member_of(file.path)
            sha256 = writer.add(member, file.size_bytes, file.blocks())
            entry = _entry(file.path, member, file.size_bytes, sha256)
            entries.append(msgspec.structs.replace(entry, mtime_ns=file.mtime_ns))
        contents = bytes_from_contents(
            Contents(about=load.about, entries=(*entries, *load.elsewhere))
        )
        writer.add(CONTENTS, len(contents), [contents])
        sha256 = writer.close()
    return writer.size_bytes, sha256, entries


def _refuse_other(entries: Iterable[Entry], recorded: Mapping[str, str]) -> None:
    """Refuse results that are not what their job published: they are damaged, or others."""
    for entry in entries:
        if recorded.get(entry.path, entry.sha256) != entry.sha256:
            raise MirrorFaultError(
                f"{entry.path} is not what was published: `lowmem verify` tells more"
            )


def _entry(path: str, member: str, size_bytes: int, sha256: str) -> Entry:
    return Entry(
        path=path, size_bytes=size_bytes, sha256=sha256, mtime_ns=0, member=member
    )


def _new_name(about: About, *, is_data: bool = False) -> ArchiveName:
    return ArchiveName(
        about.sequence,
        about.job,
        secrets.token_hex(4),
        "data" if is_data else "generation",
    )


def _key(chunk: LocalFile) -> tuple[str, int, int]:
    return chunk.key, chunk.size_bytes, chunk.mtime_ns


def _key_of_path(path: str, job: str) -> str:
    """Return where a file lies among the results, published or in the making."""
    return path.removeprefix(f".lowmem/jobs/{job}/staging/")


def _at(entry: Entry, chunk: LocalFile) -> Entry:
    return msgspec.structs.replace(entry, path=chunk.path)

"""Links in a tar archive: a file of it under a second name, as the unpacked folder has it.

Only files of the same archive are meant; a link that leads elsewhere is not followed. An
archive is read once more, headers alone, when the first link is met: of its millions of
names only those that links name are kept.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from lowmem_jobs.ingest.entries import Entry

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Callable, Iterable

# Beyond so many names that links name, further ones are not followed.
_MAX_TARGETS = 2**17
_MAX_STEPS = 40  # from link to link, as the system allows
_NOT_FOLLOWED = "a link or a device, which is not followed"


def is_link(member: tarfile.TarInfo) -> bool:
    """Tell whether a member is a second name, of whatever kind."""
    return member.issym() or member.islnk()


def target_of(member: tarfile.TarInfo) -> str:
    """Return the name that a link stands for; with ``..`` where it leads outside."""
    name = member.linkname
    if member.issym():
        name = posixpath.join(posixpath.dirname(member.name), name)
    return posixpath.normpath(name)


class Links:
    """What the links of an archive stand for.

    Parameters
    ----------
    members
        All of its members, in stored order.
    entry_of
        Returns what is listed of a file.
    """

    def __init__(
        self,
        members: Callable[[], Iterable[tarfile.TarInfo]],
        entry_of: Callable[[tarfile.TarInfo], Entry],
    ) -> None:
        self._entry_of = entry_of
        self._wanted: set[str] = set()
        for member in members():
            if is_link(member) and len(self._wanted) < _MAX_TARGETS:
                self._wanted.add(target_of(member))
        # A symbolic link is what its target is at last, a hard link what it was then.
        self._last: dict[str, Entry | str] = {}
        self._until: dict[str, Entry] = {}
        for member in members():
            name = posixpath.normpath(member.name)
            if name in self._wanted:
                self._last[name] = (
                    target_of(member) if member.issym() else self._hard_or_file(member)
                )
        self._until.clear()

    def _hard_or_file(self, member: tarfile.TarInfo) -> Entry:
        self.pass_by(member)
        return self._until.get(posixpath.normpath(member.name), _nothing(member))

    def pass_by(self, member: tarfile.TarInfo) -> None:
        """Note a member that comes before the links to be resolved."""
        name = posixpath.normpath(member.name)
        if name not in self._wanted:
            return
        if member.isreg():
            self._until[name] = self._entry_of(member)
        elif member.islnk() and target_of(member) in self._until:
            self._until[name] = self._until[target_of(member)]

    def entry(self, member: tarfile.TarInfo) -> Entry:
        """Return what a link stands for, under its own name; else why it does not."""
        found: Entry | str | None = (
            target_of(member) if member.issym() else self._until.get(target_of(member))
        )
        for _ in range(_MAX_STEPS):
            if not isinstance(found, str):
                break
            found = self._last.get(found)
        if not isinstance(found, Entry):
            return _nothing(member)
        return found._replace(name=member.name)


def _nothing(member: tarfile.TarInfo) -> Entry:
    return Entry(member.name, problem=_NOT_FOLLOWED)

"""Links in a tar archive: a file of it under a second name, as the unpacked folder has it.

Only files of the same archive are meant; a link that leads elsewhere is not followed. What
a link says is walked part by part, as the system does: a folder on the way may be a link
itself, and ``..`` then leads to the folder above the one that it stands for.

An archive is read again, headers alone, when the first link is met: of its millions of
names only those that links name are kept. It is read twice more where a link leads to
another one, for its target names others.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from lowmem_jobs.ingest.entries import Entry

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Callable, Iterable, Iterator

# Beyond so many names that links name, further ones are not followed.
_MAX_TARGETS = 2**17
_MAX_STEPS = 40  # from link to link, as the system allows
_MAX_PARTS = 2**10  # of a path, with all links on it; the system allows some more
_NOT_FOLLOWED = "a link or a device, which is not followed"
_IN_A_LINK = "in a folder that is a link, of which programs make different things"


def is_link(member: tarfile.TarInfo) -> bool:
    """Tell whether a member is a second name, of whatever kind."""
    return member.issym() or member.islnk()


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
        # Names that links name; of these, folders that `..` leaves.
        self._wanted: set[str] = set()
        self._left: set[str] = set()
        self._folders: set[str] = set()
        # A symbolic link is what its target is at last, a hard link what it was then: a
        # file, or the target of a symbolic link.
        self._last: dict[str, Entry | str] = {}
        self._until: dict[str, Entry | str] = {}
        # Hashes of the names of all symbolic links so far.
        self._linked: set[int] = set()
        for _ in range(_MAX_STEPS):
            n_before = len(self._wanted) + len(self._left)
            self._ask(members())
            if len(self._wanted) + len(self._left) == n_before:
                break
            self._look(members())
            if not any(isinstance(found, str) for found in self._last.values()):
                break

    def _ask(self, members: Iterable[tarfile.TarInfo]) -> None:
        """Note the names that are met on the way to what links name."""
        for member in members:
            if not is_link(member):
                continue
            found: Entry | str | None = member.linkname
            if member.islnk():
                target = posixpath.normpath(member.linkname)
                self._want(target)
                found = self._last.get(target)
            if isinstance(found, str):
                self._walk(posixpath.normpath(member.name), found)

    def _look(self, members: Iterable[tarfile.TarInfo]) -> None:
        """Note what those names are, at last."""
        self._until.clear()
        self._last.clear()
        for member in members:
            self.pass_by(member)
            name = posixpath.normpath(member.name)
            if self._left:
                self._folders.update(self._left & {name, *_above(name)})
            if name not in self._wanted:
                continue
            if name in self._until:
                self._last[name] = self._until[name]
            else:
                self._last.pop(name, None)
        self._until.clear()
        self._linked.clear()

    def _want(self, name: str) -> bool:
        """Note a name; return whether it is known from here on."""
        if name not in self._wanted and len(self._wanted) < _MAX_TARGETS:
            self._wanted.add(name)
        return name in self._wanted

    def _walk(self, name: str, target: str) -> str | None:
        """Return the file that a symbolic link leads to; None where that is not known."""
        own = posixpath.dirname(name)
        at = own.split("/") if own else []
        to_go, n_links = _parts(target), 0
        for _ in range(_MAX_PARTS):
            if not to_go:
                return "/".join(at)
            part = to_go.pop()
            if part == "/" or (part == ".." and not self._leave(at, own)):
                return None
            if part in {".", ".."}:
                continue
            at.append(part)
            here = "/".join(at)
            if not self._want(here):
                return None
            found = self._last.get(here)
            if isinstance(found, str):
                n_links += 1
                at.pop()
                to_go += _parts(found)
            if n_links > _MAX_STEPS or (isinstance(found, Entry) and to_go):
                return None
        return None

    def _leave(self, at: list[str], own: str) -> bool:
        """Go to the folder above; return whether there is one, and one to leave."""
        folder = "/".join(at)
        if not at:
            return False
        at.pop()
        if f"{own}/".startswith(f"{folder}/"):
            return True
        if len(self._left) < _MAX_TARGETS:
            self._left.add(folder)
        # Until it is looked for, what lies beyond it is asked for too.
        return not self._last or folder in self._folders

    def pass_by(self, member: tarfile.TarInfo) -> None:
        """Note a member that comes before the links to be resolved."""
        name = posixpath.normpath(member.name)
        if member.issym() and len(self._linked) < _MAX_TARGETS:
            self._linked.add(hash(name))
        elif not member.issym():
            self._linked.discard(hash(name))
        if name not in self._wanted:
            return
        found: Entry | str | None = None
        if member.issym():
            found = member.linkname
        elif member.islnk():
            found = self._until.get(posixpath.normpath(member.linkname))
        elif not member.isdir():
            found = self._entry_of(member)
        if found is None or (isinstance(found, Entry) and found.problem):
            self._until.pop(name, None)
        else:
            self._until[name] = found

    def entry(self, member: tarfile.TarInfo) -> Entry:
        """Return what a link stands for, under its own name; else why it does not."""
        found: Entry | str | None = (
            member.linkname
            if member.issym()
            else self._until.get(posixpath.normpath(member.linkname))
        )
        if isinstance(found, str):
            name = self._walk(posixpath.normpath(member.name), found)
            found = None if name is None else self._last.get(name)
        if not isinstance(found, Entry):
            return Entry(member.name, problem=_NOT_FOLLOWED)
        return found._replace(name=member.name)

    def place_problem(self, member: tarfile.TarInfo) -> str:
        """Return what is wrong with where a member lies; empty if nothing.

        GNU tar unpacks it to where the link leads, bsdtar not at all.
        """
        if not self._linked or "/" not in member.name:
            return ""
        above = _above(posixpath.normpath(member.name))
        return _IN_A_LINK if any(hash(one) in self._linked for one in above) else ""


def _parts(target: str) -> list[str]:
    """Return the parts of a path, the last one first; of one from the root, "/" too."""
    parts = [part or "." for part in target.split("/")][::-1]
    return [*parts, "/"] if target.startswith("/") else parts


def _above(name: str) -> Iterator[str]:
    """Yield the folders above a name."""
    while name := posixpath.dirname(name):
        if name == "/":
            return
        yield name

"""Memory of a tree of processes, as the budget counts it.

Counted is what the kernel cannot reclaim: anonymous and shared resident pages of every
process of the tree, and what was added to memory file systems (tmpfs) since the start.
File-backed pages and the page cache are not counted: they go when memory is needed.

Two traps, and how they are met. Forked processes share pages until one writes, so the
plain sum counts them more than once: before a reading may stop anything it is *refined*
by PSS, which divides a page among those that map it. And a file on tmpfs that is also
mapped would count as shared and as growth: the refinement subtracts the mapped part.

Costs, measured: one `status` through an open descriptor 30 microseconds; a refinement
14 ms for a process of 2 GB. The list of processes is read anew only when the kernel's
last process id has changed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_PROC = Path("/proc")
_STATUS_BYTES = 4096
_KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeReading:
    """One reading of the whole tree.

    Attributes
    ----------
    ram_bytes
        What the budget counts.
    most_bytes
        The same if no page were shared any more: processes that write to pages which
        they shared at the last refinement may by now use as much.
    is_refined
        Whether pages shared between processes were counted once.
    n_processes
        Live processes in the tree, its root included.
    """

    ram_bytes: int
    most_bytes: int
    is_refined: bool
    n_processes: int


def field_bytes(status: bytes, name: bytes) -> int:
    r"""Return one ``kB`` field of a /proc status text in bytes; 0 where it is absent.

    Examples
    --------
    >>> field_bytes(b"VmHWM:\t  12 kB\nRssAnon:\t   3 kB\n", b"RssAnon:")
    3072
    """
    start = status.find(name)
    if start < 0:
        return 0
    return int(status[start + len(name) : start + len(name) + 20].split()[0]) * _KIB


def anonymous_bytes(pid: int | str = "self") -> int:
    """Return the anonymous and shared resident bytes of one process."""
    status = (_PROC / str(pid) / "status").read_bytes()
    return field_bytes(status, b"RssAnon:") + field_bytes(status, b"RssShmem:")


def reset_peak(pid: int) -> bool:
    """Reset the kernel's high-water mark of a process; return whether it did."""
    try:
        (_PROC / str(pid) / "clear_refs").write_bytes(b"5")
    except OSError:  # The process has gone, or the kernel forbids it.
        return False
    return True


def oom_kills() -> int | None:
    """Return how many processes the kernel has killed for memory since boot."""
    for line in (_PROC / "vmstat").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill":
            return int(value)
    return None


def tmpfs_mounts() -> list[str]:
    """Return the mount points of memory file systems."""
    lines = (line.split() for line in (_PROC / "mounts").read_text().splitlines())
    mounts = {
        parts[1]
        for parts in lines
        if parts[2] == "tmpfs" and os.access(parts[1], os.W_OK)
    }
    # One file system may be mounted in several places.
    return sorted(
        {Path(mount).stat().st_dev: mount for mount in sorted(mounts)}.values()
    )


def tmpfs_used_bytes(mounts: list[str]) -> int:
    """Return the bytes in use on memory file systems."""
    total = 0
    for mount in mounts:
        try:
            status = os.statvfs(mount)
        except OSError:  # Unmounted meanwhile, or not ours to ask.
            continue
        total += (status.f_blocks - status.f_bfree) * status.f_frsize
    return total


@dataclass(slots=True)
class _Process:
    """One process of the tree; the descriptor stays true even if its id is reused."""

    pid: int
    descriptor: int
    anon_bytes: int = 0
    shared_bytes: int = 0
    hwm_bytes: int = 0

    def read(self) -> bool:
        """Take a reading; return False once the process has gone."""
        try:
            status = os.pread(self.descriptor, _STATUS_BYTES, 0)
        except ProcessLookupError:
            return False
        # A zombie has no memory lines.
        if b"RssAnon:" not in status:
            return False
        self.anon_bytes = field_bytes(status, b"RssAnon:")
        self.shared_bytes = field_bytes(status, b"RssShmem:")
        self.hwm_bytes = max(self.hwm_bytes, field_bytes(status, b"VmHWM:"))
        return True


@dataclass(slots=True)
class TreeSampler:
    """Reads the memory of ``root_pid`` and all its descendants; owns descriptors.

    A descendant whose parents have ended is still found if the root is a *subreaper*
    (see `adopt_orphans`): the kernel then makes it the root's own child.

    Attributes
    ----------
    tmpfs_base_bytes
        What was in use on memory file systems before the job began: taken once, or what
        one worker leaves there would be forgiven to the next.
    """

    root_pid: int
    tmpfs_base_bytes: int
    _tree: dict[int, _Process] = field(default_factory=dict)
    _known: set[int] = field(default_factory=set)
    _last_pid: bytes = b""
    _looks_again: bool = False
    _shared_twice_bytes: int = 0
    _ended_hwm_bytes: int = 0
    _loadavg: int = -1
    _mounts: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._loadavg = os.open(_PROC / "loadavg", os.O_RDONLY)
        self._mounts = tmpfs_mounts()
        self._add(self.root_pid)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._loadavg)
        for process in self._tree.values():
            os.close(process.descriptor)
        self._tree.clear()

    @property
    def pids(self) -> list[int]:
        """Live processes of the tree other than its root."""
        return [pid for pid in self._tree if pid != self.root_pid]

    def read(self) -> TreeReading:
        """Return the sum over the tree, corrected by what the last refinement found."""
        self._find_new()
        self._read_all()
        plain = self._plain_bytes()
        alone = len(self._tree) <= 2  # noqa: PLR2004 - root and worker share nothing
        # Even alone, a process may have mapped a file that is counted as growth too.
        is_exact = alone and not self.tmpfs_growth_bytes()
        if is_exact:
            self._shared_twice_bytes = 0
        return TreeReading(
            ram_bytes=max(0, plain - self._shared_twice_bytes),
            most_bytes=plain,
            is_refined=is_exact,
            n_processes=len(self._tree),
        )

    def refine(self) -> TreeReading:
        """Return the sum with every page counted once; slow, see the module's notes."""
        self._find_new()
        self._read_all()
        plain = self._plain_bytes()
        true = self.tmpfs_growth_bytes()
        for pid in self._tree:
            true += _proportional_bytes(pid, self._mounts)
        self._shared_twice_bytes = max(0, plain - true)
        return TreeReading(
            ram_bytes=min(plain, true),
            most_bytes=plain,
            is_refined=True,
            n_processes=len(self._tree),
        )

    def reset_peaks(self) -> None:
        """Start the kernel's high-water marks anew, at the start of a cycle."""
        self._ended_hwm_bytes = 0
        for process in self._tree.values():
            process.hwm_bytes = 0
            reset_peak(process.pid)

    def peak_bytes(self) -> int:
        """Return the kernel's high-water marks, summed over the tree.

        An upper bound: the marks of different processes need not coincide, and they
        include file-backed pages.
        """
        self._read_all()
        return self._ended_hwm_bytes + sum(p.hwm_bytes for p in self._tree.values())

    def root_peak_bytes(self) -> int:
        """Return the kernel's high-water mark of the root alone."""
        self._read_all()
        return self._tree[self.root_pid].hwm_bytes

    def _plain_bytes(self) -> int:
        resident = sum(p.anon_bytes + p.shared_bytes for p in self._tree.values())
        return resident + self.tmpfs_growth_bytes()

    def tmpfs_growth_bytes(self) -> int:
        """Return what was added to memory file systems since the job began."""
        return max(0, tmpfs_used_bytes(self._mounts) - self.tmpfs_base_bytes)

    def _read_all(self) -> None:
        for pid in [p.pid for p in self._tree.values() if not p.read()]:
            gone = self._tree.pop(pid)
            self._ended_hwm_bytes += gone.hwm_bytes
            os.close(gone.descriptor)

    def _find_new(self) -> None:
        """Look for new processes, if any process was started since the last look."""
        last_pid = os.pread(self._loadavg, 128, 0).rpartition(b" ")[2]
        is_new = last_pid != self._last_pid
        if not (is_new or self._looks_again):
            return
        # A process gets its id a moment before it can be seen: look once more.
        self._last_pid, self._looks_again = last_pid, is_new
        present = {int(name) for name in os.listdir(_PROC) if name.isdigit()}  # noqa: PTH208 - half the cost
        strangers = present - self._known - set(self._tree)
        parents = {pid: _parent_of(pid) for pid in strangers}
        found = True
        while found:
            found = False
            for pid, parent in list(parents.items()):
                if parent in self._tree:
                    found = self._add(pid) or found
                    del parents[pid]
        # A stranger's children are looked at anew each time; itself never again, unless
        # its parent went before it could be seen: then it may yet turn out to be ours.
        orphans = {pid for pid, parent in parents.items() if parent not in present}
        self._known = (self._known & present) | (set(parents) - orphans)

    def _add(self, pid: int) -> bool:
        try:
            descriptor = os.open(_PROC / str(pid) / "status", os.O_RDONLY)
        except OSError:
            return False
        self._tree[pid] = _Process(pid=pid, descriptor=descriptor)
        return True


def _parent_of(pid: int) -> int:
    try:
        stat = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return 0
    # The command name may hold spaces and brackets: count from the last bracket.
    return int(stat.rpartition(b")")[2].split()[1])


def _proportional_bytes(pid: int, mounts: list[str]) -> int:
    """Return anonymous and shared PSS, less mapped tmpfs files (counted as growth)."""
    try:
        rollup = (_PROC / str(pid) / "smaps_rollup").read_bytes()
        shared = field_bytes(rollup, b"Pss_Shmem:")
        mapped = _mapped_tmpfs_bytes(pid, mounts) if shared else 0
    except OSError:
        return 0
    return field_bytes(rollup, b"Pss_Anon:") + max(0, shared - mapped)


def _mapped_tmpfs_bytes(pid: int, mounts: list[str]) -> int:
    total = 0
    is_tmpfs = False
    prefixes = tuple(mount.rstrip("/") + "/" for mount in mounts)
    with (_PROC / str(pid) / "smaps").open() as stream:
        for line in stream:
            words = line.split()
            if not words[0].endswith(":"):
                is_tmpfs = words[-1].startswith(prefixes) or "(deleted)" in line
            elif is_tmpfs and words[0] == "Pss:":
                total += int(words[1]) * _KIB
    return total

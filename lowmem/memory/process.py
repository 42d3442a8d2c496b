"""Memory of a tree of processes, as the budget counts it.

Counted is what the kernel cannot reclaim: anonymous and shared resident pages of every
process of the tree, and what was added to memory file systems (tmpfs) since the start.
File-backed pages and the page cache are not counted: they go when memory is needed.

Two traps, and how they are met. Forked processes share pages until one writes, so the
plain sum counts them more than once; and a file on tmpfs that is also mapped would
count as shared and as growth. So a reading is an interval: what is certainly in use,
and the most that may be. Where the two differ, a *refinement* by PSS, which divides a
page among those that map it, closes the gap; what may have been copied since is bounded
by the page faults since, because a copy of a shared page changes no other count.

Costs, measured: one `status` through an open descriptor 30 microseconds; a refinement
14 ms for a process of 2 GB. The list of processes is read anew only when the kernel's
last process id has changed.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from lowmem.memory.pages import PROC, Process, field_bytes, parent_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

# Quick readings for one of a root that does no work: it hardly changes, and would be
# half of what is read where a job is one process.
_ROOT_EVERY = 8


class TreeReading(NamedTuple):
    """One reading of the whole tree, in bytes; made ten times a second and more often.

    Attributes
    ----------
    ram_bytes
        What the budget counts: the best estimate.
    least_bytes
        What is in use at least.
    most_bytes
        What may be in use, if every page that can have been copied since the last
        refinement was.
    n_processes
        Live processes in the tree, its root included.
    """

    ram_bytes: int
    least_bytes: int
    most_bytes: int
    n_processes: int

    @property
    def is_exact(self) -> bool:
        """Whether nothing is left to refine."""
        return self.least_bytes == self.most_bytes


def anonymous_bytes(pid: int | str = "self") -> int:
    """Return the anonymous and shared resident bytes of one process."""
    status = (PROC / str(pid) / "status").read_bytes()
    return field_bytes(status, b"RssAnon:") + field_bytes(status, b"RssShmem:")


def reset_peak(pid: int) -> bool:
    """Reset the kernel's high-water mark of a process; return whether it did."""
    try:
        (PROC / str(pid) / "clear_refs").write_bytes(b"5")
    except OSError:  # The process has gone, or the kernel forbids it.
        return False
    return True


def oom_kills() -> int | None:
    """Return how many processes the kernel has killed for memory since boot."""
    for line in (PROC / "vmstat").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill":
            return int(value)
    return None


def tmpfs_mounts() -> list[str]:
    """Return the mount points of memory file systems."""
    lines = (line.split() for line in (PROC / "mounts").read_text().splitlines())
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


@dataclass(frozen=True, slots=True)
class _Refined:
    """What the last refinement found, and the counts of each process just before it."""

    true_bytes: int
    twice_bytes: int
    growth_bytes: int
    anon_bytes: dict[int, int]
    shared_bytes: dict[int, int]
    faulted_bytes: dict[int, int]


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
    apart
        Descendants that are not the job's: they count, share no pages with it, and are
        not among `pids`.
    is_root_shared
        Whether the root does the work itself, so that its forks share its pages.
    """

    root_pid: int
    tmpfs_base_bytes: int
    apart: frozenset[int] = frozenset()
    is_root_shared: bool = False
    _tree: dict[int, Process] = field(default_factory=dict)
    _members: list[Process] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _last_pid: bytes = b""
    _looks_again: bool = False
    _refined: _Refined | None = None
    _ended_hwm_bytes: int = 0
    _n_quick: int = 0
    _loadavg: int = -1
    _mounts: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._loadavg = os.open(PROC / "loadavg", os.O_RDONLY)
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
            process.close()
        self._tree.clear()
        self._members.clear()

    @property
    def pids(self) -> list[int]:
        """Live processes of the job: the tree without its root."""
        return [process.pid for process in self.members]

    @property
    def members(self) -> list[Process]:
        """The processes of the job, as last read."""
        return list(self._members)

    @property
    def root_data_bytes(self) -> int:
        """Private memory that the root had reserved when last read; 0 once it has gone."""
        root = self._tree.get(self.root_pid)
        return root.data_bytes if root is not None else 0

    def read(self) -> TreeReading:
        """Return what is in use, and between which bounds it lies for certain."""
        self._find_new()
        self._read_all(but_root=bool(self._n_quick) and not self.is_root_shared)
        self._n_quick = (self._n_quick + 1) % _ROOT_EVERY
        growth = self.tmpfs_growth_bytes()
        job = self.members
        if self.is_root_shared and self.root_pid in self._tree:
            job.append(self._tree[self.root_pid])
        shared = sum(p.shared_bytes for p in self._tree.values())
        anon = sum(p.anon_bytes for p in self._tree.values())
        most = anon + shared + growth
        if len(job) <= 1 and not (growth and shared):
            self._refined = None
            return self._reading(most, most, most)
        largest = max((p.anon_bytes for p in job), default=0)
        least = anon - sum(p.anon_bytes for p in job) + largest
        least += max(growth, *(p.shared_bytes for p in self._tree.values()))
        twice = 0
        if self._refined is not None:
            twice = self._refined.twice_bytes
            most = min(most, self._drifted(self._refined, growth))
        return self._reading(min(max(most - twice, least), most), least, most)

    def refine(self) -> TreeReading:
        """Return the sum with every page counted once; slow, see the module's notes."""
        self._find_new()
        self._read_all()
        growth = self.tmpfs_growth_bytes()
        processes = list(self._tree.values())
        plain = growth + sum(p.anon_bytes + p.shared_bytes for p in processes)
        # Counted before the shares are: what happens in between counts twice, not never.
        faulted = {p.pid: p.faulted_bytes() for p in processes}
        true = growth + sum(p.proportional_bytes(self._mounts) for p in processes)
        true = min(plain, true)
        self._refined = _Refined(
            true_bytes=true,
            twice_bytes=plain - true,
            growth_bytes=growth,
            anon_bytes={p.pid: p.anon_bytes for p in processes},
            shared_bytes={p.pid: p.shared_bytes for p in processes},
            faulted_bytes=faulted,
        )
        return self._reading(true, true, true)

    @contextlib.contextmanager
    def held(self, but: int | None = None) -> Iterator[None]:
        """Stop the job's processes for the length of a block: then nothing can grow.

        Parameters
        ----------
        but
            The process that may go on, even where it was held already.
        """
        job = self.members
        try:
            for process in job:
                if process.pid == but:
                    process.release()
                else:
                    process.hold()
            yield
        finally:
            for process in job:
                process.release()

    def _drifted(self, then: _Refined, growth_bytes: int) -> int:
        """Return the most that may be in use after a refinement, from counts alone.

        A page came in as anonymous, as shared, or as a copy of a shared one: the first
        two are counted by residence, the third is a minor fault.
        """
        most = then.true_bytes + max(0, growth_bytes - then.growth_bytes)
        for p in self._tree.values():
            most += max(0, p.anon_bytes - then.anon_bytes.get(p.pid, 0))
            most += max(0, p.shared_bytes - then.shared_bytes.get(p.pid, 0))
            if p.pid in then.faulted_bytes:
                most += max(0, p.faulted_bytes() - then.faulted_bytes[p.pid])
        return most

    def _reading(self, ram: int, least: int, most: int) -> TreeReading:
        return TreeReading(
            ram_bytes=ram,
            least_bytes=least,
            most_bytes=most,
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

    def tmpfs_growth_bytes(self) -> int:
        """Return what was added to memory file systems since the job began."""
        return max(0, tmpfs_used_bytes(self._mounts) - self.tmpfs_base_bytes)

    def _read_all(self, *, but_root: bool = False) -> None:
        apart = self.root_pid if but_root else None
        gone_pids = [
            p.pid for p in self._tree.values() if p.pid != apart and not p.read()
        ]
        for pid in gone_pids:
            gone = self._tree.pop(pid)
            self._members = [p for p in self._members if p is not gone]
            self._ended_hwm_bytes += gone.hwm_bytes
            gone.close()

    def _find_new(self) -> None:
        """Look for new processes, if any process was started since the last look."""
        last_pid = os.pread(self._loadavg, 128, 0).rpartition(b" ")[2]
        is_new = last_pid != self._last_pid
        if not (is_new or self._looks_again):
            return
        # A process gets its id a moment before it can be seen: look once more.
        self._last_pid, self._looks_again = last_pid, is_new
        # By name, since to turn them all into numbers would cost more than the list.
        present = set(os.listdir(PROC))  # noqa: PTH208 - half the cost
        parents = {
            int(name): parent_of(int(name))
            for name in present - self._seen
            if name.isdigit()
        }
        found = True
        while found:
            found = False
            for pid, parent in list(parents.items()):
                if parent in self._tree:
                    found = self._add(pid, parent) or found
                    del parents[pid]
        # A stranger's children are looked at anew each time; itself never again, unless
        # its parent went before it could be seen: then it may yet turn out to be ours.
        orphans = {
            str(pid) for pid, ppid in parents.items() if str(ppid) not in present
        }
        self._seen = present - orphans

    def _add(self, pid: int, parent: int | None = None) -> bool:
        process = Process.find(pid, parent)
        if process is None:
            return False
        self._tree[pid] = process
        if pid != self.root_pid and pid not in self.apart:
            self._members.append(process)
        return True

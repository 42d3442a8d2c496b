"""Memory of a tree of processes, as the budget counts it.

Counted is what the kernel cannot reclaim: anonymous and shared resident pages of every
process of the tree, shared memory that nobody maps, see `shared`, and what the kernel
holds for each process, see `pages`. File-backed pages and the page cache are not counted: they go when memory is needed.

Two traps, and how they are met. Forked processes share pages until one writes, so the
plain sum counts them more than once; and shared memory that is mapped is among what the
machine has more than at the start. So a reading is an interval: what is certainly in
use, and the most that may be. Where the two differ, a *refinement* by PSS, which divides
a page among those that map it, closes the gap; what may have been copied since is
bounded by the page faults since, because a copy of a shared page changes no other count.

Costs, measured: one `status` through an open descriptor 10 to 30 microseconds; a
refinement 14 ms for a process of 2 GB. What is started is found by its id, see
`newcomers`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Self

from lowmem.memory.newcomers import Newcomers
from lowmem.memory.pages import Process
from lowmem.memory.proc import PROC, field_bytes, has_stopped
from lowmem.memory.shared import Bounds, SharedMemory

if TYPE_CHECKING:
    from collections.abc import Iterator

# Quick readings for one of a root that does no work: it hardly changes, and would be
# half of what is read where a job is one process.
_ROOT_EVERY = 8
# Descriptors that are kept, of the 1,024 that a process has mostly.
_MOST_KEPT_OPEN = 256


class TreeReading(NamedTuple):
    """One reading of the whole tree, in bytes; made eight times a second and more often.

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
    unmapped_bytes
        Of it, shared memory that certainly no process of the tree maps: it may be
        another program's.
    """

    ram_bytes: int
    least_bytes: int
    most_bytes: int
    n_processes: int
    unmapped_bytes: int = 0

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refined:
    """What the last refinement found, and the counts of each process just before it."""

    anon_true_bytes: int
    shared_true_bytes: int
    twice_bytes: int
    growth_bytes: int
    anon_bytes: dict[int, int]
    shared_bytes: dict[int, int]
    faulted_bytes: dict[int, int]


@dataclass(slots=True)
class TreeSampler:
    """Reads the memory of ``root_pid`` and all its descendants; owns descriptors.

    A descendant whose parents have ended is still found if the root is a *subreaper*
    (see `become_subreaper`): the kernel then makes it the root's own child.

    Attributes
    ----------
    shared
        The account of shared memory since before the job began.
    apart
        Descendants that are not the job's: they count, share no pages with it, and are
        not among `pids`.
    is_root_shared
        Whether the root does the work itself, so that its forks share its pages.
    """

    root_pid: int
    shared: SharedMemory = field(default_factory=SharedMemory)
    apart: frozenset[int] = frozenset()
    is_root_shared: bool = False
    _tree: dict[int, Process] = field(default_factory=dict)
    _members: list[Process] = field(default_factory=list)
    _newcomers: Newcomers = field(default_factory=Newcomers)
    _refined: _Refined | None = None
    _ended_hwm_bytes: int = 0
    _n_quick: int = 0
    _unmapped_bytes: int = 0

    def __enter__(self) -> Self:
        self._newcomers.__enter__()
        self._add(self.root_pid)
        return self

    def __exit__(self, *_: object) -> None:
        self._newcomers.__exit__()
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

    @property
    def unmapped_bytes(self) -> int:
        """Shared memory that certainly no process of the tree mapped when last read."""
        return self._unmapped_bytes

    def root_shared_bytes(self) -> int:
        """Return the shared memory that the root maps now."""
        self._read_all()
        return self._tree[self.root_pid].shared_bytes

    def find_pids(self) -> list[int]:
        """Return the live processes of the job now."""
        self._find_new()
        self._read_all()
        return self.pids

    def read(self) -> TreeReading:
        """Return what is in use, and between which bounds it lies for certain."""
        self._find_new()
        self._read_all(but_root=bool(self._n_quick) and not self.is_root_shared)
        self._n_quick = (self._n_quick + 1) % _ROOT_EVERY
        shared, mapped = self._shared()
        job = self.members
        if self.is_root_shared and self.root_pid in self._tree:
            job.append(self._tree[self.root_pid])
        least = most = sum(p.anon_bytes + p.kernel_bytes for p in self._tree.values())
        if len(job) > 1:
            largest = max(p.anon_bytes for p in job)
            least += largest - sum(p.anon_bytes for p in job)
        least += shared.least_bytes
        most += shared.most_bytes
        if least == most:
            self._refined = None
            return self._reading(most, most, most)
        twice = 0
        if self._refined is not None:
            twice = self._refined.twice_bytes
            most = min(most, max(least, self._drifted(self._refined, mapped)))
        return self._reading(min(max(most - twice, least), most), least, most)

    def refine(self) -> TreeReading:
        """Return the sum with every page counted once; slow, see the module's notes."""
        self._find_new()
        self._read_all()
        shared, mapped = self._shared()
        processes = list(self._tree.values())
        anon = sum(p.anon_bytes for p in processes)
        # Counted before the shares are: what happens in between counts twice, not never.
        faulted = {p.pid: p.faulted_bytes() for p in processes}
        shares = [p.shares() for p in processes]
        anon_true = min(anon, sum(share.anon_bytes for share in shares))
        once = min(mapped.most_bytes, sum(share.shared_bytes for share in shares))
        shared_true = max(shared.least_bytes, once)
        self._refined = _Refined(
            anon_true_bytes=anon_true,
            shared_true_bytes=shared_true,
            twice_bytes=max(0, anon + shared.most_bytes - anon_true - shared_true),
            growth_bytes=self.shared.growth_bytes,
            anon_bytes={p.pid: p.anon_bytes for p in processes},
            shared_bytes={p.pid: p.shared_bytes for p in processes},
            faulted_bytes=faulted,
        )
        true = anon_true + shared_true + sum(p.kernel_bytes for p in processes)
        return self._reading(true, true, true)

    def _shared(self) -> tuple[Bounds, Bounds]:
        """Return the shared memory in use, and what of it is mapped."""
        sizes = [p.shared_bytes for p in self._tree.values()]
        mapped = Bounds(max(sizes, default=0), sum(sizes))
        self.shared.read()
        shared = self.shared.bounds(mapped)
        self._unmapped_bytes = max(0, shared.least_bytes - mapped.most_bytes)
        return shared, mapped

    @contextlib.contextmanager
    def held(self, but: int | None = None) -> Iterator[None]:
        """Stop the job's processes for the length of a block: then nothing can grow.

        Parameters
        ----------
        but
            The process that may go on, even where it was held already.
        """
        held: list[Process] = []
        try:
            # What was started while the others were being stopped is stopped too.
            while fresh := [p for p in self._members if p not in held]:
                for process in fresh:
                    if process.pid == but:
                        process.release()
                    else:
                        process.hold()
                held += fresh
                self._find_new()
            yield
        finally:
            for process in held:
                process.release()

    def is_still(self) -> bool:
        """Return whether every process of the job, newcomers too, is stopped."""
        self._find_new()
        return all(has_stopped(process.pid) for process in self._members)

    def _drifted(self, then: _Refined, mapped: Bounds) -> int:
        """Return the most that may be in use after a refinement, from counts alone.

        A page came in as anonymous, as shared, or as a copy of a shared one: the first
        two are counted by residence, the third is a minor fault.
        """
        anon = then.anon_true_bytes
        growth = self.shared.growth_bytes
        shared = then.shared_true_bytes + max(0, growth - then.growth_bytes)
        for p in self._tree.values():
            anon += p.kernel_bytes + max(
                0, p.anon_bytes - then.anon_bytes.get(p.pid, 0)
            )
            shared += max(0, p.shared_bytes - then.shared_bytes.get(p.pid, 0))
            if p.pid in then.faulted_bytes:
                anon += max(0, p.faulted_bytes() - then.faulted_bytes[p.pid])
        return anon + min(shared, self.shared.bounds(mapped).most_bytes)

    def _reading(self, ram: int, least: int, most: int) -> TreeReading:
        return TreeReading(
            ram_bytes=ram,
            least_bytes=least,
            most_bytes=most,
            n_processes=len(self._tree),
            unmapped_bytes=self._unmapped_bytes,
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
            # Its id may be another's already, who came after the last look.
            self._newcomers.forget(pid)

    def _find_new(self) -> None:
        """Take in what was started since the last look, and descends from the tree."""
        parents = self._newcomers.look(self._tree)
        if parents is not None:
            self._add_descendants(parents)
            self._newcomers.settle(parents)

    def _add_descendants(self, parents: dict[int, int | None]) -> None:
        """Take what descends from the tree out of ``parents``, and into it."""
        found = True
        while found:
            found = False
            for pid, parent in list(parents.items()):
                if parent in self._tree:
                    found = self._add(pid, parent) or found
                    del parents[pid]

    def _add(self, pid: int, parent: int | None = None) -> bool:
        is_kept_open = len(self._tree) < _MOST_KEPT_OPEN
        process = Process.find(pid, parent, is_kept_open=is_kept_open)
        if process is None:
            return False
        if not process.read():
            # It has ended, and its parent has not asked how: for as long as that takes
            # nobody else gets its id. To look at hundreds of them anew in each reading
            # would take longer than a job needs to pass its budget.
            process.close()
            self._newcomers.know(pid)
            return False
        self._tree[pid] = process
        self._newcomers.know(pid)
        if pid != self.root_pid and pid not in self.apart:
            self._members.append(process)
        return True

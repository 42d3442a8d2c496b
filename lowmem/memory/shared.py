"""Shared memory: what the tree maps, and what the machine has more of since the start.

The kernel keeps one count of all shared pages of the machine (``Shmem`` in
/proc/meminfo), whoever maps them or nobody: files in any tmpfs, in whatever mount
namespace, memfd, System V segments, mappings without a name. Added to it is what the
machine holds as huge pages, see `hugepages`. The growth of both since the start
is what the job has added, and what other programs have, which none can tell apart. Beside
it stands what the tree maps, which may be older than the start. A page can be in both, so
what counts is the larger:

    used = max(G, M),   G the growth, M the pages that the tree maps, each once

No job can add more than it is counted for, since what it adds is in G. Three things
follow that a user may meet. What other programs add counts against the job, mapped or
not: they may add what the budget leaves, and no more. What they give back hides as much
that nobody maps, until the machine's count has fallen below the start: from then on
growth is counted from there. And shared memory older than the start that the job maps is
counted by M alone, so as much that is new and mapped by nobody adds nothing to it.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from lowmem.base.units import format_bytes
from lowmem.memory.hugepages import HugePages

if TYPE_CHECKING:
    from collections.abc import Callable


# Calls for one that looks for huge pages where there were none. They are taken all at
# once, however closely one looks.
_HUGE_EVERY = 8
# Other programs add a little to the machine's shared memory all the time.
WORTH_TELLING_BYTES = 4 * 2**20


class Bounds(NamedTuple):
    """Between what a number of bytes lies."""

    least_bytes: int
    most_bytes: int


def shared_bounds(growth_bytes: int, total_bytes: int, mapped: Bounds) -> Bounds:
    """Return between what the shared memory in use lies.

    Parameters
    ----------
    growth_bytes, total_bytes
        What the machine has more than at the start, and in all.
    mapped
        What the tree maps: the largest of its processes at least, their sum at most.

    Examples
    --------
    >>> shared_bounds(growth_bytes=30, total_bytes=50, mapped=Bounds(20, 40))
    Bounds(least_bytes=30, most_bytes=50)
    """
    least = max(growth_bytes, mapped.least_bytes)
    return Bounds(least, max(least, min(growth_bytes + mapped.most_bytes, total_bytes)))


def told_of_unmapped(n_bytes: int) -> str:
    """Return what is said of memory in use that the job does not map; empty of little.

    Parameters
    ----------
    n_bytes
        See `TreeReading.unmapped_bytes`.

    Examples
    --------
    >>> told_of_unmapped(64 * 2**20), told_of_unmapped(2**20)
    (', 64.0 MiB of it new shared memory or files in memory', '')
    """
    if n_bytes < WORTH_TELLING_BYTES:
        return ""
    return f", {format_bytes(n_bytes)} of it new shared memory or files in memory"


class _SysInfo(ctypes.Structure):
    """See sysinfo(2): what /proc/meminfo is made from, at a tenth of its cost."""

    _fields_ = (
        ("uptime", ctypes.c_long),
        ("loads", ctypes.c_ulong * 3),
        ("totalram", ctypes.c_ulong),
        ("freeram", ctypes.c_ulong),
        ("sharedram", ctypes.c_ulong),
        ("bufferram", ctypes.c_ulong),
        ("totalswap", ctypes.c_ulong),
        ("freeswap", ctypes.c_ulong),
        ("procs", ctypes.c_ushort),
        ("pad", ctypes.c_ushort),
        ("totalhigh", ctypes.c_ulong),
        ("freehigh", ctypes.c_ulong),
        ("mem_unit", ctypes.c_uint),
        ("rest", ctypes.c_char * 64),
    )


_sysinfo = ctypes.CDLL(None).sysinfo


class MachineShared:
    """Tells the shared memory of the whole machine, its huge pages included.

    Cost: a microsecond, and where huge pages are in use, else every eighth time, what
    `HugePages` takes.
    """

    def __init__(self) -> None:
        self._pools = HugePages()
        self._huge_bytes = self._n_calls = 0
        # Once: to make them takes as long as the call.
        self._info = _SysInfo()
        self._place = ctypes.byref(self._info)

    def __call__(self) -> int:
        """Return it in bytes."""
        # What there is may be given back at any moment, and must not count against a
        # worker that comes after.
        if self._huge_bytes or self._n_calls % _HUGE_EVERY == 0:
            self._huge_bytes = self._pools.n_bytes()
        self._n_calls += 1
        info = self._info
        _sysinfo(self._place)
        return int(info.sharedram * info.mem_unit) + self._huge_bytes


@dataclass(slots=True)
class SharedMemory:
    """Keeps the machine's count of one run from its start: one for all of its workers.

    Were it begun anew with each worker, what one has left behind would be forgiven to
    the next.

    Attributes
    ----------
    base_bytes
        The machine's count at the start, or the least since.
    total_bytes
        The newest.
    """

    read_total: Callable[[], int] = field(default_factory=MachineShared)
    base_bytes: int = field(init=False)
    total_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.base_bytes = self.total_bytes = self.read_total()

    @property
    def growth_bytes(self) -> int:
        """What the machine has more than at the start."""
        return self.total_bytes - self.base_bytes

    def own(self, n_bytes: int) -> None:
        """Take as the tree's what it had mapped at the start already."""
        self.base_bytes -= n_bytes

    def read(self) -> None:
        """Read the count."""
        self.total_bytes = self.read_total()
        self.base_bytes = min(self.base_bytes, self.total_bytes)

    def bounds(self, mapped: Bounds) -> Bounds:
        """Return between what the shared memory in use lies, as last read."""
        return shared_bounds(self.growth_bytes, self.total_bytes, mapped)

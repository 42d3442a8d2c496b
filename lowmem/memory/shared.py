"""Shared memory: what the tree maps, and what the machine has more of since the start.

The kernel keeps one count of all shared pages of the machine (``Shmem`` in
/proc/meminfo), whoever maps them or nobody: files in any tmpfs, in whatever mount
namespace, memfd, System V segments, mappings without a name. Its growth since the start
is what the job has added, and what other programs have, which none can tell apart; what
they give back meanwhile hides as much. Beside it stands what the tree maps, which may be
older than the start. A page can be in both, so neither their sum nor the larger of them
is the truth:

    U = G + H,   max(G, M) <= U <= min(G + S, total)

with U the pages that the job has in use, G the growth, H the pages that it maps and that
are not among the growth, M what it maps for certain, S the sum over its processes. H is
seen where M exceeds G: so much is older than the start, or was made up for by what others
gave back. It is remembered for as long as so much is mapped, since later growth does not
make it new.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Bounds(NamedTuple):
    """Between what the shared memory in use lies, in bytes."""

    least_bytes: int
    most_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedAccount:
    """What is known of shared memory after some readings: pure.

    Attributes
    ----------
    base_bytes
        The machine's at the start, or the least since.
    total_bytes
        The machine's when it was read last.
    hidden_bytes
        What the tree maps of pages that are not among the growth, at least.
    """

    base_bytes: int
    total_bytes: int
    hidden_bytes: int = 0

    @property
    def growth_bytes(self) -> int:
        """What the machine has more than at the start."""
        return self.total_bytes - self.base_bytes

    def after(
        self, total_bytes: int, mapped: Bounds, *, highest_bytes: int | None = None
    ) -> SharedAccount:
        """Return the account after one more reading.

        Parameters
        ----------
        total_bytes
            The machine's shared memory.
        mapped
            What the tree maps.
        highest_bytes
            The machine's at any moment around the reading of the tree, which takes a
            while: what was freed meanwhile is not hidden.
        """
        base_bytes = min(self.base_bytes, total_bytes)
        highest_bytes = max(total_bytes, highest_bytes or 0)
        seen_bytes = mapped.least_bytes - (highest_bytes - base_bytes)
        kept_bytes = min(self.hidden_bytes, mapped.most_bytes)
        return SharedAccount(
            base_bytes=base_bytes,
            total_bytes=total_bytes,
            hidden_bytes=max(0, kept_bytes, seen_bytes),
        )

    def bounds(self, mapped: Bounds) -> Bounds:
        """Return between what the shared memory in use lies."""
        least = max(self.growth_bytes + self.hidden_bytes, mapped.least_bytes)
        most = min(self.growth_bytes + mapped.most_bytes, self.total_bytes)
        return Bounds(least, max(least, most))


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


def machine_shared_bytes() -> int:
    """Return the shared memory of the whole machine. Cost: a microsecond."""
    info = _SysInfo()
    _sysinfo(ctypes.byref(info))
    return int(info.sharedram * info.mem_unit)


@dataclass(slots=True)
class SharedMemory:
    """Keeps the account of one run from its start: one for all of its workers.

    Were it begun anew with each worker, what one has left behind would be forgiven to
    the next.
    """

    read_total: Callable[[], int] = machine_shared_bytes
    account: SharedAccount = field(init=False)

    def __post_init__(self) -> None:
        total_bytes = self.read_total()
        self.account = SharedAccount(base_bytes=total_bytes, total_bytes=total_bytes)

    def count(self, mapped: Bounds, before_bytes: int) -> Bounds:
        """Return between what the shared memory in use lies.

        Parameters
        ----------
        mapped
            What the tree maps.
        before_bytes
            The machine's shared memory just before that was read.
        """
        self.account = self.account.after(
            self.read_total(), mapped, highest_bytes=before_bytes
        )
        return self.account.bounds(mapped)

"""What the machine has and can give: RAM, cgroup limits, disk, processes.

Numbers of the machine and of the control groups around this process. A notebook's
kernel lives beside the job, so what the machine can give is not what it has.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lowmem.memory.proc import field_bytes

# Bytes left to the rest of the machine, where the budget is chosen by default.
RESERVE_BYTES = 512 * 2**20
# Of what the machine has: a job is stopped when less than this is available.
LEAST_AVAILABLE_SHARE = 0.03
LEAST_AVAILABLE_BYTES = 128 * 2**20
# seconds; a look costs half a millisecond.
_SHORTEST_LOOK_S = 0.05
_LONGEST_LOOK_S = 2.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# One list a processor and zone.
_WAITING = re.compile(rb"^ +count: +(\d+)$", re.MULTILINE)
# cgroup v1 writes a huge number, page-aligned, for "no limit".
_NO_LIMIT = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One look at the machine.

    Attributes
    ----------
    total_bytes
        RAM, or the smallest limit of a control group around this process.
    available_bytes
        What can be allocated without swapping, within the same limits. Pages that wait
        in the kernel's lists of each processor are among it, see `waiting_bytes`.
    """

    total_bytes: int
    available_bytes: int

    @property
    def is_exhausted(self) -> bool:
        """Whether so little is left that the job must make room."""
        return self.available_bytes < self.least_bytes

    @property
    def least_bytes(self) -> float:
        """What must be left."""
        least = max(LEAST_AVAILABLE_BYTES, LEAST_AVAILABLE_SHARE * self.total_bytes)
        return min(least, self.total_bytes / 4)

    def next_look_s(self, fill_rate: float) -> float:
        """Return when to look again: before all that is left could be filled.

        Parameters
        ----------
        fill_rate
            Bytes a second that nothing can fill faster than.
        """
        headroom_s = (self.available_bytes - self.least_bytes) / fill_rate
        return min(max(headroom_s, _SHORTEST_LOOK_S), _LONGEST_LOOK_S)


def read_machine() -> Machine:
    """Return what the machine has and what is free now."""
    total, available = memory_of(Path("/proc/meminfo").read_bytes())
    available = min(total, available + waiting_bytes())
    for limit, used in cgroup_limits():
        total = min(total, limit)
        available = min(available, max(0, limit - used))
    return Machine(total_bytes=total, available_bytes=available)


def memory_of(meminfo: bytes) -> tuple[int, int]:
    r"""Return what a machine has, and what can be allocated without swapping.

    Parameters
    ----------
    meminfo
        Text of /proc/meminfo. Linux before 3.14, and some containers, do not estimate
        what is available: there it is what is free, and the page cache.

    Examples
    --------
    >>> memory_of(b"MemTotal: 8 kB\nMemFree: 1 kB\nMemAvailable: 5 kB\nCached: 6 kB\n")
    (8192, 5120)
    >>> memory_of(b"MemTotal: 8 kB\nMemFree: 1 kB\nCached: 6 kB\n")
    (8192, 7168)
    """
    # A field is looked for at the beginning of a line.
    text = b"\n" + meminfo
    if b"\nMemAvailable:" in text:
        available = field_bytes(text, b"MemAvailable:")
    else:
        available = field_bytes(text, b"MemFree:") + field_bytes(text, b"Cached:")
    return field_bytes(text, b"MemTotal:"), available


def waiting_bytes(proc: Path = Path("/proc")) -> int:
    """Return the free pages that wait in the kernel's lists of each processor.

    ``MemAvailable`` leaves them out: 0.9 to 1.3 GB of 24 for half a minute after a process
    had freed memory, measured on Linux 6.18. They are given to the next that asks, or
    back to all when memory is short, so no job is to be stopped, nor a plan refused, for
    them. Cost: 40 microseconds.
    """
    try:
        text = (proc / "zoneinfo").read_bytes()
    except OSError:  # A container may hide it.
        return 0
    return _PAGE_BYTES * sum(map(int, _WAITING.findall(text)))


def cgroup_limits(
    proc: Path = Path("/proc"), mount: Path = Path("/sys/fs/cgroup")
) -> list[tuple[int, int]]:
    """Return (limit, unreclaimable use) in bytes of each control group around us.

    Both versions, and a mixture of them, as well as none; page cache is subtracted from
    the use, since it goes before anything is killed.

    Parameters
    ----------
    proc, mount
        Where the kernel's files are; tests give captured ones.
    """
    found = []
    for group, names in _limiting_groups(_membership(proc), mount):
        limit = _number(f"{group}/{names.limit}")
        usage = _number(f"{group}/{names.usage}")
        if limit is not None and usage is not None and limit < _NO_LIMIT:
            statistics = _statistics(group)
            cache = sum(statistics.get(name, 0) for name in names.cache)
            found.append((limit, max(0, usage - cache)))
    return found


@dataclass(frozen=True, slots=True)
class _GroupFiles:
    """Names of a group's files: limit, use, and the page cache in it.

    Pages of files that were read twice are active, and go as well.
    """

    limit: str
    usage: str
    cache: tuple[str, str]


_V1 = _GroupFiles(
    limit="memory.limit_in_bytes",
    usage="memory.usage_in_bytes",
    cache=("total_inactive_file", "total_active_file"),
)
_V2 = _GroupFiles(
    limit="memory.max",
    usage="memory.current",
    cache=("inactive_file", "active_file"),
)


def _hierarchies(mount: Path) -> list[tuple[Path, _GroupFiles]]:
    """Return where each version is mounted; beside version 1, version 2 has a folder."""
    is_alone = (mount / "cgroup.controllers").exists()
    return [(mount / "memory", _V1), (mount if is_alone else mount / "unified", _V2)]


def _membership(proc: Path) -> str:
    try:
        return (proc / "self" / "cgroup").read_text()
    except OSError:
        return ""


def _groups_of(membership: str, mount: Path) -> list[tuple[Path, _GroupFiles]]:
    (root1, _), (root2, _) = _hierarchies(mount)
    found = []
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found.append((root2 / path.strip("/"), _V2))
        elif "memory" in controllers.split(","):
            found.append((root1 / path.strip("/"), _V1))
    return found


@lru_cache(maxsize=4)
def _limiting_groups(membership: str, mount: Path) -> list[tuple[str, _GroupFiles]]:
    """Return the folders of all groups around a process, innermost first.

    Remembered: they are read all the time, and only change with the membership.
    """
    roots = {names: root for root, names in _hierarchies(mount)}
    found = []
    for innermost, names in _groups_of(membership, mount):
        upwards = (innermost, *innermost.parents)
        found += [(str(g), names) for g in upwards if g.is_relative_to(roots[names])]
    return found


def _number(path: str) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _statistics(group: str) -> dict[str, int]:
    lines = (line.split() for line in _text(f"{group}/memory.stat").splitlines())
    return {name: int(value) for name, value in lines}


def _text(path: str) -> str:
    try:
        with open(path) as stream:  # noqa: PTH123 - read all the time: half the cost
            return stream.read()
    except OSError:
        return ""


def default_ram_budget_bytes(machine: Machine) -> int:
    """Return the budget where the user gives none: 12.7 GB, or what is free.

    Examples
    --------
    >>> default_ram_budget_bytes(Machine(total_bytes=2**36, available_bytes=2**35))
    12700000000
    """
    free = machine.available_bytes - RESERVE_BYTES
    return min(12_700_000_000, max(free, machine.available_bytes // 2))


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """Which process, beyond the reuse of its id and a restart of the machine."""

    pid: int
    started_ticks: int
    boot_id: str


def identity_of(pid: int) -> ProcessIdentity | None:
    """Return the identity of a live process, else None."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    fields = stat.rpartition(b")")[2].split()
    if fields[0] in (b"Z", b"X"):
        return None
    return ProcessIdentity(pid, int(fields[19]), boot_id)


def cpu_count() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def disk_free_bytes(path: Path) -> int:
    """Return what can be written where ``path`` is, or its nearest existing parent."""
    while not path.exists():
        path = path.parent
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize

"""What the machine has and can give: RAM, cgroup limits, disk, processes.

Numbers of the machine and of the control groups around this process. A notebook's
kernel lives beside the job, so what the machine can give is not what it has.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

# Bytes left to the rest of the machine, where the budget is chosen by default.
RESERVE_BYTES = 512 * 2**20
# Of what the machine has: a job is stopped when less than this is available.
LEAST_AVAILABLE_SHARE = 0.03
LEAST_AVAILABLE_BYTES = 128 * 2**20
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
        What can be allocated without swapping, within the same limits.
    """

    total_bytes: int
    available_bytes: int

    @property
    def is_exhausted(self) -> bool:
        """Whether so little is left that the job must make room."""
        least = max(LEAST_AVAILABLE_BYTES, LEAST_AVAILABLE_SHARE * self.total_bytes)
        return self.available_bytes < min(least, self.total_bytes / 4)


def read_machine() -> Machine:
    """Return what the machine has and what is free now."""
    memory = psutil.virtual_memory()
    total, available = memory.total, memory.available
    for limit, used in cgroup_limits():
        total = min(total, limit)
        available = min(available, max(0, limit - used))
    return Machine(total_bytes=total, available_bytes=available)


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
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, names = mount, _V2
            if not (root / "cgroup.controllers").exists():
                root = mount / "unified"
        elif "memory" in controllers.split(","):
            root, names = mount / "memory", _V1
        else:
            continue
        found += _limits_upwards(root, path, names)
    return found


# Limit, use, and the page cache in it: pages read twice are active, and go as well.
_V1 = (
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    "total_inactive_file",
    "total_active_file",
)
_V2 = ("memory.max", "memory.current", "inactive_file", "active_file")


def _limits_upwards(
    root: Path, path: str, names: tuple[str, ...]
) -> list[tuple[int, int]]:
    limit_name, usage_name, *cache_names = names
    found = []
    group = root / path.strip("/")
    while group.is_relative_to(root):
        limit = _number(group / limit_name)
        usage = _number(group / usage_name)
        if limit is not None and usage is not None and limit < _NO_LIMIT:
            cache = sum(_statistic(group, name) for name in cache_names)
            found.append((limit, max(0, usage - cache)))
        group = group.parent
    return found


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _statistic(group: Path, name: str) -> int:
    try:
        lines = (group / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    values = dict(line.split() for line in lines)
    return int(values.get(name, 0))


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
    return int(psutil.disk_usage(str(path)).free)

"""A control group around a run, for the kernel's own high-water mark of all of it."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def control_group() -> Iterator[Path | None]:
    """Make a control group for memory; None where that cannot be done."""
    group = None
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        root = Path("/sys/fs/cgroup") / ("memory" if controllers else "")
        if controllers == "memory" or not controllers:
            candidate = root / path.strip("/") / f"lowmem-bench-{os.getpid()}"
            with contextlib.suppress(OSError):
                candidate.mkdir()
                if mark_of(candidate) is None:
                    candidate.rmdir()
                else:
                    group = candidate
                    break
    try:
        yield group
    finally:
        if group is not None:
            remove_group(group)


def remove_group(group: Path) -> None:
    """Remove a group once all that was in it has ended."""
    for _ in range(50):
        with contextlib.suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.1)


def mark_of(group: Path) -> Path | None:
    """Return the file of the group's high-water mark that can be reset."""
    path = group / "memory.max_usage_in_bytes"
    return path if path.exists() else None


def used_of(group: Path) -> Path:
    """Return the file of what a group uses, page cache and kernel memory included."""
    return group / "memory.usage_in_bytes"


def held_bytes(group: Path) -> int:
    """Return the anonymous and shared pages of a group, as they are now."""
    lines = (group / "memory.stat").read_text().splitlines()
    fields = dict(line.split() for line in lines)
    return int(fields["total_rss"]) + int(fields["total_shmem"])


def pids_of(group: Path | None) -> list[int]:
    """Return the processes of a group and of those in it."""
    if group is None:
        return []
    return [
        int(line)
        for path in group.rglob("cgroup.procs")
        for line in path.read_text().split()
    ]


@contextlib.contextmanager
def limited_group(group: Path, n_bytes: int) -> Iterator[Path]:
    """Make a group within a group, with a limit of the kernel's."""
    within = group / "limited"
    within.mkdir()
    (within / "memory.limit_in_bytes").write_text(str(n_bytes))
    try:
        yield within
    finally:
        remove_group(within)


def n_killed(group: Path) -> int:
    """Return how many processes the kernel has killed for the limit of a group."""
    fields = (group / "memory.oom_control").read_text().split()
    return int(fields[fields.index("oom_kill") + 1])

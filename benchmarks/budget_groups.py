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

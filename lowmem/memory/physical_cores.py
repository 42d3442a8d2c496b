"""How many physical cores the machine has: two of its processors may share one."""

from __future__ import annotations

import psutil


def physical_core_count() -> int | None:
    """Return the physical cores of the whole machine; None where nothing tells.

    What this process may use of it is `lowmem.memory.machine.cpu_count`.
    """
    found: int | None = psutil.cpu_count(logical=False)
    return found

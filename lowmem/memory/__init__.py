"""What memory is used, what there is, and what to do about it.

`process_tree` and `machine` are the only readers of /proc, `gpu` of NVML; `programs`
and `physical_cores` ask psutil, for `lowmem doctor` alone. `budget` decides, purely.

Public, for authors of jobs: what the machine has, and a heap that is given back before
other processes are started. The names load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.lazy import names_of

if TYPE_CHECKING:
    from lowmem.memory.cleanup import clean_up
    from lowmem.memory.machine import read_machine

__all__ = [
    "clean_up",
    "read_machine",
]

__getattr__, __dir__ = names_of(
    __name__,
    {
        "lowmem.memory.cleanup": ["clean_up"],
        "lowmem.memory.machine": ["read_machine"],
    },
)

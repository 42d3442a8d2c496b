"""What processes that were killed have left behind; removed before a run begins.

Only for a workspace whose lock is held: nobody else works in it then. What commits and
publishing leave is removed or finished by themselves, where the next one begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.files import remove
from lowmem.supervisor.trials import sweep_trials

if TYPE_CHECKING:
    from lowmem.base.workspace import Workspace

# Copies for the mirror, files from it, and results in the making for a repair.
_SCRATCH = ("mirroring", "restoring", "remaking")
_REBUILD = "rebuild"


def remove_fragments(space: Workspace) -> None:
    """Remove scratch folders; nothing that anything goes on from."""
    for name in _SCRATCH:
        remove(space.private / name)
    for job in space.job_names():
        remove(space.job(job) / _REBUILD)
    sweep_trials(space.job(""))

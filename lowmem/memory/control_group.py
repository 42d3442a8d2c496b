"""A control group around the job, where one can be made: the kernel's own backstop.

The watch of the supervisor keeps the budget; this is for the time in which there is no
watch, because the supervisor is stopped, starved, or killed. Nothing depends upon it.
Containers rarely let a group be made; then there is none.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lowmem.memory.machine import memory_groups

# Of the budget: a group counts kernel memory and dirty page cache besides, which the
# budget does not, and must not kill for them.
_SLACK = 1.05
_NAME = "lowmem-"


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """One group with a limit; ``path`` is None where none could be made."""

    path: Path | None

    @classmethod
    def make(
        cls,
        limit_bytes: int,
        proc: Path = Path("/proc"),
        mount: Path = Path("/sys/fs/cgroup"),
    ) -> Self:
        """Make a group inside this process's own; never fails.

        Parameters
        ----------
        limit_bytes
            The budget of the job.
        proc, mount
            Where the kernel's files are.
        """
        for parent, names in memory_groups(proc, mount):
            _sweep(parent)
            path = parent / f"{_NAME}{os.getpid()}"
            try:
                path.mkdir(exist_ok=True)
                (path / names.limit).write_text(str(round(limit_bytes * _SLACK)))
            except OSError:
                with contextlib.suppress(OSError):
                    path.rmdir()
                continue
            return cls(path)
        return cls(None)

    def admit(self, pid: int) -> None:
        """Put a process in, with all that it will start; what it holds stays out."""
        if self.path is not None:
            with contextlib.suppress(OSError):
                (self.path / "cgroup.procs").write_text(str(pid))

    def remove(self) -> None:
        """Remove the group, once its processes have been waited for."""
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.rmdir()


def _sweep(parent: Path) -> None:
    """Remove what killed supervisors left; a group with processes in it stays."""
    for left in parent.glob(f"{_NAME}*"):
        with contextlib.suppress(OSError):
            left.rmdir()

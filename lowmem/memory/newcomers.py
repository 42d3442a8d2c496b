"""Which processes were started since the last look: by their ids, not by a list of all.

The kernel gives out ids in order, to threads too, and tells which was the last. So what
is new lies between that and the last one before. To ask for an id takes 3 microseconds,
to list /proc 300 on a machine of 150 processes: most of a reading, where other programs
start all the time.

The list is taken nevertheless where ids do not tell: at first, where there are many new
ones or they began anew at the lowest, and in every sixteenth look, since a program with
the right to may choose an id (`clone3`), and all 32,768 may have been given out between
two looks of a run that was suspended.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from lowmem.memory.proc import PROC, parent_of

if TYPE_CHECKING:
    from collections.abc import Collection

# Ids that cost less to ask for than the list does.
_FEW = 32
# Looks for one that takes the list, and for one that takes no stranger at its word.
_LIST_EVERY = 16
_ANEW_EVERY = 256
_NO_PROCESS = {errno.ESRCH, errno.EINVAL, errno.ENOENT}


def last_pid(loadavg: int) -> int:
    """Return the id that the kernel gave out last, to a process or a thread."""
    return int(os.pread(loadavg, 128, 0).rpartition(b" ")[2])


def listed() -> set[str]:
    """Return the names in /proc: all processes, and some that are none."""
    return set(os.listdir(PROC))  # noqa: PTH208 - half the cost


def is_process(pid: int) -> bool:
    """Return whether an id is that of a process, and not of one of its other threads."""
    try:
        os.close(os.pidfd_open(pid))
    except OSError as error:
        # Whatever else keeps it from being looked at: it may be one.
        return error.errno not in _NO_PROCESS
    return True


@dataclass(slots=True)
class Newcomers:
    """Tells which processes are new; owns a descriptor, as a context manager.

    A look that returns any is followed by `settle`: what is then neither taken nor a
    stranger's is told again the next time.
    """

    _loadavg: int = -1
    _last: int = 0
    _n_looks: int = 0
    _lists_again: bool = False
    # By name, since to turn all that are listed into numbers would cost more than the list.
    _known: set[str] = field(default_factory=set)
    _fresh: range = range(0)
    _again: set[int] = field(default_factory=set)

    def __enter__(self) -> Self:
        self._loadavg = os.open(PROC / "loadavg", os.O_RDONLY)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._loadavg)

    def know(self, pid: int) -> None:
        """Take a process for settled."""
        self._known.add(str(pid))

    def forget(self, pid: int) -> None:
        """Take an id for new once more: its process has gone, and another may have it."""
        self._known.discard(str(pid))
        self._again.add(pid)

    def look(self, own: Collection[int]) -> dict[int, int | None] | None:
        """Return the new processes and their parents; None where none can be new.

        Parameters
        ----------
        own
            The processes that were taken and live.
        """
        last = last_pid(self._loadavg)
        n_new = last - self._last
        if not (n_new or self._again or self._lists_again):
            return None
        is_few = 0 <= n_new <= _FEW
        if n_new < 0 or self._n_looks % _ANEW_EVERY == 0:
            self._known = set(map(str, own))
        is_listed = not is_few or self._lists_again or self._n_looks % _LIST_EVERY == 0
        self._n_looks += 1
        self._fresh = range(self._last + 1, last + 1) if is_few else range(0)
        self._last, self._lists_again = last, not is_few
        asked = {pid for pid in (*self._fresh, *self._again) if pid not in own}
        pids = self._listed() if is_listed else filter(is_process, asked)
        return {pid: parent_of(pid) for pid in pids}

    def _listed(self) -> list[int]:
        present = listed()
        new = present - self._known
        self._known &= present
        self._known.update(name for name in new if not name.isdigit())
        return [int(name) for name in new if name.isdigit()]

    def settle(self, parents: dict[int, int | None]) -> None:
        """Take note of what was looked at, and is not taken.

        What descends from strangers never will be of the tree itself; its children are
        looked at anew each time. A process gets its id a moment before it can be seen,
        and one whose parent went before it could be seen may yet turn out to be of the
        tree: both are looked for once more.
        """
        found = True
        while found:
            found = False
            for pid, parent in list(parents.items()):
                if parent == 0 or str(parent) in self._known:
                    self._known.add(str(pid))
                    del parents[pid]
                    found = True
        self._again = {pid for pid, parent in parents.items() if parent is not None}
        self._again.update(pid for pid in self._fresh if str(pid) not in self._known)
        self._fresh = range(0)

"""Memory that the machine holds as huge pages of its own, beside all other counts.

Pages of hugetlbfs, of `MAP_HUGETLB` and of `memfd_create(..., MFD_HUGETLB)` are neither
anonymous nor shared in any count of a process or of the machine. Those of a pool were
taken from the machine when the pool was made. But a pool may grow while a job runs: root
can make it larger, and where overcommitting them is allowed any program can. So what the
machine holds as such pages is counted, in use or not, and its growth is the job's, as
that of shared memory is.

It is counted, and not kept within the budget: one call takes any number of such pages at
once, and fills none of them. The first reading after it stops the job.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

_POOLS = Path("/sys/kernel/mm/hugepages")
_NAME = re.compile(r"hugepages-(\d+)kB")


class HugePages:
    """Tells how much that is.

    Parameters
    ----------
    folder
        Where the kernel tells of its pools; tests give captured ones.
    is_root
        Whether a job may make a pool larger.

    Notes
    -----
    Cost: 10 microseconds for each size of page. Where no pool can grow, as for a user
    without rights on a machine that does not overcommit, none is read.
    """

    def __init__(self, folder: Path = _POOLS, *, is_root: bool | None = None) -> None:
        self._pools: list[tuple[str, int]] = []
        may_write = os.geteuid() == 0 if is_root is None else is_root
        # A container may hide them.
        with contextlib.suppress(OSError):
            for pool in sorted(folder.iterdir()):
                size = _NAME.fullmatch(pool.name)
                if size and (may_write or _number(f"{pool}/nr_overcommit_hugepages")):
                    self._pools.append((f"{pool}/nr_hugepages", int(size[1]) * 1024))

    def n_bytes(self) -> int:
        """Return the bytes of all huge pages, those beyond a pool's own size too."""
        return sum(_number(path) * page_bytes for path, page_bytes in self._pools)


def _number(path: str) -> int:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return int(os.read(descriptor, 32))
    finally:
        os.close(descriptor)

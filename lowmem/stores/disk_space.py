"""Whether a folder is a place for a large file."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from lowmem.base.mounts import is_in_memory
from lowmem.base.units import format_bytes

if TYPE_CHECKING:
    from pathlib import Path

# Bytes left free on the disk beside the file.
_FREE_BYTES = 10**9


def no_room(folder: Path, n_bytes: int) -> str:
    """Return why ``n_bytes`` should not be written to ``folder``; empty if they may."""
    if is_in_memory(folder):
        return f"{folder} is kept in memory"
    free = shutil.disk_usage(folder).free
    if free < n_bytes + _FREE_BYTES:
        return (
            f"{folder} has {format_bytes(free)} free, not {format_bytes(n_bytes)} and "
            f"{format_bytes(_FREE_BYTES)} to spare"
        )
    return ""

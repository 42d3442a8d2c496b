"""Whether a folder is a place for a large file."""

from __future__ import annotations

import shutil
from pathlib import Path

from lowmem.base.units import format_bytes

# Bytes left free on the disk beside the file.
_FREE_BYTES = 10**9
_MOUNTS = Path("/proc/self/mounts")


def no_room(folder: Path, n_bytes: int) -> str:
    """Return why ``n_bytes`` should not be written to ``folder``; empty if they may."""
    if _file_system(folder) in {"tmpfs", "ramfs"}:
        return f"{folder} is kept in memory"
    free = shutil.disk_usage(folder).free
    if free < n_bytes + _FREE_BYTES:
        return (
            f"{folder} has {format_bytes(free)} free, not {format_bytes(n_bytes)} and "
            f"{format_bytes(_FREE_BYTES)} to spare"
        )
    return ""


def _file_system(folder: Path) -> str:
    """Return the type of the file system of ``folder``, such as ext4."""
    device, found = folder.stat().st_dev, ""
    for line in _MOUNTS.read_text().splitlines():
        _, place, kind, *_ = line.split(" ")
        # The last one mounted at a place hides the others.
        place = place.encode().decode("unicode_escape")
        if Path(folder).resolve().is_relative_to(place) and _device(place) == device:
            found = kind
    return found


def _device(place: str) -> int | None:
    try:
        return Path(place).stat().st_dev
    except OSError:  # Not ours to look at.
        return None

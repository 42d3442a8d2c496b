"""Which file system a folder lies in."""

from __future__ import annotations

from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})


def is_in_memory(folder: Path) -> bool:
    """Return whether what is written to a folder is memory, and counts as such."""
    return _file_system(folder) in _IN_MEMORY


def is_served_by_a_program(folder: Path) -> bool:
    """Return whether a program serves the folder's files (FUSE), as it does of Drive."""
    return _file_system(folder).startswith("fuse")


def _file_system(folder: Path) -> str:
    """Return the type of the file system of ``folder``, such as ext4; empty if untold."""
    try:
        device, found = folder.stat().st_dev, ""
        lines = _MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    for line in lines:
        _, place, kind, *_ = line.split(" ")
        # The last one mounted at a place hides the others.
        place = _unescaped(place)
        if folder.resolve().is_relative_to(place) and _device(place) == device:
            found = kind
    return found


def _unescaped(place: str) -> str:
    r"""Return a path whose spaces the kernel has written as ``\040``.

    Examples
    --------
    >>> _unescaped(r"/mnt/Größe\040und")
    '/mnt/Größe und'
    """
    text = place.encode(errors="surrogateescape").decode("unicode_escape")
    return text.encode("latin-1").decode(errors="surrogateescape")


def _device(place: str) -> int | None:
    try:
        return Path(place).stat().st_dev
    except OSError:  # Not ours to look at.
        return None

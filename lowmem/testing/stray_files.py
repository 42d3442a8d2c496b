"""What a job writes outside its staging folder: seen from within, and left behind.

Two see more than one. The interpreter tells of each file that Python opens for writing,
wherever it lies; not of those of C libraries and of other programs. What lies about in
the workspace and the current folder afterwards is found, whoever wrote it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# Which of an event's arguments are paths that it writes to.
_WRITTEN: Mapping[str, tuple[int, ...]] = {
    "open": (0,),
    "os.mkdir": (0,),
    "os.rename": (0, 1),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "sqlite3.connect": (0,),
}
# Not results: what the system shows as files, and what libraries keep to be faster.
_SYSTEM = ("/dev", "/proc", "/sys")
_CACHE = "__pycache__"
_CACHE_VARIABLES = ("XDG_CACHE_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "KERAS_HOME")
_CACHES = ("~/.cache", "~/.config/matplotlib", "~/.keras")


class WriteWatch:
    """Tells of each path that this process begins to write to, once.

    An audit hook cannot be taken away; `is_on` says when it tells.
    """

    def __init__(self, own: Iterable[Path], tell: Callable[[str], None]) -> None:
        self.is_on = False
        self._tell = tell
        self._seen: set[str] = set()
        self._ignored = tuple(str(path) for path in (*own, *_SYSTEM, *_caches()))
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: Sequence[object]) -> None:
        if not self.is_on or event not in _WRITTEN:
            return
        if event == "open" and not (isinstance(args[2], int) and args[2] & _WRITES):
            return
        self.is_on = False
        try:
            for index in _WRITTEN[event]:
                self._note(event, args[index])
        finally:
            self.is_on = True

    def _note(self, event: str, place: object) -> None:
        if not isinstance(place, str | bytes | os.PathLike):
            return  # A descriptor: it was opened before.
        path = str(Path(os.fsdecode(place)).resolve())
        if path in self._seen or _is_below(path, self._ignored):
            return
        if event == "open" and Path(path).is_dir():
            return  # The folder of a temporary file without a name.
        self._seen.add(path)
        self._tell(path)


def _caches() -> list[str]:
    own = [os.environ[name] for name in _CACHE_VARIABLES if os.environ.get(name)]
    return [str(Path(path).expanduser().absolute()) for path in (*own, *_CACHES)]


def _is_below(path: str, folders: Iterable[str]) -> bool:
    parts = Path(path).parts
    return _CACHE in parts or any(
        path == folder or path.startswith(folder + os.sep) for folder in folders
    )


Contents = dict[str, tuple[int, int]]


def contents(folders: Iterable[Path]) -> Contents:
    """Return size and time of every file in some folders, by its path."""
    return {
        str(file): (status.st_size, status.st_mtime_ns)
        for folder in folders
        for file in folder.rglob("*")
        if file.is_file() and (status := file.stat())
    }


def strays(
    written: Iterable[str],
    before: Contents,
    after: Contents,
    allowed: Sequence[Path],
) -> list[str]:
    """Return the files that a job has written, and was not to write.

    Parameters
    ----------
    written
        What the interpreter told of. What is gone by the end of the run was a temporary
        file.
    before, after
        `contents` of the workspace and the current folder.
    allowed
        Files and folders that may be written.
    """
    changed = {
        path
        for path in before.keys() | after.keys()
        if before.get(path) != after.get(path)
    }
    kept = {path for path in written if os.path.lexists(path)}
    folders = [str(path.resolve()) for path in allowed]
    return sorted(path for path in changed | kept if not _is_below(path, folders))

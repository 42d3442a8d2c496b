"""Whether a file is as it was, without reading it.

At the last commit, of a .npy file that is mapped; when it was opened, of any source.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from lowmem.base.errors import DataError
from lowmem.base.files import storage_errors
from lowmem.checkpoints.generations import generation_path, generations, read_manifest
from lowmem.protocol.recipe import DATA

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from lowmem.base.workspace import Workspace

# Its key in the state of a commit.
FILE = "file"
# What describes a Zarr array, of format 3 or 2.
_METADATA = ("zarr.json", ".zarray")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnchangedFile:
    """A file that must stay as it is while it is read.

    Attributes
    ----------
    identity
        What `identity_of_file` said of it at first.
    """

    path: Path
    identity: tuple[int, ...]

    @classmethod
    def at(cls, path: Path) -> Self:
        """Return the file as it is now; of a Zarr array, that of its metadata.

        A store that is made anew gets other metadata. Its chunks are not looked at.
        """
        if path.is_dir():
            found = (path / name for name in _METADATA)
            path = next((file for file in found if file.is_file()), path)
        with storage_errors(path):
            return cls(path=path, identity=tuple(_identity(path.stat())))

    def refuse_changed(self, stream: IO[bytes] | None = None) -> None:
        """Refuse what was read, if the file was written to or replaced since.

        Parameters
        ----------
        stream
            What was read from; what is at the path now where None.

        Raises
        ------
        DataError
            Naming the file.

        Notes
        -----
        Time: one question to the file system.
        """
        try:
            status = self.path.stat() if stream is None else os.fstat(stream.fileno())
        except FileNotFoundError:
            found: list[int] = []
        else:
            found = _identity(status)
        if tuple(found) != self.identity:
            raise DataError(
                thing=self.path,
                problem="changed while it was read",
                expected="the same data from beginning to end",
                todo="With them back the same command continues; --restart takes them "
                "as they are now.",
            )


def known_print(job: str, path: Path, space: Workspace) -> str | None:
    """Return the fingerprint of a .npy file from the last commit, if it is as it was then.

    To look at all of a file would be to read all that is done already.
    """
    folder = space.checkpoints(job)
    found = generations(folder)
    manifest = read_manifest(generation_path(folder, found[-1])) if found else None
    if manifest is None or not path.is_file():
        return None
    if manifest.state.get(FILE) != identity_of_file(path):
        return None
    known = manifest.recipe.get(f"source{DATA}")
    return known if isinstance(known, str) else None


def identity_of_file(path: Path) -> list[int] | None:
    """Return what changes whenever a file is written to; None of a folder.

    The time of its last change is the kernel's own: nobody can set it back.
    """
    with storage_errors(path):
        status = path.stat()
    if not path.is_file():
        return None
    return _identity(status)


def _identity(status: os.stat_result) -> list[int]:
    return [
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    ]

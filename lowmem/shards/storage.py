"""A folder that several machines share: made of names that are used once.

What is asked of it is little, so that NFS, a mounted drive or an object store will do:

- a file is created under a new name, and by then can be read back by that name;
- a listing shows it some time later, perhaps twice, in any order;
- nothing is renamed, replaced or locked.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from lowmem.base.files import create_file, make_folder, storage_errors
from lowmem.base.outside import stream_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    Parts = Iterable[bytes | memoryview]

_READ_BYTES = 2**20


class Storage(Protocol):
    """Files by their names, which are relative and separated by ``/``."""

    def names(self, folder: str) -> Sequence[str]:
        """Return the names in a folder, without it; none where there is no folder."""
        ...

    def create(self, name: str, parts: Parts) -> None:
        """Write a file durably, under a name that nobody has used."""
        ...

    def read(self, name: str) -> Iterator[bytes]:
        """Yield what a file holds, piece by piece.

        Raises
        ------
        FileNotFoundError
            If it is not there, or not yet.
        """
        ...

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        ...


class Folder:
    """A local or mounted folder as such a storage."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self, folder: str) -> Sequence[str]:
        """Return the names in a folder; see `Storage`."""
        path = self._root / folder
        try:
            with storage_errors(path):
                return os.listdir(path)  # noqa: PTH208 - names, not paths
        except OSError:
            if path.exists():
                raise
            return ()

    def create(self, name: str, parts: Parts) -> None:
        """Write a file durably; see `Storage`."""
        path = self._root / name
        make_folder(path.parent)
        create_file(path, parts)

    def read(self, name: str) -> Iterator[bytes]:
        """Yield what a file holds; see `Storage`."""
        path = self._root / name
        with stream_of(path) as stream, storage_errors(path):
            while block := stream.read(_READ_BYTES):
                yield block

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        path = self._root / name
        with storage_errors(path), suppress(FileNotFoundError):
            path.unlink()

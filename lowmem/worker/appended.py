"""A file of a job's own that grows: cut to its last commit, and durable before the next."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lowmem.base.errors import DataError
from lowmem.base.files import make_folder, storage_errors, sync_file

if TYPE_CHECKING:
    from pathlib import Path


class AppendedFile:
    """A file in the making; text is written as UTF-8.

    Parameters
    ----------
    path
        Made where it is missing, with its folders.
    n_bytes
        What the last commit counts on; what came later is forgotten.

    Raises
    ------
    DataError
        If fewer bytes than those are there.
    """

    def __init__(self, path: Path, n_bytes: int) -> None:
        self._path = path
        make_folder(path.parent)
        with storage_errors(path):
            self._stream = path.open("ab")
            found = self._size()
            if found < n_bytes:
                self._stream.close()
                raise DataError(
                    thing=path,
                    problem=f"holds {found} bytes",
                    expected=f"the {n_bytes} that were committed",
                    todo="It was altered by somebody: --restart makes it again.",
                )
            self._stream.truncate(n_bytes)
        # The folder that gained it is to be as durable as its bytes.
        self._is_new = True

    def write(self, data: str | bytes) -> None:
        """Add text or bytes at the end.

        Raises
        ------
        StorageError
            If the disk takes no more.
        """
        raw = data.encode() if isinstance(data, str) else data
        with storage_errors(self._path):
            self._stream.write(raw)

    def sync(self) -> int:
        """Force all that was written to the disk; return its bytes."""
        with storage_errors(self._path):
            self._stream.flush()
        sync_file(self._path)
        if self._is_new:
            sync_file(self._path.parent)
            self._is_new = False
        return self._size()

    def _size(self) -> int:
        return os.fstat(self._stream.fileno()).st_size

    def close(self) -> None:
        """Give all that was written to the system."""
        with storage_errors(self._path):
            self._stream.close()

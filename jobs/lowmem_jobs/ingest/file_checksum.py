"""The SHA-256 of a source that is one file, taken beside the packing of it.

A piece after each step, as far as the packing has come: it then reads what the packing
reads next or has just read, and the disk delivers a file that does not fit the page cache
once. The state of a half-done SHA-256 cannot be kept: an ingest that goes on takes it
from the start, a piece after each step until it has caught up.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base import storage_errors
from lowmem_jobs.ingest.fingerprints import HASHED_BYTES
from lowmem_jobs.ingest.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO

    from lowmem_jobs.ingest.ingest_recipe import Recipe

_BLOCK_BYTES = 2**20
# Most that is hashed at once: 5 ms with the instructions for it, 18 without, while a
# chunk of small images takes 30.
_PIECE_BYTES = 2**23


class FileSum:
    """The SHA-256 of a file, a piece at a time; of no file, None at once.

    Attributes
    ----------
    is_done
        Whether nothing is left to be taken.
    """

    def __init__(self, stream: FileIO | None) -> None:
        self._stream = stream
        self._path = Path(stream.name) if stream else Path()
        self._n_bytes = os.fstat(stream.fileno()).st_size if stream else 0
        self._n_done = 0
        self._sum = hashlib.sha256()
        self._block = memoryview(bytearray(_BLOCK_BYTES))
        self.is_done = not self._n_bytes

    def advance(self, share: float) -> None:
        """Take one more piece, unless that share of the file is taken already.

        Raises
        ------
        StorageError
            If it cannot be read.
        """
        stop = min(share * self._n_bytes, self._n_done + _PIECE_BYTES)
        while not self.is_done and self._n_done < stop:
            with storage_errors(self._path):
                n_bytes = self._stream.readinto(self._block) if self._stream else 0
            self._sum.update(self._block[:n_bytes])
            self._n_done += n_bytes or 0
            # One that has become shorter is refused where the source is closed.
            self.is_done = not n_bytes or self._n_done >= self._n_bytes

    def hexdigest(self) -> str | None:
        """Return the SHA-256 of the file, all of which is taken; None of no file."""
        return self._sum.hexdigest() if self._stream else None


@contextmanager
def file_sum(recipe: Recipe) -> Iterator[FileSum]:
    """Give the sum of a source, with nothing taken yet.

    Notes
    -----
    Of none where it is a folder or a Zarr store: all their files would have to be opened
    a second time; and of a large file of which ``--limit`` takes only the first images:
    nor is the rest of it read otherwise.
    """
    path = recipe.path
    if path is None or not FORMATS[recipe.kind].is_one_file:
        yield FileSum(None)
        return
    with storage_errors(path):
        stream = path.open("rb", buffering=0)
    with stream:
        is_large = os.fstat(stream.fileno()).st_size > HASHED_BYTES
        yield FileSum(None if is_large and recipe.limit else stream)

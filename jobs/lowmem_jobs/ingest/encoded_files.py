"""Encoded images, one in each file of a folder or member of an archive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from lowmem_jobs.ingest.decode_tasks import DecodeTask, image_of
from lowmem_jobs.ingest.entries import MAX_FILE_BYTES
from lowmem_jobs.ingest.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowmem_jobs.ingest.entries import Entries, Entry
    from lowmem_jobs.ingest.framing import Pixels
    from lowmem_jobs.ingest.image_decoder import Decoder


class FileSource:
    """Encoded images by number.

    Parameters
    ----------
    kind
        Whether they are members of a zip archive, as they are packed there.
    read
        Returns the bytes of an entry as they are stored.
    decoder
        Makes images of them.
    """

    def __init__(
        self,
        entries: Entries,
        *,
        kind: Literal["file", "member"] = "file",
        read: Callable[[Entry], bytes],
        decoder: Decoder,
    ) -> None:
        self.decoder = decoder
        self._kind: Literal["file", "member"] = kind
        self._entries = entries
        self._read = read

    def __len__(self) -> int:
        return len(self._entries)

    def entry(self, index: int) -> Entry:
        """Return what is listed of a file."""
        return self._entries[index]

    def fetch(self, entry: Entry) -> DecodeTask:
        """Return the bytes of a file as they are stored."""
        if entry.problem:
            raise UnreadableError(entry.problem)
        if entry.n_bytes > MAX_FILE_BYTES:
            raise UnreadableError(f"larger than {MAX_FILE_BYTES} bytes")
        numbers = (entry.n_bytes, entry.crc, entry.method)
        return DecodeTask(self._kind, numbers, self._read(entry))

    def load(self, stored: DecodeTask) -> Pixels:
        """Return the image that the bytes hold."""
        return np.asarray(image_of(stored, self.decoder))

"""Choose the compression of a store by what was measured of the machine.

Reading samples at random is fastest from an uncompressed store, unless the disk is so
slow that unpacking what it delivers takes less time than the bytes that are saved. The
disk counts only where the store does not stay in the page cache after the first epoch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.base import SystemClock, format_bytes, remove, storage_errors, sync_file
from lowmem.memory import read_machine

if TYPE_CHECKING:
    from pathlib import Path

# Bytes a second of a disk below which each codec pays, with one core that unpacks:
# measured on 96 x 96 x 3 images, batches of 128, lz4 and zstd level 1 with bitshuffle.
_LZ4_BELOW = 1.0e9
_ZSTD_BELOW = 0.4e9
_PROBE_BYTES = 2**26
# A store of less is read in a second from any disk; bytes.
_SMALL_BYTES = 2**28
_BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A codec, and why it was taken: one line for people."""

    codec: str
    reason: str


def choice_without_disk(store_bytes: int, room_bytes: int) -> Choice | None:
    """Return the choice where the speed of the disk does not matter, else None.

    Parameters
    ----------
    store_bytes
        Of the store without compression.
    room_bytes
        That the page cache may take beside a job.
    """
    if store_bytes > max(room_bytes, _SMALL_BYTES):
        return None
    # No figures: the same ingest is to give the same store, to the bit.
    return Choice(codec="none", reason="the store fits the page cache")


def choice_by_disk(store_bytes: int, bytes_per_s: float) -> Choice:
    """Return the choice for a store that must be read from the disk in every epoch.

    Examples
    --------
    >>> choice_by_disk(10**11, 2.0e9).codec, choice_by_disk(10**11, 0.1e9).codec
    ('none', 'zstd')
    """
    codec = "none"
    if bytes_per_s < _LZ4_BELOW:
        codec = "lz4"
    if bytes_per_s < _ZSTD_BELOW:
        codec = "zstd"
    reason = (
        f"{format_bytes(store_bytes)} do not fit the page cache, and the disk reads "
        f"{format_bytes(int(bytes_per_s))} a second"
    )
    return Choice(codec=codec, reason=reason)


def measured_choice(store_bytes: int, folder: Path, budget_bytes: int) -> Choice:
    """Return the choice for a store of so many bytes in ``folder``.

    Parameters
    ----------
    budget_bytes
        What a job that reads the store may take of the memory.

    Notes
    -----
    Writes and reads back 64 MiB, where the store does not fit the page cache.
    """
    room_bytes = max(0, read_machine().available_bytes - budget_bytes)
    choice = choice_without_disk(store_bytes, room_bytes)
    return choice or choice_by_disk(store_bytes, _disk_rate(folder / "probe"))


def _disk_rate(path: Path) -> float:
    """Return how many bytes a second are read past the page cache."""
    clock = SystemClock()
    block = os.urandom(_BLOCK_BYTES)
    with storage_errors(path):
        try:
            with path.open("wb") as stream:
                for _ in range(_PROBE_BYTES // _BLOCK_BYTES):
                    stream.write(block)
            sync_file(path)
            with path.open("rb", buffering=0) as stream:
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                began = clock.monotonic()
                while stream.read(_BLOCK_BYTES):
                    pass
                seconds = clock.monotonic() - began
        finally:
            remove(path)
    return _PROBE_BYTES / max(seconds, 1e-9)

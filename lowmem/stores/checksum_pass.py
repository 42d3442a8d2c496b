"""Verify the checksums of a store once, beside the reading: a scrub, as disks have.

A shuffled reader touches every chunk within its first few batches. To verify each chunk
when it is first touched would read the whole store before the training begins; to
verify each row is impossible, since a checksum covers a chunk. So one thread reads all
chunks in the order of the disk, at a bounded rate, and so warms the page cache too. What
depends on unverified rows must not be made permanent: whoever commits calls
`Scrub.finish` first.
"""

from __future__ import annotations

import os
from threading import Event, Thread
from typing import TYPE_CHECKING

import google_crc32c

from lowmem.base.clock import SystemClock
from lowmem.base.errors import LowmemError, StorageError
from lowmem.base.outside import open_regular
from lowmem.stores.shards import CHECKSUM_BYTES

if TYPE_CHECKING:
    from lowmem.stores.layout import RowLayout

# bytes per second: some 5 % of one core.
_RATE = 256 * 10**6
# Bytes held at once; a checksum of so many is computed in some 13 microseconds.
_BLOCK_BYTES = 2**18


# `lowmem.integrity.chunks` verifies too, but whole files, whose SHA-256 it takes in the
# same reading and of which it knows no sizes; here chunks lie within shards, their sizes
# are known, and the reading is to stop at the first that is damaged. The two share the
# checksum's function alone.


def verify_chunk(layout: RowLayout, chunk: int, descriptor: int) -> None:
    """Refuse a chunk that is cut off, or whose CRC-32C is not that of its bytes.

    Parameters
    ----------
    descriptor
        Of the chunk's file, open for reading.

    Raises
    ------
    DataError
        It names the chunk and its samples.
    """
    start = int(layout.offsets[chunk])
    stop = start + layout.chunk_bytes
    crc, at = 0, start
    while at < stop:
        block = os.pread(descriptor, min(_BLOCK_BYTES, stop - at), at)
        if not block:
            size = os.fstat(descriptor).st_size
            raise layout.damage(chunk, f"holds only {size} bytes")
        crc = google_crc32c.extend(crc, block)
        at += len(block)
    stored = os.pread(descriptor, CHECKSUM_BYTES, stop)
    if crc.to_bytes(CHECKSUM_BYTES, "little") != stored:
        raise layout.damage(chunk, "was altered: its CRC-32C is not that of its bytes")


class Scrub:
    """The verification of one array: begun, looked at, finished.

    Notes
    -----
    Cost: one sequential reading of the array; 256 KiB of memory, one descriptor.
    """

    def __init__(self, layout: RowLayout) -> None:
        self._layout = layout
        self._next = 0 if layout.has_checksum else layout.n_chunks
        self._error: LowmemError | None = None
        self._stop = Event()
        self._thread: Thread | None = None

    @property
    def is_done(self) -> bool:
        """Whether every chunk was verified."""
        return self._next >= self._layout.n_chunks

    def start(self) -> None:
        """Begin in the background, where there is anything to verify."""
        if self._thread is None and not self.is_done:
            self._thread = Thread(target=self._run, name="scrub", daemon=True)
            self._thread.start()

    def check(self) -> None:
        """Raise what was found so far.

        Raises
        ------
        DataError
            If a chunk is damaged.
        """
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Verify what is left, at full speed.

        Raises
        ------
        DataError
            If a chunk is damaged.
        """
        self.stop()
        self.check()
        self._verify_rest(rate=None)
        self.check()

    def stop(self) -> None:
        """End the background work; `finish` can go on from there."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        self._verify_rest(rate=_RATE)

    def _verify_rest(self, *, rate: float | None) -> None:
        layout, clock = self._layout, SystemClock()
        per_file = layout.chunks_per_file
        due = clock.monotonic()
        while not self.is_done and self._error is None:
            # One file at a time; chunks of a shard in the order in which they lie.
            first = self._next // per_file * per_file
            chunks = range(first, min(first + per_file, layout.n_chunks))
            self._verify_file(sorted(chunks, key=layout.offsets.__getitem__))
            if self._error is None:
                self._next = chunks.stop
            if rate is None:
                continue
            due += len(chunks) * layout.chunk_bytes / rate
            if self._stop.wait(max(0.0, due - clock.monotonic())):
                return

    def _verify_file(self, chunks: list[int]) -> None:
        layout = self._layout
        try:
            path = layout.path_of(chunks[0] // layout.chunks_per_file)
            descriptor = open_regular(path)
        except FileNotFoundError:
            self._error = layout.damage(chunks[0], "is missing")
            return
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
            for chunk in chunks:
                verify_chunk(layout, chunk, descriptor)
        except LowmemError as error:
            self._error = error
        except OSError as error:
            self._error = StorageError(
                path=layout.file_of(chunks[0]), problem=error.strerror or str(error)
            )
        finally:
            os.close(descriptor)

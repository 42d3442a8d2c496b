"""How much a reader may hold, from a budget in bytes: pure, no Zarr, no NumPy.

None of it changes what is read, or in which order.
"""

from __future__ import annotations

from dataclasses import dataclass

# Batches in use beside those in the queue: one being filled, one at work.
_BATCHES_BEYOND_QUEUE = 2
# More in the queue has never been faster: one thread reads as fast as it can.
_DEEPEST_QUEUE = 2
_MOST_THREADS = 2
# The orders of an epoch and of the next: whole up to so many bytes, then in parts.
_ORDERS = 2
_BYTES_OF_ORDER, _MOST_PARTS = 2**20, 2**8
# The number of a row where some were chosen.
_BYTES_PER_ROW = 4
# Where a chunk begins, the descriptor of its file, and its place among those open.
_BYTES_PER_CHUNK = 16
# What a decoding thread holds, in chunks: one as stored, one as decoded.
_CHUNKS_PER_THREAD = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is read.

    Attributes
    ----------
    n_rows
        Rows of the array.
    row_bytes
        Bytes of one row, decoded.
    chunk_rows
        Rows of one chunk.
    batch_rows
        Rows of one batch.
    is_compressed
        Whether chunks must be decoded.
    """

    n_rows: int
    row_bytes: int
    chunk_rows: int
    batch_rows: int
    is_compressed: bool

    @property
    def batch_bytes(self) -> int:
        """Bytes of one batch."""
        return self.batch_rows * self.row_bytes

    @property
    def fixed_bytes(self) -> int:
        """Bytes of orders and of what is known of files, whatever is chosen."""
        n_chunks = -(-self.n_rows // self.chunk_rows)
        numbers = _BYTES_PER_ROW * self.n_rows
        order = min(numbers, max(_BYTES_OF_ORDER, numbers // _MOST_PARTS))
        return _ORDERS * order + numbers + _BYTES_PER_CHUNK * n_chunks

    @property
    def thread_bytes(self) -> int:
        """Bytes that one decoding thread holds."""
        chunk = self.chunk_rows * self.row_bytes
        return _CHUNKS_PER_THREAD * chunk if self.is_compressed else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingPlan:
    """What a reader may hold at once.

    Attributes
    ----------
    queue_depth
        Batches read ahead of the one at work; at least 1.
    threads
        Threads that decode; at least 1.
    memory_bytes
        What all of it takes at most.
    """

    queue_depth: int
    threads: int
    memory_bytes: int

    @property
    def n_buffers(self) -> int:
        """Batches that exist at once."""
        return self.queue_depth + _BATCHES_BEYOND_QUEUE


def plan_reading(reading: Reading, *, memory_bytes: int | None = None) -> ReadingPlan:
    """Return the most that fits into ``memory_bytes``; by default, what is fastest.

    Notes
    -----
    Where even the least does not fit, the least is returned: whoever plans compares
    its `memory_bytes` with the budget. Threads come before depth, since decoding is
    what a compressed store waits for.

    Examples
    --------
    >>> faces = Reading(n_rows=40_000, row_bytes=27_648, chunk_rows=128,
    ...                 batch_rows=128, is_compressed=False)
    >>> plan_reading(faces, memory_bytes=12 * 10**6).queue_depth
    1
    """
    choices = [
        _plan(reading, queue_depth=depth, threads=threads)
        for threads in range(_MOST_THREADS if reading.is_compressed else 1, 0, -1)
        for depth in range(_DEEPEST_QUEUE, 0, -1)
    ]
    for choice in choices:
        if memory_bytes is None or choice.memory_bytes <= memory_bytes:
            return choice
    return choices[-1]


def _plan(reading: Reading, *, queue_depth: int, threads: int) -> ReadingPlan:
    held = (queue_depth + _BATCHES_BEYOND_QUEUE) * reading.batch_bytes
    return ReadingPlan(
        queue_depth=queue_depth,
        threads=threads,
        memory_bytes=held + reading.fixed_bytes + threads * reading.thread_bytes,
    )

"""Decode images on several threads, and hand them out in order.

The thread that asks for the images is one of them: it decodes while it would wait. With
one thread more than cores, it would time and again displace one that holds the
interpreter, and stop all of them.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from lowmem_jobs.ingest.entries import UnreadableError, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lowmem_jobs.ingest.entries import Entry, Pixels, Source

# Where the settings name no threads. Pillow lets go of the interpreter while it decodes
# and scales.
N_THREADS = 2
# Encoded images that may wait at once; a single one may be larger.
WAITING_BYTES = 2**25
# Handing one image to a thread costs a tenth of decoding a small one, so several go at
# once; so many such batches for each thread keep all of them at work while a chunk is
# written.
_BATCHES_PER_THREAD = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What became of one entry of a source.

    Attributes
    ----------
    index, name
        Its number in the source; its name, as text that is safe to print.
    pixels : shape (size, size, 3)
        The finished image; None where it is unreadable.
    reason
        Why it is unreadable; empty where it is not.
    """

    index: int
    name: str
    pixels: Pixels | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    """How much may be under way: in all, and in one batch.

    Attributes
    ----------
    n_ahead, n_batch
        Entries.
    batch_bytes
        Bytes of encoded images, unless a single one is larger.
    """

    n_ahead: int
    n_batch: int
    batch_bytes: int


class _Batch:
    """Entries that were fetched together and wait to be decoded, by whoever is free.

    Attributes
    ----------
    n_entries, n_bytes
        How many they are; bytes of their encoded images.
    """

    def __init__(
        self,
        load: Callable[[], list[Outcome]],
        *,
        n_entries: int,
        n_bytes: int,
        threads: ThreadPoolExecutor | None,
    ) -> None:
        self.n_entries = n_entries
        self.n_bytes = n_bytes
        self._load = load
        self._elsewhere = threads.submit(load) if threads is not None else None
        self._here: list[Outcome] | None = None

    def is_done(self) -> bool:
        """Return whether its outcomes are there."""
        is_done_elsewhere = self._elsewhere is not None and self._elsewhere.done()
        return self._here is not None or is_done_elsewhere

    def decode_here(self) -> None:
        """Decode it in this thread, unless another one has begun."""
        if self._here is None and (self._elsewhere is None or self._elsewhere.cancel()):
            self._here = self._load()

    def outcomes(self) -> list[Outcome]:
        """Wait for its outcomes."""
        if self._here is None and self._elsewhere is not None:
            return self._elsewhere.result()
        return self._here or []


@contextmanager
def outcomes(
    source: Source, start: int, *, n_ahead: int, n_threads: int = N_THREADS
) -> Iterator[Iterator[Outcome]]:
    """Give the outcomes of all entries from number ``start`` on, in order.

    Parameters
    ----------
    n_ahead
        Entries that may be under way at once; never changes what comes out.
    n_threads
        Threads that decode; never changes what comes out.
    """
    if not source.is_threaded:
        yield (_now(source, index) for index in range(start, len(source)))
        return
    n_batches = _BATCHES_PER_THREAD * n_threads
    limits = _Limits(
        n_ahead=n_ahead,
        n_batch=max(1, n_ahead // n_batches),
        batch_bytes=WAITING_BYTES // n_batches,
    )
    n_others = min(n_threads, n_ahead) - 1
    if not n_others:
        yield _in_order(source, start, limits, None)
        return
    with ThreadPoolExecutor(n_others) as threads:
        try:
            yield _in_order(source, start, limits, threads)
        finally:
            # Whoever leaves early does not wait for what nobody will take.
            threads.shutdown(wait=False, cancel_futures=True)


def _in_order(
    source: Source, start: int, limits: _Limits, threads: ThreadPoolExecutor | None
) -> Iterator[Outcome]:
    waiting: deque[_Batch] = deque()
    n_waiting = held_bytes = 0
    n_fetched = start
    for batch, n_bytes in _batches(source, start, limits):
        while waiting and (
            n_waiting + len(batch) > limits.n_ahead
            or held_bytes + n_bytes > WAITING_BYTES
        ):
            n_waiting -= waiting[0].n_entries
            held_bytes -= waiting[0].n_bytes
            yield from _first(waiting)
        stored = [_fetched(source, entry) for entry in batch]
        waiting.append(
            _Batch(
                partial(_load, source, n_fetched, batch, stored),
                n_entries=len(batch),
                n_bytes=n_bytes,
                threads=threads,
            )
        )
        n_fetched += len(batch)
        n_waiting += len(batch)
        held_bytes += n_bytes
    while waiting:
        yield from _first(waiting)


def _first(waiting: deque[_Batch]) -> list[Outcome]:
    """Take the first batch; decode what nobody has begun while it is not there."""
    for batch in waiting:
        if waiting[0].is_done():
            break
        batch.decode_here()
    return waiting.popleft().outcomes()


def _batches(
    source: Source, start: int, limits: _Limits
) -> Iterator[tuple[list[Entry], int]]:
    """Yield consecutive entries that are handed over together, and their bytes."""
    batch: list[Entry] = []
    n_bytes = 0
    for index in range(start, len(source)):
        entry = source.entry(index)
        more = entry.held_bytes
        is_full = len(batch) == limits.n_batch
        if batch and (is_full or n_bytes + more > limits.batch_bytes):
            yield batch, n_bytes
            batch, n_bytes = [], 0
        batch.append(entry)
        n_bytes += more
    if batch:
        yield batch, n_bytes


def _now(source: Source, index: int) -> Outcome:
    entry = source.entry(index)
    pixels = source.load(source.fetch(entry))
    return Outcome(index=index, name=printable(entry.name), pixels=pixels)


def _fetched(source: Source, entry: Entry) -> object:
    """Return an entry as it is stored, or why it cannot be had."""
    try:
        return source.fetch(entry)
    except UnreadableError as error:
        return error


def _load(
    source: Source, start: int, batch: Sequence[Entry], stored: list[object]
) -> list[Outcome]:
    return [
        _outcome(source, start + place, entry, stored[place])
        for place, entry in enumerate(batch)
    ]


def _outcome(source: Source, index: int, entry: Entry, stored: Any) -> Outcome:  # noqa: ANN401
    name = printable(entry.name)
    try:
        if isinstance(stored, UnreadableError):
            raise stored
        return Outcome(index=index, name=name, pixels=source.load(stored))
    except UnreadableError as error:
        return Outcome(index=index, name=name, pixels=None, reason=str(error))

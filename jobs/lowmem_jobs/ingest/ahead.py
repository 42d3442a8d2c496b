"""Decode images on two threads, and hand them out in order."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem_jobs.ingest.entries import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowmem_jobs.ingest.entries import Pixels, Source

# Pillow lets go of the interpreter while it decodes and scales.
_N_THREADS = 2
# Encoded images that may wait at once; a single one may be larger.
WAITING_BYTES = 2**25


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What became of one entry of a source.

    Attributes
    ----------
    index
        Its number in the source.
    pixels : shape (size, size, 3)
        The finished image; None where it is unreadable.
    reason
        Why it is unreadable; empty where it is not.
    """

    index: int
    pixels: Pixels | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    index: int
    n_bytes: int
    pixels: Future[Pixels]


@contextmanager
def outcomes(
    source: Source, start: int, *, n_ahead: int
) -> Iterator[Iterator[Outcome]]:
    """Give the outcomes of all entries from number ``start`` on, in order.

    Parameters
    ----------
    n_ahead
        Entries that may be under way at once; never changes what comes out.
    """
    if not source.is_threaded:
        yield (_now(source, index) for index in range(start, len(source)))
        return
    with ThreadPoolExecutor(min(_N_THREADS, n_ahead)) as threads:
        try:
            yield _in_order(source, start, n_ahead, threads)
        finally:
            # Whoever leaves early does not wait for what nobody will take.
            threads.shutdown(wait=False, cancel_futures=True)


def _in_order(
    source: Source, start: int, n_ahead: int, threads: ThreadPoolExecutor
) -> Iterator[Outcome]:
    waiting: deque[_Waiting] = deque()
    held_bytes = 0
    for index in range(start, len(source)):
        n_bytes = source.held_bytes(index)
        while waiting and (
            len(waiting) >= n_ahead or held_bytes + n_bytes > WAITING_BYTES
        ):
            first = waiting.popleft()
            held_bytes -= first.n_bytes
            yield _outcome(first)
        pixels = _begin(source, index, threads)
        waiting.append(_Waiting(index=index, n_bytes=n_bytes, pixels=pixels))
        held_bytes += n_bytes
    yield from map(_outcome, waiting)


def _now(source: Source, index: int) -> Outcome:
    return Outcome(index=index, pixels=source.load(source.fetch(index)))


def _begin(source: Source, index: int, threads: ThreadPoolExecutor) -> Future[Pixels]:
    try:
        stored = source.fetch(index)
    except UnreadableError as error:
        failed: Future[Pixels] = Future()
        failed.set_exception(error)
        return failed
    return threads.submit(source.load, stored)


def _outcome(entry: _Waiting) -> Outcome:
    try:
        return Outcome(index=entry.index, pixels=entry.pixels.result())
    except UnreadableError as error:
        return Outcome(index=entry.index, pixels=None, reason=str(error))

"""Decode images in several processes, and hand them out in order.

The process that asks for the images is one of them: it decodes while it would wait.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowmem_jobs.ingest.decode_tasks import Slots, image_of
from lowmem_jobs.ingest.decoder_processes import decoding_processes
from lowmem_jobs.ingest.entries import printable
from lowmem_jobs.ingest.unreadable import CUT_SHORT, KEPT_SHORT, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lowmem_jobs.ingest.decode_tasks import DecodeTask
    from lowmem_jobs.ingest.decoder_processes import DecodingProcess
    from lowmem_jobs.ingest.entries import Entry, ImageSource
    from lowmem_jobs.ingest.framing import Pixels

# Where the settings name none.
N_PROCESSES = 2
# Encoded images that may wait at once; a single one may be larger.
WAITING_BYTES = 2**25
# Handing over one image costs a tenth of decoding a small one, so several go at once;
# so many such batches for each process keep it at work while a chunk is written.
_BATCHES_PER_PROCESS = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecodeOutcome:
    """What became of one entry of a source.

    Attributes
    ----------
    index, name
        Its number in the source; its name, as text that is safe to print.
    pixels : shape (size, size, 3)
        The finished image; None where it is unreadable.
    reason
        Why it is unreadable, or what is missing of it; else empty.
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
    """Entries that were fetched together, and wait to be decoded by whoever is free.

    Attributes
    ----------
    n_bytes
        Bytes of their encoded images.
    tasks
        The images that are to be made and were given to nobody yet.
    helper
        The process that they were given to, if any.
    """

    def __init__(
        self, source: ImageSource, start: int, entries: Sequence[Entry], n_bytes: int
    ) -> None:
        self.n_bytes = n_bytes
        self.tasks: list[DecodeTask] = []
        self.helper: DecodingProcess | None = None
        self._source = source
        self._start = start
        self._names = [printable(entry.name) for entry in entries]
        # Why an entry is not among the tasks.
        self._problems = [self._fetch(entry) for entry in entries]
        self._made: list[Pixels | str] | None = None

    def _fetch(self, entry: Entry) -> str | None:
        try:
            self.tasks.append(self._source.fetch(entry))
        except UnreadableError as error:
            return str(error)
        return None

    def __len__(self) -> int:
        return len(self._names)

    @property
    def is_free(self) -> bool:
        """Whether nobody has begun."""
        return self.helper is None and self._made is None

    @property
    def is_done(self) -> bool:
        """Whether its outcomes are there."""
        return self._made is not None

    def decode_here(self) -> None:
        """Make its images in this process."""
        self._made = [self._loaded(task) for task in self.tasks]
        self.tasks.clear()

    def _loaded(self, task: DecodeTask) -> Pixels | str:
        try:
            return self._source.load(task)
        except UnreadableError as error:
            return str(error)

    def give(self, helper: DecodingProcess) -> None:
        """Let another process make them."""
        helper.give(self.tasks)
        self.helper = helper
        self.tasks.clear()

    def take(self, made: list[Pixels | str]) -> None:
        """Take what that process has made."""
        self._made = made

    def _is_wanted(self, reason: str) -> bool:
        """Tell whether an image that was refused is wanted without its end."""
        decoder = self._source.decoder
        return reason == CUT_SHORT and decoder is not None and decoder.keeps_truncated

    def _short(self, index: int) -> DecodeOutcome:
        """Read an image once more, without its end: such are few."""
        entry = self._source.entry(index)
        name = printable(entry.name)
        decoder = self._source.decoder
        assert decoder is not None  # noqa: S101 - `_is_wanted` has seen it
        try:
            task = self._source.fetch(entry)
            pixels = np.asarray(image_of(task, decoder, is_cut_short=True))
        except UnreadableError as error:
            return DecodeOutcome(index=index, name=name, pixels=None, reason=str(error))
        return DecodeOutcome(index=index, name=name, pixels=pixels, reason=KEPT_SHORT)

    def outcomes(self) -> Iterator[DecodeOutcome]:
        """Yield what became of its entries; it is done."""
        made = iter(self._made or [])
        for place, (name, problem) in enumerate(
            zip(self._names, self._problems, strict=True)
        ):
            one = next(made) if problem is None else problem
            index = self._start + place
            if isinstance(one, str):
                yield (
                    self._short(index)
                    if self._is_wanted(one)
                    else DecodeOutcome(index=index, name=name, pixels=None, reason=one)
                )
            else:
                yield DecodeOutcome(index=index, name=name, pixels=one)


@contextmanager
def outcomes(
    source: ImageSource, start: int, *, n_ahead: int, n_processes: int = N_PROCESSES
) -> Iterator[Iterator[DecodeOutcome]]:
    """Give the outcomes of all entries from number ``start`` on, in order.

    Parameters
    ----------
    n_ahead
        Entries that may be under way at once; never changes what comes out.
    n_processes
        Processes that decode, this one included; never changes what comes out.
    """
    if source.decoder is None:
        yield (_now(source, index) for index in range(start, len(source)))
        return
    n_batches = _BATCHES_PER_PROCESS * n_processes
    limits = _Limits(
        n_ahead=n_ahead,
        n_batch=max(1, n_ahead // n_batches),
        batch_bytes=WAITING_BYTES // n_batches,
    )
    slots = Slots(
        n_slots=_BATCHES_PER_PROCESS,
        n_images=limits.n_batch,
        encoded_bytes=limits.batch_bytes,
        side=source.decoder.frame.size,
    )
    n_rest = -(-(len(source) - start) // limits.n_batch)
    n_others = max(0, min(n_processes, n_ahead, n_rest) - 1)
    with decoding_processes(n_others, source.decoder, slots) as helpers:
        yield _in_order(source, start, limits, helpers)


def _in_order(
    source: ImageSource, start: int, limits: _Limits, helpers: list[DecodingProcess]
) -> Iterator[DecodeOutcome]:
    waiting: deque[_Batch] = deque()
    n_waiting = held_bytes = 0
    n_fetched = start
    for entries, n_bytes in _batches(source, start, limits):
        while waiting and (
            n_waiting + len(entries) > limits.n_ahead
            or held_bytes + n_bytes > WAITING_BYTES
        ):
            n_waiting -= len(waiting[0])
            held_bytes -= waiting[0].n_bytes
            yield from _first(waiting, helpers)
        waiting.append(_Batch(source, n_fetched, entries, n_bytes))
        n_fetched += len(entries)
        n_waiting += len(entries)
        held_bytes += n_bytes
        _exchange(waiting, helpers)
    while waiting:
        yield from _first(waiting, helpers)


def _first(
    waiting: deque[_Batch], helpers: list[DecodingProcess]
) -> Iterator[DecodeOutcome]:
    """Take the first batch; decode what nobody has begun while it is not there."""
    first = waiting[0]
    while not first.is_done:
        free = next((batch for batch in waiting if batch.is_free), None)
        if free is not None:
            free.decode_here()
        elif first.helper is not None:
            first.take(first.helper.take())
        _exchange(waiting, helpers)
    return waiting.popleft().outcomes()


def _exchange(waiting: deque[_Batch], helpers: list[DecodingProcess]) -> None:
    """Take what the other processes have made, and give them more."""
    for helper in helpers:
        _take_ready(waiting, helper)
    for batch in waiting:
        if helpers and batch.is_free:
            helper = min(helpers, key=lambda one: one.n_given)
            if not helper.takes(batch.tasks):
                return
            batch.give(helper)


def _take_ready(waiting: deque[_Batch], helper: DecodingProcess) -> None:
    """Take what one process has made; it gives batches back in their order."""
    for batch in waiting:
        if batch.helper is helper and not batch.is_done:
            if not helper.is_ready():
                return
            batch.take(helper.take())


def _batches(
    source: ImageSource, start: int, limits: _Limits
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


def _now(source: ImageSource, index: int) -> DecodeOutcome:
    entry = source.entry(index)
    pixels = source.load(source.fetch(entry))
    return DecodeOutcome(index=index, name=printable(entry.name), pixels=pixels)

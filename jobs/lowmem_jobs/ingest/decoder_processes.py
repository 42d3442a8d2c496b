"""Processes that decode beside the one that packs: started, fed, heard, ended.

Processes, because two threads that decode small images hinder each other at the
interpreter's lock: together they do 0.86 to 0.93 of what two processes do.
"""

from __future__ import annotations

import json
import os
from collections import deque
from contextlib import ExitStack, contextmanager
from io import FileIO
from mmap import mmap
from typing import TYPE_CHECKING

import numpy as np

from lowmem.worker import beside
from lowmem_jobs.ingest.decoder_program import NO_MEMORY, Work

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lowmem.worker import Child
    from lowmem_jobs.ingest.decode_tasks import DecodeTask, Slots
    from lowmem_jobs.ingest.framing import Pixels
    from lowmem_jobs.ingest.image_decoder import Decoder


@contextmanager
def decoding_processes(
    n_processes: int, decoder: Decoder, slots: Slots
) -> Iterator[list[DecodingProcess]]:
    """Start so many processes; they end at the end."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(_started(decoder, slots)) for _ in range(n_processes)
        ]


@contextmanager
def _started(decoder: Decoder, slots: Slots) -> Iterator[DecodingProcess]:
    with FileIO(os.memfd_create("lowmem-decode"), "r+") as file:
        file.truncate(slots.n_bytes)
        work = Work(
            memory=file.fileno(),
            turns=decoder.turns.fileno(),
            slots=slots,
            frame=decoder.frame,
        )
        process = beside(
            "lowmem_jobs.ingest.decoder_program",
            work.text(),
            pass_fds=(work.memory, work.turns),
        )
        with process as running, mmap(file.fileno(), slots.n_bytes) as memory:
            yield DecodingProcess(running, memory, slots)


class DecodingProcess:
    """One such process; batches come back in the order in which they were given."""

    def __init__(self, process: Child, memory: mmap, slots: Slots) -> None:
        self._process = process
        self._memory = memory
        self._slots = slots
        self._given: deque[tuple[int, int]] = deque()
        self._next_slot = 0
        self._heard: deque[bytes] = deque()

    def takes(self, tasks: Sequence[DecodeTask]) -> bool:
        """Return whether there is a slot, and these tasks fit into it."""
        return (
            len(self._given) < self._slots.n_slots
            and len(tasks) <= self._slots.n_images
            and sum(len(task.data) for task in tasks) <= self._slots.encoded_bytes
        )

    @property
    def n_given(self) -> int:
        """Batches that it has not given back."""
        return len(self._given)

    def give(self, tasks: Sequence[DecodeTask]) -> None:
        """Let it make these images; `takes` them."""
        slot = self._next_slot
        self._next_slot = (slot + 1) % self._slots.n_slots
        at = self._slots.encoded_at(slot)
        for task in tasks:
            self._memory[at : at + len(task.data)] = task.data
            at += len(task.data)
        heads = [(task.kind, task.numbers, len(task.data)) for task in tasks]
        self._given.append((slot, len(tasks)))
        if not self._process.send(json.dumps([slot, heads]).encode() + b"\n"):
            self._end()

    def is_ready(self) -> bool:
        """Return whether the first batch is done."""
        if not self._heard:
            self._hear(0.0)
        return bool(self._heard)

    def take(self) -> list[Pixels | str]:
        """Wait for the first batch: its images, or why they are unreadable.

        Raises
        ------
        MemoryError
            If it was refused memory.
        """
        while not self._heard:
            self._hear(None)
        reasons = json.loads(self._heard.popleft())
        if reasons == NO_MEMORY:
            raise MemoryError
        slot, n_images = self._given.popleft()
        start = self._slots.pixels_at(slot, 0)
        side = self._slots.side
        # Copied: the slot is used again before the images are stored.
        flat = np.frombuffer(
            self._memory[start : start + n_images * self._slots.image_bytes], np.uint8
        )
        images = flat.reshape(n_images, side, side, 3)
        return [
            image if reason is None else reason
            for image, reason in zip(images, reasons, strict=True)
        ]

    def _hear(self, timeout_s: float | None) -> None:
        self._heard += self._process.lines(timeout_s)
        if not self._process.is_open:
            self._end()

    def _end(self) -> None:
        """End as it ended: whoever watches judges a crash by how a process died."""
        status = self._process.wait().status
        if status < 0:
            os.kill(os.getpid(), -status)
        raise RuntimeError(f"a decoding process ended by itself, with status {status}")

"""A process that does nothing but decode: ``python -m lowmem_jobs.ingest.decoder_program``.

Its own argument is a `Work` in JSON. Each line of its input, a slot and the tasks in
it, is answered by a line: for each image why it is unreadable, or null where its pixels
are in the slot. It ends with its input, and with the thread that started it.
"""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import asdict, dataclass
from mmap import mmap
from typing import TYPE_CHECKING, Any, Self

from lowmem.worker import answer_lines
from lowmem_jobs.ingest.decode_tasks import DecodeTask, Slots, image_of
from lowmem_jobs.ingest.framing import Framing
from lowmem_jobs.ingest.image_decoder import Decoder
from lowmem_jobs.ingest.large_images import Turns
from lowmem_jobs.ingest.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# The answer where memory was refused.
NO_MEMORY = "no memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a decoding process is told at its start.

    Attributes
    ----------
    memory, turns
        Descriptors of the shared memory, and of the file of `Turns`.
    slots, frame
        How that memory is divided, and how images are cut and scaled.
    """

    memory: int
    turns: int
    slots: Slots
    frame: Framing

    def text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return what `text` of the other side says."""
        fields: dict[str, Any] = json.loads(text)
        frame, slots = fields.pop("frame"), fields.pop("slots")
        crop = frame["crop"]
        frame["crop"] = crop if isinstance(crop, str) else tuple(crop)
        return cls(frame=Framing(**frame), slots=Slots(**slots), **fields)


def answers(arguments: Sequence[str]) -> Callable[[bytes], bytes]:
    """Return what answers each line of the process that packs."""
    (text,) = arguments
    work = Work.from_text(text)
    warnings.filterwarnings("ignore", module=r"PIL\.")
    decoder = Decoder(work.frame, turns=Turns(work.turns))
    memory = mmap(work.memory, work.slots.n_bytes)

    def answer(line: bytes) -> bytes:
        slot, tasks = json.loads(line)
        try:
            found: object = _decode(decoder, memory, work.slots, slot, tasks)
        except MemoryError:
            found = NO_MEMORY
        return json.dumps(found).encode()

    return answer


def _decode(
    decoder: Decoder,
    memory: mmap,
    slots: Slots,
    slot: int,
    tasks: Sequence[tuple[Any, Sequence[int], int]],
) -> list[str | None]:
    """Make the images of one slot; return why not."""
    reasons: list[str | None] = []
    at = slots.encoded_at(slot)
    for place, (kind, numbers, n_bytes) in enumerate(tasks):
        task = DecodeTask(kind, tuple(numbers), memory[at : at + n_bytes])
        at += n_bytes
        try:
            pixels = image_of(task, decoder).tobytes()
        except UnreadableError as error:
            reasons.append(str(error))
            continue
        start = slots.pixels_at(slot, place)
        memory[start : start + len(pixels)] = pixels
        reasons.append(None)
    return reasons


if __name__ == "__main__":
    answer_lines(answers)
    os._exit(0)

"""What the supervisor writes down: the journal, and readings for the charts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import msgspec

from lowmem.base.clock import timestamp
from lowmem.base.files import make_folder, storage_errors
from lowmem.base.journal import JournalWriter
from lowmem.protocol.records import body_from_record

if TYPE_CHECKING:
    from io import FileIO
    from types import TracebackType

    from lowmem.base.clock import Clock
    from lowmem.base.workspace import Workspace
    from lowmem.protocol.records import AnyRecord

# seconds; one point a second is enough to draw, and 40 bytes of disk.
_POINT_INTERVAL_S = 1.0


class Journal:
    """The journal of a workspace, open for writing; a context manager."""

    def __init__(self, space: Workspace, clock: Clock) -> None:
        self._writer = JournalWriter(space.journal)
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.__exit__(kind, error, traceback)

    def now(self) -> str:
        """Return the time as records give it."""
        return timestamp(self._clock.now())

    def write(self, record: AnyRecord) -> None:
        """Add one record, durably."""
        self._writer.append(body_from_record(record))


@dataclass(slots=True)
class Telemetry:
    """Readings of one job on the disk: the largest of each second. Not durable."""

    space: Workspace
    job: str
    attempt: int
    clock: Clock
    _stream: FileIO | None = None
    _due: float = 0.0
    _ram_bytes: int = 0
    _vram_bytes: int | None = None

    def __enter__(self) -> Self:
        path = self.space.telemetry(self.job)
        make_folder(path.parent)
        with storage_errors(path):
            self._stream = path.open("ab", buffering=0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._write_point()
        if self._stream is not None:
            self._stream.close()

    def add(self, ram_bytes: int, vram_bytes: int | None) -> None:
        """Take one reading."""
        self._ram_bytes = max(ram_bytes, self._ram_bytes)
        if vram_bytes is not None:
            self._vram_bytes = max(vram_bytes, self._vram_bytes or 0)
        if self.clock.monotonic() >= self._due:
            self._write_point()

    def _write_point(self) -> None:
        if self._stream is None or not self._ram_bytes:
            return
        self._due = self.clock.monotonic() + _POINT_INTERVAL_S
        point = {
            "at": timestamp(self.clock.now()),
            "attempt": self.attempt,
            "ram_bytes": self._ram_bytes,
            "vram_bytes": self._vram_bytes,
        }
        self._ram_bytes, self._vram_bytes = 0, None
        with storage_errors(self.space.telemetry(self.job)):
            self._stream.write(msgspec.json.encode(point) + b"\n")

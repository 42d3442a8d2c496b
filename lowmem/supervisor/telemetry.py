"""What the supervisor writes down: the journal, and readings for the charts."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import msgspec

from lowmem.base.clock import timestamp
from lowmem.base.files import make_folder, storage_errors
from lowmem.base.journal import JournalWriter
from lowmem.protocol.records import body_from_record
from lowmem.report.live_status import now_from_standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO

    from lowmem.base.clock import Clock
    from lowmem.base.workspace import Workspace
    from lowmem.protocol.records import AnyRecord
    from lowmem.supervisor.background import BackgroundThread
    from lowmem.supervisor.progress import Progress

# seconds between two points: one a second is enough to draw, and some 150 bytes of disk.
# A job of two seconds has more, or it would show three.
_LONGEST_APART_S = 1.0
_LEAST_APART_S = 0.1
_APART_SHARE = 1 / 30


class Journal:
    """The journal of a workspace, open for writing; a context manager."""

    def __init__(self, space: Workspace, clock: Clock) -> None:
        self._writer = JournalWriter(space.journal)
        self._clock = clock
        self._carry_out: Callable[[Callable[[], None]], None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._writer.__exit__(*raised)

    def now(self) -> str:
        """Return the time as records give it."""
        return timestamp(self._clock.now())

    def write(self, record: AnyRecord) -> None:
        """Add one record, durably."""
        body = body_from_record(record)
        if self._carry_out is None:
            self._writer.append(body)
        else:
            self._carry_out(lambda: self._writer.append(body))

    @contextlib.contextmanager
    def beside(self, carry_out: Callable[[Callable[[], None]], None]) -> Iterator[None]:
        """For the length of a block, let another see to it that records are written.

        Parameters
        ----------
        carry_out
            Does what it is given, and returns once it is done.
        """
        self._carry_out = carry_out
        try:
            yield
        finally:
            self._carry_out = None


@dataclass(slots=True)
class Telemetry:
    """Readings of one job on the disk, and how far it is. Not durable.

    Each is the largest since the one before; they come ten a second at first, and one a
    second once the worker has been there for half a minute.
    """

    space: Workspace
    attempt: int
    clock: Clock
    background: BackgroundThread
    progress: Progress
    _stream: FileIO | None = None
    _began: float | None = None
    _due: float = 0.0
    _ram_bytes: int = 0
    _vram_bytes: int | None = None

    def __enter__(self) -> Self:
        path = self.space.telemetry(self.progress.job)
        make_folder(path.parent)
        with storage_errors(path):
            self._stream = path.open("ab", buffering=0)
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            if self._ram_bytes:
                self._write_point(self._taken_point())
            self._stream.close()

    def add(self, ram_bytes: int, vram_bytes: int | None) -> None:
        """Take one reading."""
        self._ram_bytes = max(ram_bytes, self._ram_bytes)
        if vram_bytes is not None:
            self._vram_bytes = max(vram_bytes, self._vram_bytes or 0)
        now = self.clock.monotonic()
        self._began = now if self._began is None else self._began
        if now >= self._due and self._ram_bytes:
            apart_s = _APART_SHARE * (now - self._began)
            self._due = now + min(max(apart_s, _LEAST_APART_S), _LONGEST_APART_S)
            if self.background.is_idle:
                line = self._taken_point()
                self.background.do(lambda: self._write_point(line))

    def _taken_point(self) -> bytes:
        """Return the line of the readings so far, and begin anew."""
        point = {
            "at": timestamp(self.clock.now()),
            "attempt": self.attempt,
            "ram_bytes": self._ram_bytes,
            "vram_bytes": self._vram_bytes,
            "now": now_from_standing(self.progress.standing(self.clock.monotonic())),
        }
        self._ram_bytes, self._vram_bytes = 0, None
        return msgspec.json.encode(point) + b"\n"

    def _write_point(self, line: bytes) -> None:
        if self._stream is not None:
            with storage_errors(self.space.telemetry(self.progress.job)):
                self._stream.write(line)

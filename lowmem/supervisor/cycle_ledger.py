"""What is measured during one cycle, and the lines of an attempt in the journal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lowmem.protocol.messages import Cycle
from lowmem.protocol.records import AttemptBegun, CycleEnded, Noted

if TYPE_CHECKING:
    from lowmem.base.clock import Clock
    from lowmem.memory.process_tree import TreeSampler
    from lowmem.protocol.messages import Committed, Started
    from lowmem.protocol.records import Outcome, Spent
    from lowmem.supervisor.telemetry import Journal
    from lowmem.supervisor.usage_meter import Meter


@dataclass(slots=True, kw_only=True)
class Readings:
    """Readings of the cycle under way; None where none was taken yet."""

    index: int = 0
    started_at: str = ""
    began_s: float = 0.0
    start_bytes: int | None = None
    peak_bytes: int | None = None
    end_bytes: int | None = None
    returned_bytes: int | None = None
    hwm_bytes: int | None = None
    vram_peak_bytes: int | None = None


@dataclass(slots=True, kw_only=True)
class CycleLedger:
    """Takes the readings of an attempt's cycles and writes down what becomes of it.

    Attributes
    ----------
    next_cycle
        Where the worker is expected to go on.
    """

    job: str
    attempt: int
    next_cycle: int
    settings: dict[str, int]
    journal: Journal
    tree: TreeSampler
    meter: Meter
    clock: Clock
    _now: Readings = field(default_factory=Readings)
    _worker_peak_bytes: int = 0

    def started(self, answer: Started, device_name: str | None) -> None:
        """Write down that the worker has begun.

        Parameters
        ----------
        device_name
            Of the machine's device, whether the worker uses it or not.
        """
        self.journal.write(
            AttemptBegun(
                job=self.job,
                at=self.journal.now(),
                attempt=self.attempt,
                device=answer.device,
                device_name=device_name if answer.device == "gpu" else None,
                next_cycle=answer.next_cycle,
                settings=self.settings,
                versions=answer.versions,
            )
        )

    def noted(self, text: str) -> None:
        """Write down a line that the job wants kept."""
        self.journal.write(
            Noted(job=self.job, at=self.journal.now(), attempt=self.attempt, text=text)
        )

    def begin(self, index: int) -> None:
        """Start a cycle: the kernel's high-water marks begin anew."""
        self.tree.reset_peaks()
        used_bytes = self.tree.read().ram_bytes
        self._now = Readings(
            index=index,
            started_at=self.journal.now(),
            began_s=self.clock.monotonic(),
            start_bytes=used_bytes,
            peak_bytes=used_bytes,
        )

    def note(self, ram_bytes: int) -> None:
        """Take a reading of the tree."""
        self._now.peak_bytes = max(ram_bytes, self._now.peak_bytes or 0)

    def note_vram(self, vram_bytes: int) -> None:
        """Take a reading of the device."""
        self._now.vram_peak_bytes = max(vram_bytes, self._now.vram_peak_bytes or 0)

    def committed(self, answer: Committed, end_bytes: int) -> None:
        """Write down a cycle that was committed."""
        self.note(end_bytes)
        self._now.end_bytes = end_bytes
        self._now.returned_bytes = answer.ram_returned_bytes
        self._now.hwm_bytes = self._kernels_peak()
        self._write(answer.cycle, "committed", self._now, self._spent())

    def worker_ended(self, peak_bytes: int) -> None:
        """Take the kernel's high-water mark of a worker that was reaped.

        It has seen what happened between the last reading and the end.
        """
        self._worker_peak_bytes = peak_bytes

    def _kernels_peak(self) -> int:
        if not self._worker_peak_bytes:
            return self.tree.peak_bytes()
        at_least = self._worker_peak_bytes + self.tree.root_peak_bytes()
        return max(at_least, self.tree.peak_bytes())

    def recovered(self, cycle: Cycle) -> None:
        """Write down a cycle that was committed unseen: nothing was measured."""
        self._write(cycle, "committed", Readings())

    @property
    def under_way(self) -> int | None:
        """Index of the cycle under way; None while the worker is not ready."""
        return None if self._now.start_bytes is None else self._now.index

    @property
    def took_s(self) -> float:
        """Seconds that the cycle under way has taken so far."""
        return self.clock.monotonic() - self._now.began_s

    @property
    def peak_bytes(self) -> int | None:
        """The largest reading of the cycle under way; None before the first."""
        return self._now.peak_bytes

    def cut(self, worker_peak_bytes: int, unseen: Cycle | None = None) -> None:
        """Write down the cycle during which the worker ended.

        Parameters
        ----------
        worker_peak_bytes
            The kernel's high-water mark of the worker, known once it is reaped.
        unseen
            The same cycle, if it was committed before the end and only its message was
            lost; None if the end cut it.
        """
        self.worker_ended(worker_peak_bytes)
        if self._now.start_bytes is None:
            # The worker never became ready: it ran nothing of the cycle it was to run.
            self._now.index = self.next_cycle
            self._now.started_at = self.journal.now()
            self._now.began_s = self.clock.monotonic()
        else:
            self._now.hwm_bytes = self._kernels_peak()
        if unseen is not None:
            self._write(unseen, "committed", self._now, self._spent())
            return
        cycle = Cycle(
            index=self._now.index,
            items=0,
            started_at=self._now.started_at,
            seconds=self.clock.monotonic() - self._now.began_s,
            commit_seconds=0.0,
            settings=self.settings,
        )
        self._write(cycle, "interrupted", self._now, self._spent())

    def _spent(self) -> Spent:
        return self.meter.spent(self.tree.pids)

    def _write(
        self,
        cycle: Cycle,
        outcome: Outcome,
        readings: Readings,
        spent: Spent | None = None,
    ) -> None:
        self.journal.write(
            CycleEnded(
                job=self.job,
                at=self.journal.now(),
                attempt=self.attempt,
                outcome=outcome,
                cycle=cycle,
                ram_start_bytes=readings.start_bytes,
                ram_peak_bytes=readings.peak_bytes,
                ram_end_bytes=readings.end_bytes,
                ram_returned_bytes=readings.returned_bytes,
                ram_hwm_bytes=readings.hwm_bytes,
                vram_peak_bytes=readings.vram_peak_bytes,
                spent=spent,
            )
        )

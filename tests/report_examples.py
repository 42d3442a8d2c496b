"""Journals as a supervisor writes them, for the tests of the report."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from lowmem.base.clock import timestamp
from lowmem.base.journal import JournalWriter
from lowmem.protocol.messages import Cycle
from lowmem.protocol.records import (
    AttemptBegun,
    CycleEnded,
    Incident,
    JobBegun,
    JobEnded,
    Noted,
    RunBegun,
    body_from_record,
)

if TYPE_CHECKING:
    from lowmem.base.workspace import Workspace
    from lowmem.protocol.records import AnyRecord

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
MIB = 2**20


@dataclass
class History:
    """Records of one job in the making; each method adds one and lets time pass."""

    job: str = "train"
    reference: str = ""
    command: tuple[str, ...] = ()
    unit: str = "images"
    at: datetime = START
    attempt: int = 0
    settings: dict[str, int] = field(
        default_factory=lambda: {"batch_size": 64, "micro_batch": 64}
    )
    records: list[AnyRecord] = field(default_factory=list)
    readings: list[dict[str, Any]] = field(default_factory=list)

    def pause(self, seconds: float) -> History:
        self.at += timedelta(seconds=seconds)
        return self

    def begin(self, **recipe: object) -> History:
        reference = self.reference or self.job
        return self._add(
            JobBegun,
            reference=reference,
            command=self.command,
            recipe=recipe,
            unit=self.unit,
        )

    def run(self, **changes: object) -> History:
        facts = {
            "seed": 1,
            "ram_budget_bytes": 2 * 1024 * MIB,
            "vram_budget_bytes": None,
            "time_budget_s": None,
        }
        return self._add(RunBegun, **(facts | changes))

    def start(self, next_cycle: int, **changes: object) -> History:
        self.attempt += 1
        facts = {
            "device": "cpu",
            "settings": self.settings,
            "versions": {"python": "3.11.9", "keras": "3.15.0"},
        }
        return self._add(
            AttemptBegun,
            attempt=self.attempt,
            next_cycle=next_cycle,
            **(facts | changes),
        )

    def cycle(
        self, index: int, *, items: int = 4096, seconds: float = 12.5, **changes: object
    ) -> History:
        """Add a cycle, and a reading of every second of it."""
        facts: dict[str, Any] = {
            "outcome": "committed",
            "ram_start_bytes": 640 * MIB,
            "ram_peak_bytes": (1100 + 37 * index % 90) * MIB,
            "ram_end_bytes": (650 + index) * MIB,
            "ram_returned_bytes": 310 * MIB,
            "ram_hwm_bytes": 1500 * MIB,
        } | changes
        began = self.at
        self._read_along(facts, seconds)
        self.at = began + timedelta(seconds=seconds)
        is_cut = facts["outcome"] == "interrupted"
        facts["cycle"] = Cycle(
            index=index,
            items=0 if is_cut else items,
            started_at=timestamp(began),
            seconds=seconds,
            commit_seconds=0.0 if is_cut else 0.08,
            settings=self.settings,
        )
        return self._add(CycleEnded, attempt=self.attempt, **facts)

    def cut(self, index: int, **changes: object) -> History:
        facts = {
            "outcome": "interrupted",
            "seconds": 5.0,
            "ram_peak_bytes": 2050 * MIB,
            "ram_end_bytes": None,
            "ram_returned_bytes": None,
        }
        return self.cycle(index, **(facts | changes))

    def incident(self, **changes: object) -> History:
        facts = {
            "verdict": "ram_limit",
            "ram_bytes": 2050 * MIB,
            "where": "work.py:123 in load_all",
            "action": "restarted with micro_batch 32",
        }
        return self._add(Incident, attempt=self.attempt, **(facts | changes))

    def note(self, text: str) -> History:
        return self._add(Noted, attempt=self.attempt, text=text)

    def end(
        self, state: str = "done", exit_code: int = 0, **changes: object
    ) -> History:
        return self._add(JobEnded, state=state, exit_code=exit_code, **changes)

    def _add(self, kind: type[AnyRecord], **facts: object) -> History:
        self.records.append(kind(job=self.job, at=timestamp(self.at), **facts))
        return self.pause(0.25)

    def _read_along(self, facts: dict[str, Any], seconds: float) -> None:
        low, high = facts["ram_start_bytes"], facts["ram_peak_bytes"]
        if low is None or high is None:
            return
        n_readings = round(seconds)
        for second in range(n_readings):
            phase = math.sin(math.pi * second / max(n_readings - 1, 1)) ** 0.3
            self.readings.append(
                {
                    "at": timestamp(self.at + timedelta(seconds=second)),
                    "attempt": self.attempt,
                    "ram_bytes": round(low + (high - low) * max(phase, 0)),
                    "vram_bytes": facts.get("vram_peak_bytes"),
                }
            )


def killed_and_retried() -> History:
    """Return a training job: killed once, stopped for the night, and finished."""
    history = History()
    history.begin(epochs=2).run().start(0)
    for index in range(6):
        history.cycle(index)
    history.cut(6).incident()
    history.settings = {"batch_size": 64, "micro_batch": 32}
    history.pause(2).start(6)
    for index in range(6, 9):
        history.cycle(index, ram_peak_bytes=(820 + index) * MIB)
    history.end(
        "stopped", 75, message="job train stopped: time budget of 2 min used up."
    )
    history.pause(9 * 3600).run(time_budget_s=3600.0).start(9)
    for index in range(9, 40):
        history.cycle(index, ram_peak_bytes=(830 + index) * MIB)
    return history.end(
        published=("model",),
        summary={"epochs": 2, "loss": 0.0123456789, "model": "model/autoencoder.keras"},
    )


def write_journal(workspace: Workspace, *histories: History) -> None:
    """Write the records, ordered by time, and the readings, as a supervisor would."""
    records = [record for history in histories for record in history.records]
    with JournalWriter(workspace.journal) as journal:
        for record in sorted(records, key=lambda record: record.at):
            journal.append(body_from_record(record))
    for history in histories:
        path = workspace.telemetry(history.job)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [msgspec.json.encode(reading) for reading in history.readings]
        path.write_bytes(b"".join(line + b"\n" for line in lines))

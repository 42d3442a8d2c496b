"""What is known of a job's memory from before: its trials, and what real runs showed.

Trials lie in one small file a key; what runs showed is a fold over the journal, which
holds every stop and every peak anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from lowmem.base.files import make_folder, write_file
from lowmem.protocol.records import (
    AttemptBegun,
    CycleEnded,
    Incident,
    JobBegun,
    JobEnded,
    RunBegun,
)
from lowmem.supervisor.forecast import Ceiling, Ceilings, Setting, setting_key

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lowmem.base.workspace import Workspace
    from lowmem.protocol.job import Device
    from lowmem.protocol.messages import PlannedTrial
    from lowmem.protocol.records import AnyRecord

_FORMAT = 1


class TrialPeak(msgspec.Struct, frozen=True, kw_only=True):
    """What one trial showed.

    Attributes
    ----------
    ram_bytes
        Peak of the worker, the supervisor's own memory left out.
    is_whole
        Whether it ran to its end, or was stopped at the budget.
    """

    settings: dict[str, int]
    options: dict[str, object]
    ram_bytes: int
    is_whole: bool
    ram_budget_bytes: int


class _TrialFile(msgspec.Struct, frozen=True, kw_only=True):
    job: str
    trials: tuple[TrialPeak, ...]
    format: int = _FORMAT


def read_trials(space: Workspace, key: str) -> tuple[TrialPeak, ...]:
    """Return the trials that are remembered; what cannot be read is forgotten."""
    try:
        found = msgspec.json.decode(_path(space, key).read_bytes(), type=_TrialFile)
    except (OSError, msgspec.DecodeError):
        return ()
    return found.trials if found.format == _FORMAT else ()


def write_trials(
    space: Workspace, key: str, job: str, trials: Iterable[TrialPeak]
) -> None:
    """Remember trials.

    Raises
    ------
    StorageError
        If they cannot be written.
    """
    path = _path(space, key)
    make_folder(path.parent)
    kept = _TrialFile(job=job, trials=tuple(trials))
    write_file(path, msgspec.json.format(msgspec.json.encode(kept)))


def _path(space: Workspace, key: str) -> Path:
    return space.trials / f"{key}.json"


def known_peak(
    trials: Iterable[TrialPeak], trial: PlannedTrial, budget_bytes: int
) -> TrialPeak | None:
    """Return what is known of a trial; one stopped at a smaller budget tells nothing."""
    for one in trials:
        is_same = one.settings == trial.settings and one.options == trial.options
        if is_same and (one.is_whole or one.ram_budget_bytes >= budget_bytes):
            return one
    return None


def ceilings_of(
    job: str, key: str, device: Device, records: Iterable[AnyRecord]
) -> Ceilings:
    """Return what each setting showed in the real runs of one key and device."""
    fold = _Fold(key, device)
    for record in records:
        if record.job == job:
            fold.take(record)
    return fold.ceilings


class _Fold:
    """Where the fold stands: the job, its run and the attempt that records belong to."""

    def __init__(self, key: str, device: Device) -> None:
        self._key = key
        self._device = device
        self._is_keyed = self._is_ours = False
        self._budget_bytes = 0
        # Of the attempt at hand; and the peak of each that the job has had so far.
        self._settings: Setting = frozenset()
        self._peaks: dict[Setting, int] = {}
        self.ceilings: Ceilings = {}

    def take(self, record: AnyRecord) -> None:
        """Take the next record of the job."""
        match record:
            case JobBegun():
                self._peaks = {}
            case RunBegun():
                self._is_keyed = self._is_ours = record.memory_key == self._key
                self._budget_bytes = record.ram_budget_bytes
            case AttemptBegun():
                self._is_ours = self._is_keyed and record.device == self._device
            case CycleEnded() if self._is_ours:
                self._seen(record)
            case Incident(verdict="ram_limit") if self._is_ours:
                self._stopped()
            case JobEnded(state="done") if self._is_ours:
                self._held()

    def _seen(self, record: CycleEnded) -> None:
        # A worker that was stopped before it was ready has no record but this.
        self._settings = setting_key(record.cycle.settings)
        peak = record.ram_peak_bytes or 0
        self._peaks[self._settings] = max(peak, self._peaks.get(self._settings, 0))

    def _stopped(self) -> None:
        known = self.ceilings.get(self._settings, Ceiling())
        worst = max(self._budget_bytes, known.stopped_bytes or 0)
        self.ceilings[self._settings] = Ceiling(stopped_bytes=worst)

    def _held(self) -> None:
        peak = self._peaks.get(self._settings)
        if peak:
            self.ceilings[self._settings] = Ceiling(
                held_bytes=peak, is_whole=len(self._peaks) == 1
            )

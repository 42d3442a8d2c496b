"""What is known of a job's memory from before: its trials, and what real runs showed.

Trials lie in one small file a key; what runs showed is told by the journal, which holds
every stop and every peak anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from lowmem.base.files import make_folder, write_file
from lowmem.base.outside import BAD_JSON
from lowmem.history.fold import history_of_job

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lowmem.base.workspace import Workspace
    from lowmem.history.job_history import Ceilings
    from lowmem.protocol.messages import PlannedTrial
    from lowmem.protocol.planning import Device
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
    where
        The line at which it was stopped; None where that is not known.
    refusal
        Why the job refused the settings before any work; empty where it did not.
    """

    settings: dict[str, int]
    options: dict[str, object]
    ram_bytes: int
    is_whole: bool
    ram_budget_bytes: int
    where: str | None = None
    refusal: str = ""


class _TrialFile(msgspec.Struct, frozen=True, kw_only=True):
    job: str
    trials: tuple[TrialPeak, ...]
    # By `Planned.compare_key`: why the settings cannot be changed, or nothing.
    compared: dict[str, str] = {}
    format: int = _FORMAT


def read_trials(space: Workspace, key: str) -> tuple[TrialPeak, ...]:
    """Return the trials that are remembered; what cannot be read is forgotten."""
    return _read(space, key).trials


def read_compared(space: Workspace, key: str) -> dict[str, str]:
    """Return why settings cannot be changed, by `Planned.compare_key`; empty: they can."""
    return _read(space, key).compared


def write_trials(
    space: Workspace,
    key: str,
    job: str,
    trials: Iterable[TrialPeak],
    compared: dict[str, str],
) -> None:
    """Remember trials, and what was compared.

    Raises
    ------
    StorageError
        If they cannot be written.
    """
    path = _path(space, key)
    make_folder(path.parent)
    kept = _TrialFile(job=job, trials=tuple(trials), compared=compared)
    write_file(path, msgspec.json.format(msgspec.json.encode(kept)))


def _read(space: Workspace, key: str) -> _TrialFile:
    try:
        found = msgspec.json.decode(_path(space, key).read_bytes(), type=_TrialFile)
    except (OSError, *BAD_JSON):
        found = None
    is_known = found is not None and found.format == _FORMAT
    return found if found and is_known else _TrialFile(job="", trials=())


def _path(space: Workspace, key: str) -> Path:
    return space.trials / f"{key}.json"


def known_peak(
    trials: Iterable[TrialPeak], trial: PlannedTrial, budget_bytes: int
) -> TrialPeak | None:
    """Return what is known of a trial; one stopped at a smaller budget tells nothing."""
    for one in trials:
        is_same = one.settings == trial.settings and one.options == trial.options
        if is_same and (
            one.is_whole or one.refusal or one.ram_budget_bytes >= budget_bytes
        ):
            return one
    return None


def ceilings_of(
    job: str, key: str, device: Device, records: Iterable[AnyRecord]
) -> Ceilings:
    """Return what each setting showed in the real runs of one key and device."""
    return history_of_job(job, records).shown.get((key, device), {})

"""What was used, by sitting, job and day, as values: `lowmem usage` and the report.

A *sitting* is one run of one job under one supervisor. None stands for what was not
recorded, never 0; a sum is of what was recorded, and a row tells of how many sittings
something was not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from lowmem.protocol.records import Machine

SCHEMA = 1

Ended = Literal[
    "done",
    "running",
    "signal",
    "deadline",
    "stopped",
    "budget",
    "no_gpu",
    "failed",
    "lost",
]
GpuOutcome = Literal["unasked", "given", "absent", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """What was used; None where it was not recorded.

    Attributes
    ----------
    seconds
        From the beginning of a sitting to its end.
    gpu_seconds
        Of it, those for which a worker that was ready had a GPU.
    cpu_seconds
        Processor time of the supervisor and all that it started, the mirror's process
        left out.
    read_bytes, written_bytes
        Asked for by calls, whether a disk was reached or not; pipes count.
    disk_read_bytes, disk_written_bytes
        What reached a disk, or was given to the page cache for one.
    """

    seconds: float | None = None
    gpu_seconds: float | None = None
    cpu_seconds: float | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    disk_read_bytes: int | None = None
    disk_written_bytes: int | None = None


# A workspace, and one of its jobs.
_Place = tuple[str, str]
_NAMES = tuple(one.name for one in fields(Amounts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """One run of one job under one supervisor.

    Attributes
    ----------
    machine
        None in journals that do not tell.
    began_at
        The time of its first record.
    ended
        ``lost``: without a word, so its length is that until its newest record.
        ``stopped``: by itself, or for a reason that the journal does not tell.
    exit_code
        None of one that is lost or runs.
    signal
        Name of the signal that stopped it, if one did and the journal tells which.
    gpu
        ``absent``: wanted, and not there. None in journals that do not tell, of a program,
        which asks by itself, and of a job that says nothing of a GPU.
    gpus
        What the driver calls those that its workers had.
    """

    workspace: str
    job: str
    machine: Machine | None
    began_at: str
    ended: Ended
    exit_code: int | None
    signal: str | None
    gpu: GpuOutcome | None
    gpus: tuple[str, ...]
    used: Amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """What some sittings used together.

    Attributes
    ----------
    day
        In UTC; None of all days, and where the time cannot be read.
    workspace, job
        None of all jobs.
    n_sittings
        Those with a part in it.
    unrecorded
        Of how many of them something was not recorded, by its name in `Amounts`; what
        was recorded of all is left out.
    """

    day: str | None
    workspace: str | None
    job: str | None
    n_sittings: int
    used: Amounts
    unrecorded: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What was used in some workspaces.

    Attributes
    ----------
    total
        Of all sittings.
    jobs
        A row for each job of each workspace, in the order in which they first ran.
    days
        A row for each day and job, oldest first.
    sittings
        Oldest first.
    """

    total: UsageRow
    jobs: tuple[UsageRow, ...]
    days: tuple[UsageRow, ...]
    sittings: tuple[Sitting, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sat:
    """A sitting as a journal tells it, and what it used by day.

    Attributes
    ----------
    first
        Its first record as written: a copy of the journal has the same.
    last_at
        The time of its newest record.
    parts
        What it used by day, which `Sitting.used` is the sum of.
    """

    sitting: Sitting
    first: bytes
    last_at: str
    parts: Mapping[str | None, Amounts] = field(default_factory=dict)


def usage_of(sats: Iterable[Sat], *, since: date | None = None) -> Usage:
    """Return what sittings used together.

    Parameters
    ----------
    sats
        Of one journal or of several. One that two journals tell, since one of the two
        workspaces was made from the other or from its mirror, counts once.
    since
        The first day to count, in UTC; of a sitting that began before, what is later
        counts. All days where None.
    """
    kept = _once(sats)
    if since is not None:
        clipped = (_since(sat, since.isoformat()) for sat in kept)
        kept = [sat for sat in clipped if sat.parts]
    kept.sort(key=lambda sat: sat.sitting.began_at)
    sittings = tuple(sat.sitting for sat in kept)
    by_job: dict[_Place, list[Sitting]] = {}
    by_day: dict[tuple[str | None, _Place], list[Sitting]] = {}
    for sat in kept:
        place = (sat.sitting.workspace, sat.sitting.job)
        by_job.setdefault(place, []).append(sat.sitting)
        for day, part in sat.parts.items():
            within = replace(sat.sitting, used=part)
            by_day.setdefault((day, place), []).append(within)
    order = {place: number for number, place in enumerate(by_job)}
    days = sorted(by_day, key=lambda key: (key[0] or "", order[key[1]]))
    return Usage(
        total=_row(sittings),
        jobs=tuple(_row(found, place=place) for place, found in by_job.items()),
        days=tuple(_row(by_day[key], day=key[0], place=key[1]) for key in days),
        sittings=sittings,
    )


def summed(parts: Iterable[Amounts]) -> Amounts:
    """Return the sum of what was recorded; None where nothing was.

    Examples
    --------
    >>> summed([Amounts(seconds=1.0), Amounts(seconds=2.0, read_bytes=0)]).read_bytes
    0
    >>> summed([Amounts(seconds=1.0)]).cpu_seconds is None
    True
    """
    listed = list(parts)
    sums = {}
    for name in _NAMES:
        known = [n for part in listed if (n := getattr(part, name)) is not None]
        sums[name] = sum(known) if known else None
    return Amounts(**sums)


def json_from_usage(usage: Usage, workspaces: Iterable[str], since: date | None) -> str:
    """Return the document of ``lowmem usage --json``, indented."""
    document = {
        "schema": SCHEMA,
        "workspaces": list(workspaces),
        "since": None if since is None else since.isoformat(),
        **msgspec.to_builtins(usage),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def _once(sats: Iterable[Sat]) -> list[Sat]:
    """Return each sitting once: as the journal tells it that knows most of it."""
    found: dict[bytes, Sat] = {}
    for sat in sats:
        other = found.get(sat.first)
        if other is None or _knowledge(sat) > _knowledge(other):
            found[sat.first] = sat
    return list(found.values())


def _knowledge(sat: Sat) -> tuple[bool, str]:
    return sat.sitting.ended != "lost", sat.last_at


def _since(sat: Sat, first_day: str) -> Sat:
    parts = {
        day: part for day, part in sat.parts.items() if day is None or day >= first_day
    }
    sitting = replace(sat.sitting, used=summed(parts.values()))
    return replace(sat, sitting=sitting, parts=parts)


def _row(
    sittings: Sequence[Sitting],
    *,
    day: str | None = None,
    place: _Place | None = None,
) -> UsageRow:
    lacking = Counter(
        name for one in sittings for name in _NAMES if getattr(one.used, name) is None
    )
    workspace, job = place or (None, None)
    return UsageRow(
        day=day,
        workspace=workspace,
        job=job,
        n_sittings=len(sittings),
        used=summed(one.used for one in sittings),
        unrecorded={name: lacking[name] for name in _NAMES if lacking[name]},
    )

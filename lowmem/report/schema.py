"""The report as values: schema 1 of ``lowmem report --json``, described in docs/formats/report.md.

None stands for what was not measured, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

from lowmem.report.accounting import Usage, usage_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem.protocol.records import Outcome, State, Verdict

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """What the job as a whole may use; None where nothing limits it."""

    ram_bytes: int | None = None
    vram_bytes: int | None = None
    time_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleReport:
    """One cycle that ran, whether or not its work counts.

    Attributes
    ----------
    outcome
        Only ``committed`` cycles count, and each index is committed once: a cycle that
        was done again from an earlier point is ``rolled_back``, one that was cut
        before its commit ``interrupted``.
    items
        Items done; 0 in an interrupted cycle.
    seconds
        From its start until it was durable, or was cut.
    commit_seconds
        The share of the commit; None in an interrupted cycle.
    """

    index: int
    attempt: int
    outcome: Outcome
    items: int
    unit: str
    started_at: str
    seconds: float
    commit_seconds: float | None
    ram_start_bytes: int | None
    ram_peak_bytes: int | None
    ram_end_bytes: int | None
    ram_returned_bytes: int | None
    ram_hwm_bytes: int | None
    vram_peak_bytes: int | None
    settings: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventReport:
    """Something that ended a worker before its job was done.

    Attributes
    ----------
    signal
        The signal that did, or that asked for it, such as SIGTERM; None for none, and
        where the journal does not tell.
    """

    at: str
    attempt: int
    verdict: Verdict
    signal: str | None
    ram_bytes: int | None
    vram_bytes: int | None
    where: str | None
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteReport:
    """What the job wants whoever reads its results to know."""

    at: str
    attempt: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """A worker that became ready.

    Attributes
    ----------
    device_name
        What the driver calls the device; None on the CPU.
    next_cycle
        Where it went on.
    """

    attempt: int
    at: str
    device: Literal["cpu", "gpu"]
    device_name: str | None
    next_cycle: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeReport:
    """Where work went on under other conditions.

    From this cycle on the result may differ in its last digits from that of a run which
    began and ended under the same ones.

    Attributes
    ----------
    cycle, attempt
        The first committed cycle after it, and the worker that ran that.
    items_before
        Items done until then.
    what
        What changed: device, releases of libraries.
    """

    cycle: int
    attempt: int
    items_before: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """One job since it last began from nothing.

    Attributes
    ----------
    device, seed
        Of the newest attempt and run; None if none got so far.
    ram_peak_bytes, vram_peak_bytes
        The largest reading of any cycle or event, of those that do not count too.
    attempts
        Workers that were started.
    reference
        What is typed to run it: its name, or its file.
    command
        The words after ``lowmem`` that began it, and that continue it.
    recipe
        What its result depends on: options, seed, fingerprints of its inputs.
    unit
        What its items are, in the plural.
    begun_at, last_at
        Times of its first and its newest record.
    exit_code, message
        Of the newest run; None and empty while it has not ended.
    published
        Names of its results in the workspace; empty until it is done.
    summary
        What the job says of its result.
    versions
        Of the software that the newest attempt ran with.
    durable
        Committed cycles that a mirror has confirmed; None if it never confirmed any.
    workers
        Those that became ready, and on which device.
    changes
        From where on equality to the bit with an unbroken run is not promised, and why.
    """

    state: State
    device: Literal["cpu", "gpu"] | None
    seed: int | None
    budgets: Budgets
    ram_peak_bytes: int | None
    vram_peak_bytes: int | None
    attempts: int
    reference: str
    command: tuple[str, ...]
    unit: str
    begun_at: str
    last_at: str
    exit_code: int | None
    message: str
    published: tuple[str, ...]
    summary: Mapping[str, object]
    versions: Mapping[str, str]
    workers: tuple[WorkerReport, ...]
    changes: tuple[ChangeReport, ...]
    cycles: tuple[CycleReport, ...]
    events: tuple[EventReport, ...]
    durable: int | None = None
    notes: tuple[NoteReport, ...] = ()
    recipe: Mapping[str, object] = field(default_factory=dict)

    @property
    def committed(self) -> tuple[CycleReport, ...]:
        """The cycles that count, in order of their index."""
        return tuple(cycle for cycle in self.cycles if cycle.outcome == "committed")

    @property
    def items(self) -> int:
        """Items done and kept."""
        return sum(cycle.items for cycle in self.committed)

    @property
    def seconds(self) -> float:
        """Time spent in cycles, of those that do not count too."""
        return sum(cycle.seconds for cycle in self.cycles)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardStatus:
    """Where one shard stands.

    Attributes
    ----------
    machine
        Where it ran last.
    state
        As of a job; None where it has not ended, and runs on another machine or was cut
        off there: nobody can tell from here.
    items
        Those that it has made.
    """

    shard: str
    machine: str
    state: str | None
    items: int
    unit: str
    attempts: int
    ram_peak_bytes: int | None
    last_at: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardedJob:
    """A job whose blocks are made by shards, and are not put together yet.

    Attributes
    ----------
    blocks
        How many there are; None while no shard has said so.
    claimed
        Of those that are not done, how many a shard has begun, whether it lives or not.
    next_command
        What carries it on: the merge, or what makes all that is left.
    """

    blocks: int | None
    done: int
    claimed: int
    next_command: str
    shards: tuple[ShardStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All jobs of one workspace, in the order in which they first ran."""

    schema: int = SCHEMA
    workspace: str
    jobs: Mapping[str, JobReport]
    usage: Usage = field(default_factory=lambda: usage_of(()))
    shards: Mapping[str, ShardedJob] = field(default_factory=dict)


def json_from_report(report: Report) -> str:
    """Return the report as an indented JSON document."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode()

"""A journal made whole again, as far as its own lines and the checkpoints tell: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.checkpoints.sums import digest_of_entries
from lowmem.history.fold import history_of, taken_back_from
from lowmem.protocol.recipe import is_extension
from lowmem.protocol.records import AttemptBegun, CycleEnded, JobBegun, JobEnded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from lowmem.checkpoints.manifest import Manifest
    from lowmem.protocol.records import AnyRecord
    from lowmem.repair.journal_lines import JournalLines


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairedJournal:
    """What a damaged journal is replaced by.

    Attributes
    ----------
    records
        All of it, in order.
    notes
        What was made good, and what is lost.
    """

    records: tuple[AnyRecord, ...]
    notes: tuple[str, ...]


def repaired_journal(
    lines: JournalLines,
    manifests: Mapping[str, Sequence[Manifest]],
    *,
    published: Collection[str],
) -> RepairedJournal:
    """Return the journal without its damage.

    Parameters
    ----------
    manifests
        Those of each job's checkpoints that are whole, oldest first: they hold the
        recipe, their own cycle and, at the end, the results.
    published
        Jobs whose results are all in their places.
    """
    notes = [
        f"journal: {words_of(numbers)} taken out, since what was held cannot be told"
        for numbers in lines.damaged
    ]
    records = list(lines.records)
    for job, own in manifests.items():
        if own:
            records, told = _with_job(records, job, own, is_done=job in published)
            notes += told
    for job, history in history_of(records).jobs.items():
        if history.missing_cycles:
            notes.append(lost_measurements(job, history.missing_cycles))
    return RepairedJournal(records=tuple(records), notes=tuple(notes))


def lost_measurements(job: str, cycles: Collection[int]) -> str:
    """Return in words that no record tells of some committed cycles of a job."""
    listed = ", ".join(map(str, cycles))
    return f"journal: what {job} measured in cycle {listed} is lost; its work is not"


def words_of(numbers: range) -> str:
    """Return the numbers of consecutive lines in words."""
    first, last = numbers[0], numbers[-1]
    return f"line {first}" if first == last else f"lines {first} to {last}"


def _with_job(
    records: list[AnyRecord], job: str, manifests: Sequence[Manifest], *, is_done: bool
) -> tuple[list[AnyRecord], list[str]]:
    """Return the records with what the checkpoints of a job add to them."""
    notes = []
    newest = manifests[-1]
    history = history_of(records).of(job)
    is_former = history.begun is not None and is_extension(
        newest.recipe, history.begun.recipe, history.begun.extents
    )
    if history.begun is None or (
        history.begun.recipe != newest.recipe and not is_former
    ):
        records = _with_beginning(records, job, newest)
        notes.append(f"journal: the beginning of {job}, from its checkpoint's recipe")
    for manifest in manifests:
        if manifest.generation not in history_of(records).of(job).committed:
            records = _with_cycle(records, job, manifest)
            notes.append(f"journal: cycle {manifest.generation} of {job}, unmeasured")
    if is_done and not is_former and history_of(records).of(job).ended is None:
        records = [*records, _end(job, newest)]
        notes.append(f"journal: the end of {job}, from its last checkpoint")
    return records, notes


def _with_beginning(
    records: list[AnyRecord], job: str, manifest: Manifest
) -> list[AnyRecord]:
    """Put a beginning before the job's first record, or the first since an older one."""
    begun = JobBegun(
        job=job,
        at=manifest.cycle.started_at,
        reference=job,
        command=("run", job),
        recipe=manifest.recipe,
        unit="items",
    )
    own = [(index, record) for index, record in _since_begun(records, job)]
    has_older = bool(own) and isinstance(own[0][1], JobBegun)
    if has_older:
        # What was begun then has ended, or was given up.
        ends = [n for n, (_, record) in enumerate(own[:-1]) if _is_end(record)]
        own = own[ends[0] + 1 if ends else 1 :]
    place = own[0][0] if own else len(records)
    return [*records[:place], begun, *records[place:]]


def _is_end(record: AnyRecord) -> bool:
    return isinstance(record, JobEnded) and record.state == "done"


def _with_cycle(
    records: list[AnyRecord], job: str, manifest: Manifest
) -> list[AnyRecord]:
    """Put a cycle where it counts: after what took it back, before what comes after it."""
    attempt, place = 1, len(records)
    for index, record in _since_begun(records, job):
        taken_back = taken_back_from(record)
        if taken_back is not None and taken_back <= manifest.generation:
            place = len(records)
        elif place == len(records) and _comes_after(record, manifest.generation):
            place = index
        if isinstance(record, AttemptBegun) and place == len(records):
            attempt = record.attempt
    ended = CycleEnded(
        job=job,
        at=manifest.cycle.started_at,
        attempt=attempt,
        outcome="committed",
        cycle=manifest.cycle,
    )
    return [*records[:place], ended, *records[place:]]


def _comes_after(record: AnyRecord, generation: int) -> bool:
    if isinstance(record, CycleEnded):
        return record.cycle.index > generation
    return _is_end(record) or (
        isinstance(record, AttemptBegun) and record.next_cycle > generation
    )


def _since_begun(
    records: Sequence[AnyRecord], job: str
) -> Iterator[tuple[int, AnyRecord]]:
    """Yield the job's records since it last began, with their places."""
    own = [(i, record) for i, record in enumerate(records) if record.job == job]
    begins = [n for n, (_, record) in enumerate(own) if isinstance(record, JobBegun)]
    yield from own[begins[-1] if begins else 0 :]


def _end(job: str, manifest: Manifest) -> JobEnded:
    return JobEnded(
        job=job,
        at=manifest.cycle.started_at,
        state="done",
        exit_code=0,
        published=manifest.publish,
        summary=manifest.summary,
        results_sha256=digest_of_entries(manifest.results) if manifest.results else "",
    )


def roll_back(
    records: Sequence[AnyRecord], job: str, generation: int, *, at: str
) -> tuple[CycleEnded, ...]:
    """Return the record that says that commits after ``generation`` are lost."""
    history = history_of(records).of(job)
    lost = [index for index in history.committed if index > generation]
    if not lost or history.is_done:
        return ()
    cycle = history.cycles[min(lost)]
    return (CycleEnded(job=job, at=at, attempt=0, outcome="rolled_back", cycle=cycle),)

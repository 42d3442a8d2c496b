"""What a mirror's generations mean for the workspace they came from: pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lowmem.history.provenance import owned
from lowmem.protocol.mirror_messages import Inspected
from lowmem.repair.findings import Finding, JobDurable, MirrorRelation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lowmem.history.job_history import JobHistory
    from lowmem.protocol.mirror_messages import HeldGeneration
    from lowmem.repair.findings import Verification

_JOURNAL = ".lowmem/journal.jsonl"


def with_mirror(
    local: Verification,
    inspected: Inspected,
    histories: Mapping[str, JobHistory],
    owners: Mapping[str, str],
    *,
    url: str,
) -> Verification:
    """Return a verification with what was found in the mirror.

    Parameters
    ----------
    owners
        Which job made each result last.
    """
    place = f"{url.rstrip('/')}/{local.workspace.rpartition('/')[2]}"
    mine = [held for held in inspected.generations if held.is_own]
    whole = [held for held in mine if not held.problem]
    standing = MirrorRelation(
        url=url,
        n_generations=len(mine),
        n_whole=len(whole),
        n_candidates=sum(not held.is_marked for held in whole),
        n_others=sum(not (g.is_own or g.is_ahead) for g in inspected.generations),
        n_ahead=sum(held.is_ahead for held in inspected.generations),
        jobs=tuple(_durable(job, history, whole) for job, history in histories.items()),
    )
    findings = _findings(inspected, _unreplaced(histories, owners), place)
    return replace(
        local,
        findings=(*local.findings, *_behind(inspected), *findings),
        notes=(*local.notes, *_notes(inspected, standing, place)),
        mirror=standing,
    )


def _unreplaced(
    histories: Mapping[str, JobHistory], owners: Mapping[str, str]
) -> dict[str, JobHistory]:
    """Return the jobs whose results no other job has replaced since.

    Of the others a mirror may hold what they once were, or nothing.
    """
    return {
        job: history
        for job, history in histories.items()
        if history.ended is None
        or owned(history.ended.published, job, owners) == list(history.ended.published)
    }


def _durable(job: str, history: JobHistory, whole: list[HeldGeneration]) -> JobDurable:
    own = [held for held in whole if held.job == job and held.is_current]
    newest = max((held.generation for held in own), default=-1)
    return JobDurable(
        job=job,
        durable=newest + 1,
        committed=history.last_cycle + 1,
        has_results=any(_has_results(held, history) for held in own),
    )


def _has_results(held: HeldGeneration, history: JobHistory) -> bool:
    """Return whether a whole generation holds what the journal says was published."""
    if not held.is_done or history.ended is None or not history.ended.results_sha256:
        return False
    return held.results_sha256 == history.ended.results_sha256


def _behind(inspected: Inspected) -> Iterator[Finding]:
    """Yield what tells that the journal lost its end, if it did."""
    newest = next((held for held in inspected.generations if held.is_ahead), None)
    if newest is not None:
        problem = (
            "ends where its mirror continues: lines are lost, or this is an older copy "
            f"(there, {newest.job} has come to commit {newest.generation})"
        )
        yield Finding(kind="journal", path=_JOURNAL, problem=problem, remedy="catch_up")


def _findings(
    inspected: Inspected, histories: Mapping[str, JobHistory], place: str
) -> Iterator[Finding]:
    for held in inspected.generations:
        path = f"{place}/{held.name}"
        history = histories.get(held.job)
        if held.problem and held.is_marked and held.is_own:
            problem = f"is damaged in the mirror: {held.problem}"
        elif history is not None and _differs(held, history):
            problem = "holds other results than those that were published"
        else:
            continue
        yield Finding(
            kind="mirror", path=path, problem=problem, job=held.job, remedy="discard"
        )
    for name in inspected.nameless:
        problem = "is damaged in the mirror: it no longer says what it is"
        yield Finding(kind="mirror", path=f"{place}/{name}", problem=problem)


def _differs(held: HeldGeneration, history: JobHistory) -> bool:
    if held.problem or not held.is_done or not held.is_current or history.ended is None:
        return False
    is_same_end = held.generation == history.last_cycle
    return (
        is_same_end
        and bool(history.ended.results_sha256)
        and not _has_results(held, history)
    )


def _notes(inspected: Inspected, standing: MirrorRelation, place: str) -> Iterator[str]:
    if standing.n_others:
        text = (
            f"the mirror holds {standing.n_others} generations of another lineage, made "
            "by another machine or from an older state: kept apart, nothing is taken "
            "from them"
        )
        yield text
    elif not standing.n_generations and not standing.n_ahead:
        yield f"the mirror holds nothing whole of this workspace ({place})"
    for held in inspected.generations:
        if held.problem and held.is_marked and not held.is_own:
            yield f"{place}/{held.name}, of another lineage, is damaged: {held.problem}"
    for name in inspected.fragments:
        whose = "an upload" if name in inspected.own_fragments else "somebody's upload"
        yield f"{place}/{name} is what {whose} left that was cut: it never counted"


def without(inspected: Inspected, gone: frozenset[str]) -> Inspected:
    """Return what is left once some archives are deleted."""
    return Inspected(
        generations=tuple(g for g in inspected.generations if g.name not in gone),
        nameless=tuple(name for name in inspected.nameless if name not in gone),
        fragments=tuple(name for name in inspected.fragments if name not in gone),
        own_fragments=tuple(n for n in inspected.own_fragments if n not in gone),
    )

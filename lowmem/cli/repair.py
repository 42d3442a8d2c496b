"""`lowmem verify --repair`: mend what can be mended, in one lock, and look again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock, timestamp
from lowmem.base.errors import LowmemError, ReportedError, StoppedError
from lowmem.checkpoints.generations import generation_path, generations, read_manifest
from lowmem.cli.execute import open_session, order_again
from lowmem.cli.mirror_check import (
    inspected_with,
    restore_checkpoints,
    restore_results,
    tidied,
    told_with,
)
from lowmem.cli.orders import RunOptions
from lowmem.integrity.findings import MirrorStanding
from lowmem.integrity.lines import read_lines
from lowmem.integrity.past import pasts_of
from lowmem.integrity.scan import verify
from lowmem.protocol.messages import Finished, Rebuild
from lowmem.supervisor.lock import WorkspaceLock
from lowmem.supervisor.mend import mend, mend_flipped_lines
from lowmem.supervisor.rebuild import rebuild_results

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem.base.workspace import Workspace
    from lowmem.checkpoints.manifest import FileEntry
    from lowmem.integrity.findings import Finding, Verification
    from lowmem.integrity.past import JobPast
    from lowmem.supervisor.run import Session


@dataclass(slots=True)
class Repair:
    """What a repair did.

    Attributes
    ----------
    done
        In words, what was mended and what is lost.
    failed
        In words, what could not be.
    """

    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def repair(space: Workspace, mirror: str | None = None) -> tuple[Verification, Repair]:
    """Mend a workspace; return what is left to be found, and what was done.

    Parameters
    ----------
    mirror
        Where damaged files are looked for before they are made again; None for nowhere.

    Raises
    ------
    WorkspaceLockedError
        If a run is at work in it.
    StoppedError
        If it was asked to stop.

    Notes
    -----
    The journal comes first, since it says what the results must be, and which mirror's
    lineage is its own; then what the mirror still holds; then the results, job by job in
    the order in which they were made, since later ones are made of them.
    """
    clock = SystemClock()
    told = Repair()
    with WorkspaceLock(space, clock) as lock:
        told.done += mend_flipped_lines(space)
        problem = "" if mirror is None else _restore(space, mirror, told)
        found = verify(space)
        told.done += mend(space, found.findings, now=timestamp(clock.now()))
        # A list of checksums that is there again may tell more.
        damaged = [f for f in verify(space).findings if f.remedy == "recompute"]
        if damaged:
            with open_session(space, lock, RunOptions()) as session:
                _rebuild_all(session, damaged, told)
        left = verify(space)
        if mirror is not None:
            left = _with_mirror(space, mirror, left, problem, told)
        return left, told


def _restore(space: Workspace, mirror: str, told: Repair) -> str:
    """Take what the mirror holds; return why it could not be read, empty if it was."""
    try:
        told.done += restore_checkpoints(space, mirror)
        findings = verify(space).findings
        recorded = {f.job: _recorded(space, f.job) for f in findings if f.job}
        told.done += restore_results(space, mirror, findings, recorded)
    except ReportedError as error:
        return str(error)
    return ""


def _with_mirror(
    space: Workspace, mirror: str, left: Verification, problem: str, told: Repair
) -> Verification:
    """Return what is left with the mirror's own damage, which is removed if it may be."""
    if problem:
        return replace(left, mirror=MirrorStanding(url=mirror, problem=problem))
    found, inspected = inspected_with(left, space, mirror)
    if inspected is None or not left.is_whole:
        return found
    try:
        rest, texts = tidied(space, mirror, found, inspected)
    except ReportedError as error:
        told.failed.append(f"mirror: {error}")
        return found
    told.done += texts
    return told_with(left, space, mirror, rest)


def _rebuild_all(session: Session, damaged: list[Finding], told: Repair) -> None:
    pasts = pasts_of(read_lines(session.space.journal).records)
    for job, past in pasts.items():
        own = [finding for finding in damaged if finding.job == job]
        if not own:
            continue
        try:
            _rebuild(session, job, past, own)
        except StoppedError:
            raise
        except LowmemError as error:
            told.failed.append(str(error))
            continue
        told.done += [f"{job}: made {f.path} again, equal to the bit" for f in own]


def _rebuild(session: Session, job: str, past: JobPast, damaged: list[Finding]) -> None:
    if past.begun is None or past.ended is None:
        return
    recorded = _recorded(session.space, job)
    history = RunOptions(
        seed=int(str(past.begun.recipe["seed"])), device=past.device, quiet=True
    )
    order = order_again(past.begun.reference, history, past.begun.recipe)
    files = {
        f.path: recorded[f.path].sha256 if f.path in recorded else "" for f in damaged
    }
    wanted = Rebuild(
        files=files,
        rows={f.path: f.first_row for f in damaged if f.first_row is not None},
        next_cycle=past.last_cycle + 1,
        finished=Finished(
            published=past.ended.published,
            summary=past.ended.summary,
            results_sha256=past.ended.results_sha256,
        ),
    )
    rebuild_results(order, session, wanted)


def _recorded(space: Workspace, job: str) -> Mapping[str, FileEntry]:
    """Return what was recorded of a job's results when they were published."""
    folder = space.checkpoints(job)
    for generation in reversed(generations(folder)):
        manifest = read_manifest(generation_path(folder, generation))
        if manifest is not None and manifest.results:
            return manifest.results
    return {}

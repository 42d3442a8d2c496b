"""Repair what lowmem keeps for itself: the journal, and the folders of checkpoints.

Only for a workspace whose lock is held. Results are made again by `recompute`.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from lowmem.base.files import make_folder, remove, rename, storage_errors, write_file
from lowmem.base.journal import line_from_body
from lowmem.checkpoints.generations import generation_path, generations, read_manifest
from lowmem.checkpoints.manifest import MANIFEST, Manifest, bytes_from_manifest
from lowmem.checkpoints.sums import digest_of_entries
from lowmem.history.fold import history_of
from lowmem.integrity.published import sums_of_results
from lowmem.protocol.records import body_from_record
from lowmem.repair.journal_lines import read_lines
from lowmem.repair.journal_plan import repaired_journal, roll_back

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lowmem.base.workspace import Workspace
    from lowmem.checkpoints.manifest import FileEntry
    from lowmem.history.job_history import History, JobHistory
    from lowmem.protocol.records import AnyRecord
    from lowmem.repair.findings import Finding


def read_history(space: Workspace) -> History:
    """Return what those lines of a journal tell that are whole."""
    return history_of(read_lines(space.journal).records)


def recorded_results(space: Workspace, job: str) -> Mapping[str, FileEntry]:
    """Return what was recorded of a job's results when they were published."""
    manifests = reversed(_whole_manifests(space, job))
    return next((manifest.results for manifest in manifests if manifest.results), {})


def repair_progress(
    space: Workspace, findings: Iterable[Finding], *, now: str
) -> list[str]:
    """Repair journal and checkpoints; return what was done and what is lost, in words.

    Parameters
    ----------
    now
        The time for what is written to the journal.
    """
    findings = list(findings)
    told = _remove_damaged(space, findings)
    kinds = {"journal", "disagreement"}
    if any(f.kind in kinds and f.remedy == "mend" for f in findings):
        told += _repair_journal(space)
    told += _roll_back(space, now)
    for job, history in read_history(space).jobs.items():
        told += _list_again(space, job, history)
    return told


def _whole_manifests(space: Workspace, job: str) -> list[Manifest]:
    """Return those of the checkpoints that are whole, oldest first."""
    folder = space.checkpoints(job)
    found = (read_manifest(generation_path(folder, n)) for n in generations(folder))
    return [manifest for manifest in found if manifest is not None]


def _remove_damaged(space: Workspace, findings: Iterable[Finding]) -> list[str]:
    """Delete the generations that are not whole, or are of another run."""
    damaged = {
        (f.job, _generation_of(space, f))
        for f in findings
        if f.kind == "checkpoint" and f.remedy == "drop"
    }
    for job, name in damaged:
        remove(space.checkpoints(job) / name)
    return [
        f"{job}: damaged checkpoint {name} removed" for job, name in sorted(damaged)
    ]


def _generation_of(space: Workspace, finding: Finding) -> str:
    folder = space.checkpoints(finding.job).relative_to(space.root)
    return PurePath(finding.path).relative_to(folder).parts[0]


# --- the journal ------------------------------------------------------------------


def _repair_journal(space: Workspace) -> list[str]:
    """Replace the journal; the damaged one is kept beside it."""
    manifests = {job: _whole_manifests(space, job) for job in space.job_names()}
    published = {
        job
        for job, own in manifests.items()
        if own and own[-1].phase == "publishing" and _are_there(space, own[-1].publish)
    }
    repaired = repaired_journal(
        read_lines(space.journal), manifests, published=published
    )
    kept = space.journal.with_name("journal.damaged.jsonl")
    if space.journal.exists():
        with storage_errors(space.journal):
            write_file(kept, space.journal.read_bytes())
    _write(space, repaired.records)
    return [*repaired.notes, f"journal: written anew; the damaged one is {kept.name}"]


def _roll_back(space: Workspace, now: str) -> list[str]:
    """Let the journal forget commits whose checkpoints are gone."""
    records = read_lines(space.journal).records
    told = []
    added: list[AnyRecord] = []
    for job, history in history_of(records).jobs.items():
        own = _whole_manifests(space, job)
        if (
            history.ended is not None
            or not own
            or own[-1].generation >= history.last_cycle
        ):
            continue
        generation = own[-1].generation
        added += roll_back(records, job, generation, at=now)
        told.append(f"{job}: continues from commit {generation}")
    if added:
        _write(space, (*records, *added))
    return told


def _write(space: Workspace, records: Iterable[AnyRecord]) -> None:
    lines = (line_from_body(body_from_record(record)) for record in records)
    write_file(space.journal, b"".join(lines))


# --- the list of results ----------------------------------------------------------


def _list_again(space: Workspace, job: str, history: JobHistory) -> list[str]:
    """Write the last checkpoint of a finished job anew, if its results are unchanged."""
    ended = history.ended
    newest = [m for m in _whole_manifests(space, job) if m.phase == "publishing"]
    if ended is None or newest or not ended.results_sha256 or history.begun is None:
        return []
    if not _are_there(space, ended.published):
        return []
    entries = sums_of_results(space.root, ended.published)
    if digest_of_entries(entries) != ended.results_sha256:
        return []
    manifest = Manifest(
        generation=history.last_cycle,
        recipe=history.begun.recipe,
        cycle=history.cycles[history.last_cycle],
        phase="publishing",
        publish=ended.published,
        summary=ended.summary,
        environment={"device": history.device},
        results=entries,
    )
    folder = space.checkpoints(job)
    temporary, final = folder / "tmp", generation_path(folder, manifest.generation)
    remove(temporary)
    make_folder(temporary)
    write_file(temporary / MANIFEST, bytes_from_manifest(manifest))
    remove(final)
    rename(temporary, final)
    return [f"{job}: the list of its results' checksums, written anew from the results"]


def _are_there(space: Workspace, names: Iterable[str]) -> bool:
    return all((space.root / name).exists() for name in names)

"""Read a whole workspace and say what is not as it was written.

In this order: the journal, since it says which jobs there are; their checkpoints, since
the last of each lists its results; the results; and what no job vouches for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lowmem.base.errors import StorageError
from lowmem.base.errors_outside import NotAllowedError
from lowmem.base.redo_log import is_placing
from lowmem.checkpoints.generations import (
    Examined,
    examine,
    generation_path,
    generations,
)
from lowmem.checkpoints.manifest import MANIFEST
from lowmem.checkpoints.sums import digest_of_entries
from lowmem.history.fold import history_of
from lowmem.history.provenance import owned, owner_of, owners_of
from lowmem.integrity.chunks import layouts_in, sums_of
from lowmem.protocol.job_reference import file_and_name
from lowmem.protocol.recipe import is_extension, recipe_changes
from lowmem.repair.findings import Finding, Tally, Verification
from lowmem.repair.journal_lines import read_lines
from lowmem.repair.journal_plan import lost_measurements, words_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lowmem.base.workspace import Workspace
    from lowmem.checkpoints.manifest import FileEntry, Manifest
    from lowmem.history.job_history import JobHistory
    from lowmem.integrity.chunks import Layout, Sums
    from lowmem.repair.findings import FindingKind, Remedy
    from lowmem.repair.journal_lines import JournalLines

_OTHER_OPTIONS = "has other options than the journal tells of: it is of another run"

_ALTERED = "was altered: its SHA-256 is not that recorded when it was published"
_BAD_CRC = "was altered: its CRC-32C is not that of its bytes"


def verify(space: Workspace) -> Verification:
    """Check every checksum of a workspace, and the journal against what is there.

    Raises
    ------
    NewerFormatError
        If a newer lowmem wrote it.

    Notes
    -----
    Memory: the journal's records, one manifest, and 1 MiB. Time: one read of all.
    """
    scan = _Scan(space)
    lines = scan.journal()
    history = history_of(lines.records)
    scan.owners = owners_of(history)
    scan.files = {
        name: job.begun.reference
        for name, job in history.jobs.items()
        if job.begun is not None and file_and_name(job.begun.reference)
    }
    unknown = (name for name in space.job_names() if name not in history.jobs)
    for job in [*history.jobs, *unknown]:
        scan.job(job, history.jobs.get(job))
    scan.unclaimed()
    return Verification(
        workspace=str(space.root),
        tally=scan.tally,
        findings=tuple(scan.findings),
        notes=tuple(scan.notes),
    )


@dataclass(slots=True)
class _Scan:
    """One reading of a workspace, and what it has found so far."""

    space: Workspace
    tally: Tally = field(default_factory=Tally)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    _claimed: set[Path] = field(default_factory=set)

    def journal(self) -> JournalLines:
        """Check every line of the journal."""
        lines = read_lines(self.space.journal)
        self.tally.journal_lines = lines.n_lines
        for numbers in lines.damaged:
            do, was = ("does", "it") if len(numbers) == 1 else ("do", "they")
            problem = f"{words_of(numbers)} {do} not match the CRC-32: what {was} held is lost"
            self._find("journal", self.space.journal, problem, remedy="mend")
        if lines.is_torn:
            self.notes.append(
                "the journal ends in half a line, as a crash leaves it: it never counted"
            )
        if is_placing(self.space.recovering):
            self.notes.append(
                "a recovery from the mirror was cut while all took its place: the next "
                "run or repair finishes it"
            )
        return lines

    def job(self, job: str, history: JobHistory | None) -> None:
        """Check the checkpoints and the results of one job."""
        manifests = self._checkpoints(job, history)
        newest = manifests[-1] if manifests else None
        if history is None:
            where = self.space.checkpoints(job)
            if newest is not None:
                problem = "holds checkpoints of a job that the journal does not know"
                self._find("disagreement", where, problem, job=job, remedy="mend")
            return
        if history.missing_cycles:
            self.notes.append(lost_measurements(job, history.missing_cycles))
        ended = history.ended
        if ended is None:
            self._progress(job, history, newest)
        elif ended.published:
            entries = newest.results if newest is not None else {}
            names = owned(ended.published, job, self.owners)
            self._results(job, names, _below(names, entries))
            if names and ended.results_sha256 and not entries:
                where = self.space.checkpoints(job)
                problem = "lost the list of the results' checksums"
                self._find("checkpoint", where, problem, job=job, remedy="mend")

    # --- checkpoints --------------------------------------------------------------

    def _checkpoints(self, job: str, history: JobHistory | None) -> list[Manifest]:
        """Return the manifests that are whole, oldest first."""
        folder = self.space.checkpoints(job)
        present = generations(folder)
        examined = {n: _examined(generation_path(folder, n)) for n in present}
        self.tally.checkpoints += len(present)
        whole = {
            n: found.manifest
            for n, found in examined.items()
            if not found.problems and found.manifest is not None
        }
        is_done = history is not None and history.ended is not None
        remedy: Remedy = "drop" if whole or is_done else "rerun"
        for n, found in examined.items():
            for name, problem in found.problems.items():
                path = generation_path(folder, n) / name
                self._find("checkpoint", path, problem, job=job, remedy=remedy)
        for n, manifest in list(whole.items()):
            problem = foreign_problem(manifest, history)
            if problem:
                path = generation_path(folder, n) / MANIFEST
                self._find("checkpoint", path, problem, job=job, remedy=remedy)
                del whole[n]
        return [whole[n] for n in sorted(whole)]

    def _progress(self, job: str, history: JobHistory, newest: Manifest | None) -> None:
        """Hold the journal of an unfinished job against its checkpoints."""
        where = self.space.checkpoints(job)
        reached = newest.generation if newest is not None else -1
        known = history.last_cycle
        if reached > known + 1:
            problem = f"holds commit {reached}, where the journal knows {known + 1}"
            self._find("disagreement", where, problem, job=job, remedy="mend")
        elif reached < known and self.space.job(job).exists():
            has_damage = any(
                f.kind == "checkpoint" and f.job == job for f in self.findings
            )
            if not has_damage:
                problem = f"lacks commit {known}, which the journal tells of"
                remedy: Remedy = "drop" if newest is not None else "rerun"
                self._find("disagreement", where, problem, job=job, remedy=remedy)

    # --- results ------------------------------------------------------------------

    def _results(
        self, job: str, published: Sequence[str], entries: Mapping[str, FileEntry]
    ) -> None:
        """Check every file that a job has published."""
        root = self.space.root
        layouts = self._layouts([root / name for name in published])
        for name, entry in entries.items():
            path = root / name
            self._claimed.add(path)
            self.tally.chunks += path in layouts
            problem, sums = self._against(path, entry)
            if not problem and path in layouts and sums is not None:
                problem = "" if sums.ends_in_crc else _BAD_CRC
            if problem:
                self._report_file(path, problem, job, layouts)
        for name in published:
            if not entries and not (root / name).exists():
                problem = "is missing, and the journal says that it was published"
                self._find("result", root / name, problem, job=job, remedy="rerun")
        self._checksummed(job, layouts)

    def _against(self, path: Path, entry: FileEntry) -> tuple[str, Sums | None]:
        self.tally.results += 1
        if not path.is_file():
            return "is missing", None
        sums, problem = _sums(path)
        if sums is None:
            return problem, None
        self.tally.bytes += sums.size_bytes
        if sums.size_bytes != entry.size_bytes:
            return f"holds {sums.size_bytes} bytes, not {entry.size_bytes}", sums
        return ("" if sums.sha256 == entry.sha256 else _ALTERED), sums

    def unclaimed(self) -> None:
        """Check the stores of the workspace of which nothing was recorded."""
        stores = sorted(self.space.root.glob("*.zarr"))
        stores += sorted(self.space.root.glob("*/*.zarr"))
        self._checksummed("", self._layouts(stores))

    def _checksummed(self, job: str, layouts: Mapping[Path, _Chunk]) -> None:
        """Check chunks by their own checksums, those that no record vouches for."""
        for path, chunk in layouts.items():
            if path in self._claimed:
                continue
            self._claimed.add(path)
            problem = self._problem_of_chunk(path, chunk.layout)
            if problem:
                self._report_file(path, problem, job, layouts)

    def _problem_of_chunk(self, path: Path, layout: Layout) -> str:
        if not path.is_file():
            return "is missing" if layout.is_complete else ""
        self.tally.chunks += 1
        self.tally.unrecorded += 1
        sums, problem = _sums(path)
        if sums is None:
            return problem
        self.tally.bytes += sums.size_bytes
        return "" if sums.ends_in_crc else _BAD_CRC

    def _layouts(self, roots: Sequence[Path]) -> dict[Path, _Chunk]:
        return {
            path: _Chunk(layout, row)
            for root in roots
            if root.is_dir()
            for layout in layouts_in(root)
            for path, row in layout.files()
        }

    def _report_file(
        self, path: Path, problem: str, job: str, layouts: Mapping[Path, _Chunk]
    ) -> None:
        chunk = layouts.get(path)
        name = path.relative_to(self.space.root).as_posix()
        # Of a job that began anew since, nothing but its former end is recorded.
        job = job or owner_of(name, self.owners) or ""
        self.findings.append(
            Finding(
                kind="chunk" if chunk else "result",
                path=name,
                problem=problem,
                job=job,
                remedy="recompute" if job else "none",
                samples=chunk.layout.samples(chunk.row) if chunk else "",
                first_row=chunk.row * chunk.layout.chunk_rows if chunk else None,
            )
        )

    def _find(
        self,
        kind: FindingKind,
        path: Path,
        problem: str,
        *,
        job: str = "",
        remedy: Remedy = "none",
    ) -> None:
        self.findings.append(
            Finding(
                kind=kind,
                path=path.relative_to(self.space.root).as_posix(),
                problem=problem,
                job=job,
                typed=self.files.get(job, ""),
                remedy=remedy,
            )
        )


def _below(
    names: Sequence[str], entries: Mapping[str, FileEntry]
) -> dict[str, FileEntry]:
    """Return the files of some results."""
    return {
        path: entry
        for path, entry in entries.items()
        if any(path == name or path.startswith(f"{name}/") for name in names)
    }


def _examined(path: Path) -> Examined:
    """Examine a generation; one that the disk cannot give back is damaged.

    Raises
    ------
    NotAllowedError
        If this user may not read it: nobody knows then whether it is whole.
    """
    try:
        return examine(path)
    except NotAllowedError:
        raise
    except StorageError as error:
        return Examined(manifest=None, problems={MANIFEST: _unreadable(error)})


def foreign_problem(manifest: Manifest, history: JobHistory | None) -> str:
    """Return why a checkpoint is not of this job's last run; empty if nothing says so.

    Each is whole by itself, so checksums do not tell that one was put in another's place.
    A run is known by its options, and once it is done by the checksum of its results.
    """
    if history is None or history.begun is None:
        return ""
    ended, begun = history.ended, history.begun
    if recipe_changes(manifest.recipe, begun.recipe):
        # Or of the run that this one went on from.
        is_former = is_extension(manifest.recipe, begun.recipe, begun.extents)
        return "" if is_former else _OTHER_OPTIONS
    if ended is None or not ended.results_sha256 or not manifest.results:
        return ""
    if digest_of_entries(manifest.results) == ended.results_sha256:
        return ""
    return "lists other results than the journal tells of: it is of another run"


def _sums(path: Path) -> tuple[Sums | None, str]:
    """Read a file; None and why, if the disk cannot give it back."""
    try:
        return sums_of(path), ""
    except NotAllowedError:
        raise
    except StorageError as error:
        return None, _unreadable(error)


def _unreadable(error: StorageError) -> str:
    return f"cannot be read from the disk ({error.problem})"


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A chunk file's array, and its place along the first axis."""

    layout: Layout
    row: int

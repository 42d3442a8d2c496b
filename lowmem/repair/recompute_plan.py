"""By which runs damaged files of results are made again: pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lowmem.history.provenance import makers_of, owners_of, result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lowmem.checkpoints.manifest import FileEntry
    from lowmem.history.job_history import DoneRun, History
    from lowmem.repair.findings import Finding

    Recorded = Mapping[str, Mapping[str, FileEntry]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputation:
    """Files that are made again together.

    Attributes
    ----------
    runs
        Those that made them, in their order.
    is_alone
        Whether the only run's own job can make them where it is: just the rows that are
        wanted, or from its last state. Else all runs are made again, each as a whole.
    files
        The SHA-256 of each when it was published, by its place; empty where none was
        recorded.
    rows
        Of those that are chunks, the first row.
    """

    runs: tuple[DoneRun, ...]
    is_alone: bool
    files: dict[str, str] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def job(self) -> str:
        """The last job of them."""
        return self.runs[-1].job


def recomputations(
    damaged: Iterable[Finding],
    history: History,
    recorded: Recorded,
    adds: Callable[[DoneRun], bool],
) -> list[Recomputation]:
    """Return how each damaged file is made again, those that are used by others first.

    Parameters
    ----------
    recorded
        What the checkpoints of each job tell of the files that it has published.
    adds
        See `makers_of`.
    """
    owners = owners_of(history)
    found: dict[tuple[str, bool], Recomputation] = {}
    for finding in damaged:
        runs = makers_of(result_of(finding.path, owners) or "", history, adds)
        if not runs:
            continue
        is_alone = _can_alone(runs[0], finding, history, recorded)
        runs = runs[:1] if is_alone else runs
        one = found.setdefault(
            (runs[-1].job, is_alone), Recomputation(runs=runs, is_alone=is_alone)
        )
        entry = recorded.get(finding.job, {}).get(finding.path)
        one.files[finding.path] = entry.sha256 if entry is not None else ""
        if finding.first_row is not None:
            one.rows[finding.path] = finding.first_row
    order = list(history.jobs)
    return sorted(found.values(), key=lambda one: order.index(one.job))


def _can_alone(
    run: DoneRun, finding: Finding, history: History, recorded: Recorded
) -> bool:
    """Return whether the first run made the very file, and its job has all it needs.

    What is added to keeps its whole chunks: who made one first can do it again.
    """
    own = history.of(run.job)
    if not own.is_done or own.begun != run.begun:
        # It has begun anew: what it keeps is of another run.
        return False
    if run.job == finding.job:
        return True
    one, two = (
        recorded.get(job, {}).get(finding.path) for job in (run.job, finding.job)
    )
    return finding.first_row is not None and one is not None and one == two

"""By which runs damaged files of results are to be made again: pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lowmem.history.makers import makers_of, owners_of, result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lowmem.checkpoints.manifest import FileEntry
    from lowmem.history.past import DoneRun, Past
    from lowmem.integrity.findings import Finding

    Recorded = Mapping[str, Mapping[str, FileEntry]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
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


def makings(
    damaged: Iterable[Finding],
    past: Past,
    recorded: Recorded,
    adds: Callable[[DoneRun], bool],
) -> tuple[Making, ...]:
    """Return how each damaged file is made again, those that are used by others first.

    Parameters
    ----------
    recorded
        What the checkpoints of each job tell of the files that it has published.
    adds
        See `makers_of`.
    """
    makers = _Makers(past, recorded, adds)
    found: dict[tuple[str, bool], Making] = {}
    for finding in damaged:
        runs, is_alone = makers.of(finding)
        if not runs:
            continue
        making = found.setdefault(
            (runs[-1].job, is_alone), Making(runs=runs, is_alone=is_alone)
        )
        entry = recorded.get(finding.job, {}).get(finding.path)
        making.files[finding.path] = entry.sha256 if entry is not None else ""
        if finding.first_row is not None:
            making.rows[finding.path] = finding.first_row
    order = list(past.jobs)
    return tuple(sorted(found.values(), key=lambda m: order.index(m.job)))


class _Makers:
    def __init__(
        self,
        past: Past,
        recorded: Recorded,
        adds: Callable[[DoneRun], bool],
    ) -> None:
        self._past = past
        self._recorded = recorded
        self._adds = adds
        self._owners = owners_of(past)

    def of(self, finding: Finding) -> tuple[tuple[DoneRun, ...], bool]:
        """Return the runs that make a file again, and whether the only one can alone."""
        name = result_of(finding.path, self._owners)
        runs = makers_of(name or "", self._past, self._adds)
        is_alone = bool(runs) and self._made(runs[0], finding)
        return (runs[:1], True) if is_alone else (runs, False)

    def _made(self, run: DoneRun, finding: Finding) -> bool:
        """Return whether the first run made the very file, and its job has all it needs.

        What is added to keeps its whole chunks: who made one first can do it again.
        """
        past = self._past.of(run.job)
        if not past.is_done or past.begun != run.begun:
            # It has begun anew: what it keeps is of another run.
            return False
        if run.job == finding.job:
            return True
        one, two = (
            self._recorded.get(job, {}).get(finding.path)
            for job in (run.job, finding.job)
        )
        return finding.first_row is not None and one is not None and one == two

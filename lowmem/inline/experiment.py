"""`lowmem.open`: what a workspace holds, as values of Python that a notebook shows.

Reads only, takes no lock, and follows a run under way: each look at a property is a new
one. Nothing is loaded but what is asked for.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock
from lowmem.base.errors import UsageError
from lowmem.base.suggestions import did_you_mean
from lowmem.history.fold import history_of
from lowmem.history.provenance import owners_of
from lowmem.history.recorded import read_records
from lowmem.pipeline.spaces import existing_space
from lowmem.report.live_status import read_standings
from lowmem.report.read import read_report
from lowmem.report.status import HEADER, row_of, statuses, text_from_statuses
from lowmem.report.unrecorded import told_of_unrecorded
from lowmem.report.write import page_of
from lowmem.stores.workspace_array import StoredArray, arrays_in
from lowmem.supervisor.lock import is_held

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lowmem.base.workspace import Workspace
    from lowmem.report.live_line import LiveState
    from lowmem.report.schema import Report
    from lowmem.report.status import JobStatus

# Of the report within a notebook's page, in pixels.
_PAGE_HEIGHT = 600


def open(workspace: Path | str = "lowmem-work") -> Experiment:  # noqa: A001 - lowmem.open
    """Return what a workspace holds.

    Parameters
    ----------
    workspace
        Its folder.

    Raises
    ------
    UsageError
        If there is no such folder.
    ForeignWorkspaceError
        If what lowmem keeps there leads out of it.
    """
    return Experiment(existing_space(str(workspace)))


@dataclass(frozen=True, slots=True)
class Experiment:
    """The jobs and results of one workspace; a notebook shows it as a table of its jobs.

    Attributes
    ----------
    space
        Where everything lies in it.
    """

    space: Workspace

    @property
    def root(self) -> Path:
        """Absolute path of the folder."""
        return self.space.root

    @property
    def report(self) -> Report:
        """What each cycle of each job used, and what happened, as of now.

        Raises
        ------
        CorruptFileError
            If the journal is damaged.
        """
        return read_report(self.space, is_live=is_held(self.space))

    @property
    def status(self) -> Status:
        """Where each job stands now, and what carries an unfinished one on."""
        report = self.report
        standings = read_standings(self.space, report, SystemClock().now())
        return Status(report, standings, told_of_unrecorded(self.space))

    @property
    def page(self) -> Page:
        """The report page, as of now; a notebook shows it."""
        now = SystemClock().now()
        return Page(page_of(self.space, is_live=is_held(self.space), now=now))

    @property
    def results(self) -> dict[str, Path]:
        """Where each published result is, by its name in the workspace."""
        history = history_of(read_records(self.space.journal))
        return {name: self.root / name for name in sorted(owners_of(history))}

    @property
    def arrays(self) -> Arrays:
        """The arrays of all published stores, by their place: ``latents.zarr/z``."""
        stores = (path for path in self.results.values() if path.suffix == ".zarr")
        found = (one for store in stores for one in arrays_in(store, self.root))
        return Arrays({one.place: one for one in found})

    def __repr__(self) -> str:  # type: ignore[explicit-override]
        """Return the table of its jobs as text."""
        return repr(self.status)

    def _repr_html_(self) -> str:
        return self.status._repr_html_()


@dataclass(frozen=True, repr=False)
class Status:
    """Where the jobs of a workspace stood at one moment."""

    _report: Report
    _standings: Mapping[str, LiveState]
    _unrecorded: str = ""

    @cached_property
    def jobs(self) -> dict[str, JobStatus]:
        """Each job's, by its name."""
        return statuses(self._report, self._standings)

    def __repr__(self) -> str:  # type: ignore[explicit-override]
        """Return the table as text, with what carries an unfinished job on."""
        return text_from_statuses(
            self._report, self._standings, unrecorded=self._unrecorded
        )

    def _repr_html_(self) -> str:
        if not self.jobs:
            return _paragraph(repr(self))
        lines = [
            _line("th", HEADER),
            *(_line("td", row_of(name, job)) for name, job in self.jobs.items()),
        ]
        further = (
            f"{name}: {job.message or job.state}. {job.next_command}"
            for name, job in self.jobs.items()
            if job.next_command is not None
        )
        table = f"<table>{''.join(lines)}</table>"
        return "".join([table, *map(_paragraph, further)])


def _line(tag: str, cells: tuple[str, ...]) -> str:
    inner = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
    return f"<tr>{inner}</tr>"


def _paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


@dataclass(frozen=True, slots=True)
class Page:
    """The report page.

    Attributes
    ----------
    html
        The whole document: no script, and nothing that is loaded from elsewhere.
    """

    html: str

    def __repr__(self) -> str:  # type: ignore[explicit-override]
        """Return how large it is: the page itself would fill a terminal."""
        return f"<report page, {len(self.html.encode()):,} bytes of HTML>"

    def _repr_html_(self) -> str:
        # Its styles must not reach the notebook's, nor may anything in it run there.
        source = html.escape(self.html)
        style = f"width:100%;height:{_PAGE_HEIGHT}px;border:0"
        return f'<iframe sandbox="" style="{style}" srcdoc="{source}"></iframe>'


class Arrays(Mapping[str, StoredArray]):
    """Arrays by their place; one that is not there is refused with those that are."""

    def __init__(self, arrays: Mapping[str, StoredArray]) -> None:
        self._arrays = dict(arrays)

    def __getitem__(self, place: str) -> StoredArray:  # type: ignore[explicit-override]
        """Return the array at a place.

        Raises
        ------
        UsageError
            If no published store has it.
        """
        if place not in self._arrays:
            known = ", ".join(self._arrays) or "none"
            raise UsageError(
                f"array {place!r} is not there{did_you_mean(place, self._arrays)}, "
                f"expected one of the published: {known}."
            )
        return self._arrays[place]

    def __contains__(self, place: object) -> bool:  # type: ignore[explicit-override]
        """Return whether there is such an array."""
        return place in self._arrays

    def __iter__(self) -> Iterator[str]:  # type: ignore[explicit-override]
        """Return the places."""
        return iter(self._arrays)

    def __len__(self) -> int:  # type: ignore[explicit-override]
        """Return how many there are."""
        return len(self._arrays)

    def __repr__(self) -> str:  # type: ignore[explicit-override]
        """Return a line for each."""
        return "\n".join(map(repr, self._arrays.values())) or "no arrays yet"

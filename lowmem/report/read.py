"""Read the journal of a workspace into a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.history.fold import history_of
from lowmem.history.recorded import read_records
from lowmem.report.sitting_usage import sats_of
from lowmem.report.view import report_from_records

if TYPE_CHECKING:
    from pathlib import Path

    from lowmem.base.workspace import Workspace
    from lowmem.report.accounting import Sat
    from lowmem.report.schema import Report


def read_report(workspace: Workspace, *, is_live: bool) -> Report:
    """Return the report of a workspace, which may be empty.

    Parameters
    ----------
    is_live
        Whether a run holds the workspace's lock at this moment.

    Raises
    ------
    CorruptFileError
        See `read_records`.
    """
    return report_from_records(
        str(workspace.root), read_records(workspace.journal), is_live=is_live
    )


def read_sats(workspace: Workspace, *, is_live: bool) -> list[Sat]:
    """Return the sittings that a workspace's journal tells of; none where nothing ran.

    Parameters
    ----------
    is_live
        As of `read_report`.

    Raises
    ------
    CorruptFileError
        See `read_records`.
    """
    return sats_in(workspace.journal, str(workspace.root), is_live=is_live)


def sats_in(journal: Path, place: str, *, is_live: bool) -> list[Sat]:
    """Return the sittings that a journal tells of, see `read_sats`.

    Parameters
    ----------
    place
        Of what workspace they are, as it is told.
    """
    history = history_of(read_records(journal), is_brief=True, has_sittings=True)
    return sats_of(history.sittings, place, is_live=is_live)

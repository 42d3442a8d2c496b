"""Read the journal of a workspace into a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.history.recorded import read_records
from lowmem.report.sittings import Sittings
from lowmem.report.view import report_from_records

if TYPE_CHECKING:
    from lowmem.base.workspace import Workspace
    from lowmem.report.schema import Report
    from lowmem.report.usage import Sat


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
    sittings = Sittings(str(workspace.root))
    for record in read_records(workspace.journal):
        sittings.take(record)
    return sittings.sats(is_live=is_live)

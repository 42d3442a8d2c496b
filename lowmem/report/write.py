"""Write the report page of a workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.files import make_folder, write_file
from lowmem.report.figures import read_gallery
from lowmem.report.page import page_from_report
from lowmem.report.read import read_report
from lowmem.report.readings import read_telemetry
from lowmem.report.training import training_charts
from lowmem.report.unrecorded import told_of_unrecorded

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from lowmem.base.workspace import Workspace


def write_page(
    workspace: Workspace, *, is_live: bool, now: datetime, target: Path | None = None
) -> Path:
    """Write the page durably, and return where it is.

    Parameters
    ----------
    is_live
        Whether a run holds the workspace's lock at this moment.
    now
        The moment to state on the page.
    target
        Where to write; ``report.html`` of the workspace where None.

    Raises
    ------
    CorruptFileError
        If the journal is damaged; nothing is written then.
    StorageError
        If the page cannot be written; an older one is kept.
    """
    path = target or workspace.report
    page = page_of(workspace, is_live=is_live, now=now, folder=path.parent)
    make_folder(path.parent)
    write_file(path, page.encode("utf-8", "replace"))
    return path


def page_of(
    workspace: Workspace, *, is_live: bool, now: datetime, folder: Path | None = None
) -> str:
    """Return the page, which needs no file beside it but what it links to.

    Parameters
    ----------
    is_live, now
        As of `write_page`.
    folder
        Where the page will lie; in the workspace where None.

    Raises
    ------
    CorruptFileError
        If the journal is damaged.
    """
    report = read_report(workspace, is_live=is_live)
    return page_from_report(
        report,
        readings={
            name: list(read_telemetry(workspace.telemetry(name)))
            for name in report.jobs
        },
        gallery=read_gallery(workspace, folder),
        training=training_charts(workspace) if "train" in report.jobs else (),
        generated_at=now,
        unrecorded=told_of_unrecorded(workspace),
    )

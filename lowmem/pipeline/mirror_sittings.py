"""The sittings that a mirror tells of, without a workspace: `lowmem usage`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lowmem.base.errors import UsageError
from lowmem.base.stderr import tell
from lowmem.mirror.names import archive_name
from lowmem.protocol.mirror_messages import FoundJournals, Journals
from lowmem.report.read import sats_in
from lowmem.supervisor.mirror_client import answer_in_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lowmem.report.accounting import Sat

# Where a workspace has what is private to lowmem.
_PRIVATE = ".lowmem"


def is_mirror(text: str) -> bool:
    """Return whether a word names a mirror: a URL, or a folder that holds archives.

    Such a folder is what ``--mirror`` was given, or that of one workspace in it.
    """
    if "://" in text:
        return True
    folder = Path(text)
    if not folder.is_dir() or (folder / _PRIVATE).exists():
        return False
    return _has_archives(folder.iterdir()) or any(
        _has_archives(below.iterdir())
        for below in folder.iterdir()
        if below.is_dir() and not (below / _PRIVATE).exists()
    )


def _has_archives(paths: Iterable[Path]) -> bool:
    return any(archive_name(path.name) is not None for path in paths)


def mirror_sats(url: str) -> list[Sat]:
    """Return the sittings of every journal in a mirror; nothing is written there.

    What two lineages share is in both, as in two workspaces.

    Raises
    ------
    UsageError
        If it holds no journal.
    ReportedError
        If it cannot be read, or does not answer.
    """
    with TemporaryDirectory(prefix="lowmem-usage-") as folder:
        request = Journals(url=url, folder=folder)
        found = answer_in_time(request, FoundJournals)
        for place in found.damaged:
            tell(f"{place} is not whole, so what it alone tells does not count")
        if not found.files and not found.damaged:
            raise UsageError(
                f"{url} holds no commit of any workspace, expected what a run was given "
                "by --mirror, or a workspace."
            )
        return [
            sat
            for file in found.files
            for sat in sats_in(
                Path(folder) / file.name,
                f"{url.rstrip('/')}/{file.workspace}".rstrip("/"),
                is_live=False,
            )
        ]

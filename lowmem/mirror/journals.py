"""Which journals a mirror holds, of every workspace and lineage; it is only read.

A journal tells all that a lost machine did up to its last commit that was sent.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lowmem.base.files import storage_errors
from lowmem.mirror.archive import DamagedArchiveError
from lowmem.mirror.library import generations, journal_of
from lowmem.mirror.policy import is_beginning, newest_first
from lowmem.protocol.mirror_messages import FoundJournal, FoundJournals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lowmem.mirror.policy import Generation
    from lowmem.mirror.remote import Remote


def bring_journals(remote: Remote, folder: Path) -> FoundJournals:
    """Write every journal that is whole to ``folder``.

    Parameters
    ----------
    remote
        What a run is given by ``--mirror``, or the folder of one workspace in it.

    Notes
    -----
    Memory: two journals. Time: the newest archive of each lineage is read up to its
    journal, and the marker of every one.
    """
    found: list[FoundJournal] = []
    damaged: list[str] = []
    for name, held in _workspaces(remote):
        place = replace(remote, root=f"{remote.root}/{name}") if name else remote
        for journal in _lineages(place, held, damaged):
            file = folder / f"{len(found):08d}"
            with storage_errors(file):
                file.write_bytes(journal)
            found.append(FoundJournal(name=file.name, workspace=name))
    return FoundJournals(files=tuple(found), damaged=tuple(damaged))


def _workspaces(remote: Remote) -> Iterator[tuple[str, list[Generation]]]:
    """Yield the folders that hold generations; an empty name is the place itself."""
    held = generations(remote)
    if held:
        yield "", held
        return
    for name in sorted(remote.names()):
        below = generations(replace(remote, root=f"{remote.root}/{name}"))
        if below:
            yield name, below


def _lineages(
    remote: Remote, held: list[Generation], damaged: list[str]
) -> Iterator[bytes]:
    """Yield the newest whole journal of each lineage."""
    taken: list[bytes] = []
    for generation in newest_first(held):
        if any(is_beginning(generation.about, journal) for journal in taken):
            continue
        try:
            journal = journal_of(remote, generation)
        except (FileNotFoundError, DamagedArchiveError):
            journal = None
        if journal is None:
            damaged.append(remote.place_of(str(generation.name)))
            continue
        taken.append(journal)
        yield journal

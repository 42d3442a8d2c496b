"""How a workspace that has a history stands to its mirror."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from lowmem.base.files import write_file
from lowmem.base.journal import bodies_with_ends, whole_part
from lowmem.history.fold import history_of
from lowmem.history.provenance import owned, owners_of
from lowmem.mirror.archive import DamagedArchiveError
from lowmem.mirror.library import generations, journal_of
from lowmem.mirror.lineage import is_ahead, is_damaged, rejoined
from lowmem.mirror.policy import newest_first, own
from lowmem.protocol.records import JobBegun, record_from_body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowmem.base.workspace import Workspace
    from lowmem.mirror.policy import Generation
    from lowmem.mirror.remote import Remote
    from lowmem.protocol.records import AnyRecord


class Relation(Enum):
    """How the two journals are related.

    Attributes
    ----------
    ALONE, SHARED
        The workspace's goes on from all that the mirror holds, or from some of it.
    BEHIND
        The mirror's goes on where the workspace's ends.
    """

    ALONE = auto()
    SHARED = auto()
    BEHIND = auto()


def is_empty(space: Workspace) -> bool:
    """Return whether a workspace has no history, so that a recovery loses nothing."""
    return not whole_part(space.journal)


def standing_of(remote: Remote, space: Workspace) -> Relation:
    """Return how a workspace that has a history stands to its mirror."""
    found = generations(remote)
    journal = whole_part(space.journal)
    mine = {g.name for g in own(found, journal)}
    others = [g for g in found if g.name not in mine]
    if any(is_continuation(remote, other, journal) for other in others):
        return Relation.BEHIND
    return Relation.SHARED if others else Relation.ALONE


def is_continuation(remote: Remote, generation: Generation, journal: bytes) -> bool:
    """Return whether a generation's journal goes on where this one ends."""
    is_longer = generation.about.sequence > len(journal)
    return is_longer and is_ahead(journal, journal_in(remote, generation))


def rejoin(remote: Remote, space: Workspace) -> bool:
    """Take damaged lines of the journal from the mirror; return whether there were any."""
    ours = whole_part(space.journal)
    journal = ours
    for generation in newest_first(generations(remote)):
        if not is_damaged(journal):
            break
        journal = rejoined(journal, journal_in(remote, generation)) or journal
    if journal == ours:
        return False
    write_file(space.journal, journal)
    return True


def journal_in(remote: Remote, generation: Generation) -> bytes:
    """Return the journal in a generation; nothing if that is damaged."""
    try:
        return journal_of(remote, generation) or b""
    except (FileNotFoundError, DamagedArchiveError):
        return b""


def records_of(journal: bytes) -> list[AnyRecord]:
    """Return the records of whole lines."""
    return [record_from_body(body) for body, _ in bodies_with_ends(journal)]


def owners_in(journal: bytes) -> dict[str, str]:
    """Return the job that published each result last, by the result's name."""
    return owners_of(history_of(records_of(journal), is_brief=True))


def beginnings(journal: bytes) -> dict[str, int]:
    """Return where each job last began from nothing: what is older is another life's."""
    found = ((record_from_body(body), end) for body, end in bodies_with_ends(journal))
    return {
        record.job: end
        for record, end in found
        if isinstance(record, JobBegun) and not record.extents
    }


def is_in_place(job: str, published: Sequence[str], journal: bytes) -> bool:
    """Return whether a job's results are still what it published.

    Not once it has begun anew, or another job has replaced one of them.
    """
    history = history_of(records_of(journal), is_brief=True)
    is_own = owned(published, job, owners_of(history)) == list(published)
    return history.of(job).is_done and is_own

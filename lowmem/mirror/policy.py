"""What is kept, what is tried again and when: pure decisions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from lowmem.mirror.names import About, ArchiveName

KEPT_GENERATIONS = 3
# seconds before the second try; each further wait is twice as long, up to the last.
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation of a mirror.

    Attributes
    ----------
    is_marked
        Whether its ``.ok`` is there and readable; without it, only its own sums tell.
    archives
        The ``.data`` archives that it refers to; unknown, so empty, without the marker.
    """

    name: ArchiveName
    about: About
    is_marked: bool
    size_bytes: int | None = None
    sha256: str | None = None
    archives: frozenset[str] = frozenset()


def newest_first(generations: Iterable[Generation]) -> list[Generation]:
    """Return generations in the order in which a new machine tries them."""
    return sorted(generations, key=lambda g: (g.about.at, g.name), reverse=True)


def prefix_digests(journal: bytes, lengths: Iterable[int]) -> dict[int, str]:
    """Return the SHA-256 of the first bytes of a journal, for each length it reaches."""
    digests: dict[int, str] = {}
    digest, done = hashlib.sha256(), 0
    view = memoryview(journal)
    for length in sorted(set(lengths)):
        if length <= len(journal):
            digest.update(view[done:length])
            digests[length] = digest.hexdigest()
            done = length
    return digests


def is_beginning(about: About, journal: bytes) -> bool:
    """Return whether a journal goes on from that of an archive."""
    found = prefix_digests(journal, [about.sequence])
    return found.get(about.sequence) == about.journal_sha256


def own(generations: Iterable[Generation], journal: bytes) -> list[Generation]:
    """Return those whose journal is the beginning of this one, newest first.

    All others come from another machine that shares the mirror, or went on from an
    older generation: a lineage of its own, which is neither read nor deleted.
    """
    found = list(generations)
    digests = prefix_digests(journal, (g.about.sequence for g in found))
    mine = (g for g in found if digests.get(g.about.sequence) == g.about.journal_sha256)
    return sorted(mine, key=lambda g: g.name, reverse=True)


def expired(
    mine: Iterable[Generation],
    everybody: Iterable[Generation],
    data: Iterable[ArchiveName],
    *,
    own_data: AbstractSet[str],
) -> list[ArchiveName]:
    """Return the archives to delete: all but the newest three of each job.

    Parameters
    ----------
    mine
        The generations of this lineage.
    everybody
        Those of all lineages: what any of them refers to stays.
    data
        The ``.data`` archives that are there.
    own_data
        Names of those that this lineage has made or referred to; no other is deleted.

    Notes
    -----
    One without a marker may be whole, but cannot push out one that is known to be: it
    does not count, and goes once three newer ones are marked.
    """
    newest_first = sorted(mine, key=lambda g: g.name, reverse=True)
    marked: dict[str, int] = {}
    gone: list[Generation] = []
    for generation in newest_first:
        job = generation.name.job
        if marked.get(job, 0) >= KEPT_GENERATIONS:
            gone.append(generation)
        elif generation.is_marked:
            marked[job] = marked.get(job, 0) + 1
    names = {g.name for g in gone}
    used = {a for g in everybody if g.name not in names for a in g.archives}
    unused = [n for n in data if str(n) in own_data and str(n) not in used]
    return [*(g.name for g in gone), *unused]


def cleared(
    leftovers: Iterable[ArchiveName],
    mine: Iterable[Generation],
    everybody: Iterable[Generation],
) -> list[ArchiveName]:
    """Return those of the uploads that were begun and cut which are of no more use.

    Notes
    -----
    One may be whole although its marker is missing, and then be all that there is of its
    job: it goes once a newer one of the same job is marked.
    """
    newest: dict[str, int] = {}
    for generation in mine:
        if generation.is_marked:
            job = generation.name.job
            newest[job] = max(newest.get(job, -1), generation.name.sequence)
    listed = list(everybody)
    marked = {g.name for g in listed if g.is_marked}
    used = {archive for g in listed for archive in g.archives}
    return [
        name
        for name in leftovers
        if name not in marked
        and str(name) not in used
        and newest.get(name.job, -1) >= name.sequence
    ]


def wait_s(failures: int, chance: float) -> float:
    """Return how long to wait after so many failures in a row.

    Parameters
    ----------
    chance
        In 0 to 1: spreads the tries of many machines.

    Examples
    --------
    >>> [wait_s(n, 1.0) for n in (1, 2, 3, 20)]
    [1.0, 2.0, 4.0, 60.0]
    """
    longest: float = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(failures - 1, 30))
    return longest * (0.5 + 0.5 * chance)


def newest_per_job(generations: Iterable[Generation]) -> Mapping[str, list[Generation]]:
    """Return the generations of each job, newest first."""
    by_job: dict[str, list[Generation]] = {}
    for generation in sorted(generations, key=lambda g: g.name, reverse=True):
        by_job.setdefault(generation.name.job, []).append(generation)
    return by_job

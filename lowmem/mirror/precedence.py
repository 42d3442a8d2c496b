"""What of a workspace gives way to what its mirror holds: pure decisions.

Whole units only, a result or all that a job keeps: never a file of one state among those
of another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from lowmem.history.fold import history_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lowmem.protocol.records import AnyRecord

# `keep`: of unknown origin, so the user is told; `leave`: as good as the mirror's.
Choice = Literal["place", "keep", "leave"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalClaims:
    """What a journal tells of what there is.

    Attributes
    ----------
    results
        The checksum of each result, by its name; empty where none was recorded.
    begun
        When each job last began from nothing.
    """

    results: Mapping[str, str] = field(default_factory=dict)
    begun: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The newest whole checkpoint of a job."""

    generation: int
    recipe: Mapping[str, Any]


def told_by(records: Iterable[AnyRecord]) -> JournalClaims:
    """Return what records tell."""
    history = history_of(records, is_brief=True)
    return JournalClaims(
        results={
            name: run.ended.results_sha256
            for run in history.done
            for name in run.ended.published
        },
        begun={begun.job: begun.at for begun in history.begun},
    )


def choice_of_result(name: str, here: JournalClaims, there: JournalClaims) -> Choice:
    """Return what becomes of a result that is there already.

    Parameters
    ----------
    here
        What the workspace's own journal tells; nothing, if it has none.
    there
        What the journal that takes its place tells.
    """
    if name not in here.results:
        return "keep"
    same = here.results[name] == there.results.get(name)
    return "leave" if same and here.results[name] else "place"


def outdated(
    here: JournalClaims, there: JournalClaims, placed: Iterable[str]
) -> tuple[str, ...]:
    """Return results that stay although the journal that is placed tells of later ones.

    The later ones were too large for the mirror, or are damaged in it.
    """
    later = {
        name
        for name, sha256 in there.results.items()
        if name in here.results and here.results[name] != sha256
    }
    return tuple(sorted(later.difference(placed)))


def choice_of_job(
    job: str,
    here: JournalClaims,
    there: JournalClaims,
    own: Commit | None,
    theirs: Commit | None,
) -> Choice:
    """Return what becomes of a job's checkpoints and of what it has in the making.

    Notes
    -----
    Its own stay where they are as new, of the same recipe, and not of an earlier
    beginning: then it is the journal that lost its end, not the work.
    """
    if own is None or theirs is None:
        return "place"
    is_same_life = here.begun.get(job) in {None, there.begun.get(job)}
    is_as_new = own.recipe == theirs.recipe and own.generation >= theirs.generation
    return "leave" if is_same_life and is_as_new else "place"

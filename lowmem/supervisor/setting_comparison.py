"""Whether a job's settings change its result: what two trials make, held side by side.

A job may be cut anywhere and go on with other settings. So after as many items it must
have made the same, to the bit, whatever they are. A sum of floats taken block by block
is not. What differs between two runs of the *same* settings says nothing of settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lowmem.protocol.messages import PlannedTrial

# Digests of the parts of what was made, by name; and these by the items done until then.
Parts = dict[str, str]
Marks = dict[int, Parts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a trial had made.

    Attributes
    ----------
    marks
        Empty where it told nothing: it never counted as many items, or was cut before.
    has_failed
        Whether it ended otherwise than by its end or at the budget: nobody knows what it
        would have told.
    """

    marks: Marks
    has_failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingComparison:
    """What comparing the settings of a job has shown.

    Attributes
    ----------
    refusal
        Why no other settings than the first can be used; empty if they can, as far as is
        known.
    is_known
        Whether it holds for the next time, too. Where it does not and nothing is to be
        told, no two settings fit.
    doubt
        What kept it from being known.
    """

    refusal: str = ""
    is_known: bool = True
    doubt: str = ""


class Try(Protocol):
    """Runs a trial, and returns what it had made."""

    def __call__(self, trial: PlannedTrial, marks_at: Sequence[int] = ()) -> Made:
        """Return it at each point, or at the first of those items."""
        ...


def compared(
    trials: Sequence[PlannedTrial], ladder: Sequence[Mapping[str, int]], attempt: Try
) -> SettingComparison:
    """Return whether other settings than the first can be used.

    What never counts as many items, or none, is not compared.
    """
    doubt = ""
    for small, large in pairs_of(trials, ladder):
        of_large = attempt(large)
        if of_large.has_failed:
            doubt = doubt or _failed(large)
        elif of_large.marks:
            return _verdict(small, large, of_large.marks, attempt)
    return SettingComparison(is_known=False, doubt=doubt)


def _verdict(
    small: PlannedTrial, large: PlannedTrial, of_large: Marks, attempt: Try
) -> SettingComparison:
    of_small = attempt(small)
    marks = of_small.marks
    if marks and met_at(marks, of_large) is None:
        of_small = attempt(small, sorted(of_large))
        marks = {**marks, **of_small.marks}
    if of_small.has_failed:
        return SettingComparison(is_known=False, doubt=_failed(small))
    items = met_at(marks, of_large)
    if items is None:
        return SettingComparison(is_known=bool(marks))
    changed = differing(marks[items], of_large[items])
    if not changed:
        return SettingComparison()
    # A time of day, a number drawn anew.
    again = attempt(small, (items,))
    if items not in again.marks:
        return SettingComparison(
            refusal=f"{told(items, changed, small, large)}. Or do they differ between any "
            f"two runs? {_failed(small)}",
            is_known=False,
        )
    unsteady = differing(marks[items], again.marks[items])
    changed = tuple(name for name in changed if name not in unsteady)
    return SettingComparison(
        refusal=told(items, changed, small, large) if changed else ""
    )


def _failed(trial: PlannedTrial) -> str:
    settings = ", ".join(f"{key} {value}" for key, value in trial.settings.items())
    return f"a trial with {settings} failed, and is run again at the next start"


def told(
    items: int, changed: Sequence[str], small: PlannedTrial, large: PlannedTrial
) -> str:
    """Return what the user is told of settings that change the result."""
    both = (large.settings, small.settings)
    keys = [key for key in both[0] if both[0].get(key) != both[1].get(key)]
    one, two = (", ".join(f"{key} {given.get(key)}" for key in keys) for given in both)
    parts = f"{', '.join(changed[:3])} differ{'s' * (len(changed) == 1)}"
    return (
        f"they change its result: after {items:,} items {parts} between {one} and "
        f"{two}. Work in blocks of a fixed number of rows: "
        "ctx.blocks(..., rows=128, held=ctx.settings['held'])"
    )


def pairs_of(
    trials: Sequence[PlannedTrial], ladder: Sequence[Mapping[str, int]]
) -> list[tuple[PlannedTrial, PlannedTrial]]:
    """Return which trials to compare, smaller settings first.

    The smallest trial with the largest of the same options; should that not fit, with the
    rung above its own.
    """
    if not trials or len(ladder) < 2:  # noqa: PLR2004 - of one setting none is chosen
        return []
    small = trials[0]
    others = [one for one in trials[1:] if one.options == small.options]
    rungs = [dict(settings) for settings in ladder]
    if small.settings in rungs[1:]:
        above = rungs[rungs.index(small.settings) - 1]
        if all(one.settings != above for one in others):
            others.insert(0, replace(small, settings=above))
    return [(small, one) for one in reversed(others)]


def met_at(one: Marks, two: Marks) -> int | None:
    """Return the largest number of items of which both tell; None if there is none.

    Examples
    --------
    >>> met_at({2: {}, 4: {}}, {4: {}, 8: {}}), met_at({3: {}}, {4: {}})
    (4, None)
    """
    return max((items for items in one if items and items in two), default=None)


def differing(one: Parts, two: Parts) -> tuple[str, ...]:
    """Return the parts that are not in both, or not the same.

    Examples
    --------
    >>> differing({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"})
    ('b', 'c')
    """
    names = [*one, *(name for name in two if name not in one)]
    return tuple(name for name in names if one.get(name) != two.get(name))

"""What a recipe holds of what a job reads, and what two recipes differ in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# What ends the key of an input's fingerprint: of one that the job names, and of one that
# is taken as an input because an option or a need names it. Recipes of before there was
# the second have none of those: nothing is known of such an input then.
DATA, CONTENT = " (data)", " (content)"


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder that an option or a need names.

    Attributes
    ----------
    path
        Where it is.
    stamp
        What its files were on the disk, without a look into them; empty where a change
        might not show: one was changed a moment before.
    content
        Its fingerprint, as the recipe holds it.
    """

    path: str
    stamp: str
    content: str


def recipe_changes(
    old: Mapping[str, object], new: Mapping[str, object]
) -> dict[str, tuple[object, object]]:
    """Return what differs between two recipes, as (old, new) by key.

    Examples
    --------
    >>> recipe_changes({"epochs": 3, "seed": 1}, {"epochs": 4, "seed": 1})
    {'epochs': (3, 4)}
    """
    keys = [*old, *(key for key in new if key not in old)]
    keys = [key for key in keys if _is_known(key, old)]
    pairs = {key: (old.get(key), new.get(key)) for key in keys}
    return {
        k: (one, two) for k, (one, two) in pairs.items() if not _is_same(k, one, two)
    }


def is_extension(
    old: Mapping[str, object], new: Mapping[str, object], extents: Collection[str]
) -> bool:
    """Return whether a recipe asks for more of what another one asked for.

    Parameters
    ----------
    extents
        The keys of which more may be asked for, see `Job.extents`.

    Examples
    --------
    >>> old = {"epochs": 1, "seed": 1}
    >>> is_extension(old, {"epochs": 2, "seed": 1}, ["epochs"])
    True
    >>> is_extension(old, {"epochs": 2, "seed": 2}, ["epochs"])
    False
    >>> is_extension(old, {"epochs": 1, "seed": 1}, ["epochs"])
    False
    """
    changes = recipe_changes(old, new)
    return bool(changes) and all(
        key in extents and _is_more(one, two) for key, (one, two) in changes.items()
    )


def _is_more(old: object, new: object) -> bool:
    numbers = int | float
    return isinstance(old, numbers) and isinstance(new, numbers) and new > old


def _is_known(key: str, old: Mapping[str, object]) -> bool:
    return key in old or not key.endswith(CONTENT)


def _is_same(key: str, old: object, new: object) -> bool:
    if isinstance(old, str) and isinstance(new, str) and key.endswith((DATA, CONTENT)):
        return is_same_data(old, new)
    return old == new


def is_same_data(old: str, new: str) -> bool:
    """Return whether two fingerprints are of the same data.

    A fingerprint may have a second part, behind a dot: what an older lowmem made of the
    same data, which may see less, and be all that was recorded.

    Examples
    --------
    >>> is_same_data("new.old", "new.other"), is_same_data("old", "new.old")
    (True, True)
    >>> is_same_data("new.old", "newer.old"), is_same_data("other", "new.old")
    (False, False)
    >>> is_same_data("new.old", "newest.new")
    True
    """
    first, _, former = new.partition(".")
    recorded = old.partition(".")[0]
    return recorded in {first, former} - {""}


def told_done(job: str, was: str, now: str) -> str:
    """Return the line that says that a job is done, and whether its file changed since.

    Parameters
    ----------
    was, now
        Hashes of the file that defines it; empty where it is unknown.

    Examples
    --------
    >>> told_done("count", "", "1")
    'count is done already; --restart runs it again'
    """
    how = ", by another state of its file" if was not in {"", now} else ""
    return f"{job} is done already{how}; --restart runs it again"

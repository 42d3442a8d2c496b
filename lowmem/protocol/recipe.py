"""What two recipes differ in: a job never goes on with another than it was begun with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    return {k: (old.get(k), new.get(k)) for k in keys if old.get(k) != new.get(k)}

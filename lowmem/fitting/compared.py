"""Whether a training that goes on is the one that was begun."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from lowmem.base.errors_fit import InexactFitError
from lowmem.training.backend import environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def refuse_other(
    committed: dict[str, Any], here: dict[str, Any], *, folder: Path
) -> None:
    """Refuse to go on with other data, order or callbacks.

    Raises
    ------
    InexactFitError
        Naming the first entry of the recipes that differs.
    """
    for name, before, now in _entries(committed, here):
        if before != now:
            raise InexactFitError(
                thing=f"{name} of the training in {folder}",
                problem=f"is {now!r}",
                expected=f"{before!r}, with which it was begun",
                todo="Give the same data and arguments, or take another folder.",
            )


def warn_of_other_versions(committed: dict[str, str]) -> None:
    """Say which software changes the last digits."""
    here = environment()
    changed = [
        f"{name} was {before}, is {here[name]}"
        for name, before in committed.items()
        if here.get(name, before) != before
    ]
    if changed:
        warnings.warn(
            f"the training goes on with other versions ({'; '.join(changed)}): its last "
            "digits may differ from those of one that was never stopped",
            RuntimeWarning,
            stacklevel=2,
        )


def _entries(
    before: Any,  # noqa: ANN401 - values of a recipe
    now: Any,  # noqa: ANN401
    name: str = "",
) -> Iterator[tuple[str, Any, Any]]:
    """Yield each entry of two recipes, by its name."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        yield name, before, now
        return
    for key in {**before, **now}:
        yield from _entries(before.get(key), now.get(key), name=str(key))

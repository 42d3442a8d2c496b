"""Whether a training that goes on is the one that was begun."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from lowmem.base.errors_fit import InexactFitError
from lowmem.training.backend import environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lowmem.fitting.fit_arguments import Given
    from lowmem.fitting.fit_state import Position


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


def refuse_other_model(
    committed: dict[str, Any], here: dict[str, Any], *, folder: Path
) -> None:
    """Refuse to go on with a model of other settings.

    Raises
    ------
    InexactFitError
        Naming the first that differs.
    """
    untold = {name for name in committed if None in (committed[name], here[name])}
    before, now = (
        {name: value for name, value in one.items() if name not in untold}
        for one in (committed, here)
    )
    refuse_other({"model": before}, {"model": now}, folder=folder)


def refuse_other_span(given: Given, begun_at: Position, *, folder: Path) -> None:
    """Refuse a training that is to end, or to begin, where it has not stood yet.

    Raises
    ------
    InexactFitError
        If fewer epochs are asked for than have begun, or some are to be left out.
    """
    n_begun = begun_at.epoch + bool(begun_at.step)
    if given.epochs < n_begun:
        raise InexactFitError(
            thing=f"epochs={given.epochs}",
            problem=f"is less than the {n_begun} that have begun in {folder}",
            expected=f"at least {n_begun}: no earlier state is kept",
            todo="Give so many, or begin anew with restart=True or in another folder.",
        )
    if given.initial_epoch > begun_at.epoch:
        raise InexactFitError(
            thing=f"initial_epoch={given.initial_epoch}",
            problem=f"leaves out epochs of the training in {folder}",
            expected=f"{begun_at.epoch} at most, where it stands",
            todo="Leave it out: the training goes on by itself.",
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
        within = f"{name}.{key}" if name else str(key)
        yield from _entries(before.get(key), now.get(key), name=within)

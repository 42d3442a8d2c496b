"""Whether a run goes on, begins anew, asks for more of the same, or is refused."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from lowmem.base.errors_recipe import RecipeChangedError
from lowmem.base.files import remove
from lowmem.protocol.options import words_of
from lowmem.protocol.recipe import CONTENT, DATA, is_extension, recipe_changes
from lowmem.protocol.records import JobBegun

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem.history.job_history import JobHistory
    from lowmem.protocol.messages import Planned
    from lowmem.supervisor.order import JobOrder
    from lowmem.supervisor.session import Session

Changes = dict[str, tuple[object, object]]


def begin(
    order: JobOrder, session: Session, history: JobHistory, planned: Planned
) -> JobHistory:
    """Return the history to build upon, empty if the job begins from nothing.

    Raises
    ------
    RecipeChangedError
        If there is progress made with another recipe, and no ``--restart``.
    """
    recipe = planned.recipe
    changes = recipe_changes(history.recipe or {}, recipe)
    is_gone = history.is_done and (
        planned.standing == "open"
        or not all((session.space.root / name).exists() for name in history.published)
    )
    # Also after a crash between the two lines at the end of this function.
    is_lost = history.last_cycle >= 0 and not session.space.job(order.name).exists()
    extents: tuple[str, ...] = ()
    if history.recipe is not None and not (order.is_restart or is_gone or is_lost):
        if not changes or (history.is_done and planned.standing == "done"):
            return history
        if history.has_progress:
            extents = _extents(order, session, history, planned, changes)
    if not extents:
        remove(session.space.job(order.name))
    session.journal.write(
        JobBegun(
            job=order.name,
            at=session.journal.now(),
            reference=order.reference,
            command=order.command,
            recipe=dict(recipe),
            unit=order.unit,
            extents=extents,
        )
    )
    return session.history().of(order.name)


def _extents(
    order: JobOrder,
    session: Session,
    history: JobHistory,
    planned: Planned,
    changes: Changes,
) -> tuple[str, ...]:
    """Return what the run asks for more of; refuse any other change."""
    is_more = is_extension(history.recipe or {}, planned.recipe, planned.extents)
    if is_more and (history.is_done or planned.is_bare):
        return planned.extents
    raise RecipeChangedError(
        job=order.name,
        changes=changes,
        held=_held(history),
        advice=_advice(
            command_of(order, planned.given, str(session.space.root)),
            _typed(history.command),
            history,
            changes,
            is_more=is_more,
        ),
    )


def _held(history: JobHistory) -> str:
    """Return what the workspace holds of a job, in words."""
    what = ", ".join(history.published) or "the finished job"
    if not history.is_done:
        n = len(history.committed)
        what = f"{n} commit{'s' * (n != 1)} on the way to a result"
    return f"{what}, by `{_typed(history.command)}`" if history.command else what


def _advice(
    command: str, former: str, history: JobHistory, changes: Changes, *, is_more: bool
) -> str:
    """Return the command that was probably wanted, and what else there is."""
    is_data = all(key.endswith((DATA, CONTENT)) for key in changes)
    if history.is_done:
        of_what = "from what is there now" if is_data else "so"
        kept = "" if is_data else "; another --workspace keeps both"
        return f"`{_restarting(command)}` makes it anew {of_what}{kept}."
    go_on = f"`{former}`" if former else "The former command"
    if is_more:
        return f"{go_on} ends what was begun; `{command}` then continues from there."
    first = "With the former data it continues" if is_data else f"{go_on} continues it"
    return f"{first}; `{_restarting(command)}` forgets it and starts over."


def _restarting(command: str) -> str:
    # What follows two dashes is a program's own.
    ours, dashes, its_own = command.partition(" -- ")
    return f"{ours} --restart{dashes}{its_own}"


def command_of(order: JobOrder, given: Mapping[str, object], workspace: str) -> str:
    """Return the command line of one job, as typed where it was typed for it alone."""
    if order.command and order.command[1:2] != ("all",):
        return _typed(order.command)
    words = ["run", order.reference, "--workspace", workspace]
    for name, value in {**given, "seed": order.seed}.items():
        words += words_of(name, value)
    return _typed(words)


def _typed(words: tuple[str, ...] | list[str]) -> str:
    return shlex.join(["lowmem", *words]) if words else ""

"""One shard of a job under supervision, and the run that puts all blocks together.

A shard has a journal, a lock and checkpoints of its own: a part of the workspace. What
shards share is the board of their recipe; what comes of it is published by the merge,
which is a run of the whole workspace like any other, so that `status`, `report` and
`verify` know it as the job itself.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lowmem.base.clock import SystemClock
from lowmem.base.errors import MissingArtefactError, UsageError
from lowmem.base.errors_recipe import RecipeChangedError
from lowmem.base.errors_shards import MissingBlocksError
from lowmem.base.redo_log import is_placing
from lowmem.history.fold import history_of
from lowmem.history.recorded import read_records
from lowmem.protocol.division import Division
from lowmem.protocol.recipe import recipe_changes, told_done
from lowmem.shards.board import Board
from lowmem.shards.complete import refuse_incomplete, tally_of
from lowmem.shards.places import boards_of, holder_of, part_of, recipe_of
from lowmem.shards.storage import Folder
from lowmem.supervisor.begin import begin
from lowmem.supervisor.run import (
    SupervisedRun,
    as_begun,
    plan_job,
    prepare_job,
    screen_of,
)
from lowmem.supervisor.run_records import device_of, write_begin
from lowmem.supervisor.usage_meter import this_machine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lowmem.base.workspace import Workspace
    from lowmem.history.job_history import JobHistory
    from lowmem.protocol.messages import Planned
    from lowmem.shards.shard import Shard
    from lowmem.supervisor.order import JobOrder
    from lowmem.supervisor.session import Session


def part_for(job: str, shard: Shard) -> str:
    """Return which part of a workspace a shard has on this machine."""
    return part_of(job, _holder(shard))


def _holder(shard: Shard) -> str:
    machine = this_machine()
    return holder_of(shard, machine=machine.name, boot=machine.boot)


def run_shard(order: JobOrder, session: Session, shard: Shard) -> str:
    """Make one shard's blocks, or go on with them; return a line that says so.

    Raises
    ------
    MissingArtefactError
        If what the job needs is not there: a shard makes nothing for the others.
    RecipeChangedError
        If other shards have another recipe.
    LowmemError
        If it did not end well.
    """
    space, name = session.space.whole, order.name
    _refuse_half_placed(space)
    device = device_of(order, session)
    planned = _planned(order, session)
    whole = history_of(read_records(space.journal), is_brief=True).of(name)
    done = _done_already(order, space, planned, whole)
    if done:
        return done
    path, board = _board(order, session, planned.recipe)
    if whole.is_done and recipe_changes(whole.recipe or {}, planned.recipe):
        # Before the work begins: the merge comes after it.
        with screen_of(order, session) as screen:
            screen.line(
                f"{space.root} holds another result of {name}: the merge will need "
                "--restart, and replace it"
            )
    board.tell_recipe(_text_of(planned.recipe))
    if _is_made(board, shard):
        return f"shard {shard} of {name} is done already"
    history = begin(
        order,
        session,
        session.history().of(name),
        # A shard that was done and is not by now, since a block was damaged, begins anew.
        msgspec.structs.replace(planned, standing="open"),
    )
    prepared = prepare_job(order, session, planned, device)
    write_begin(
        session, order, device, memory_key=planned.memory_key, source=planned.source
    )
    SupervisedRun(
        order,
        session,
        prepared,
        planned.recipe,
        history,
        device,
        inputs=planned.inputs,
        division=Division(
            board=str(path),
            index=shard.index,
            count=shard.count,
            holder=_holder(shard),
            lease_s=order.lease_s,
        ),
    ).to_the_end()
    tally = tally_of(board.whole_view())
    return (
        f"shard {shard} of {name} is done; of all shards' {tally.n_blocks or 0} blocks "
        f"{tally.n_done} are"
    )


def run_merge(order: JobOrder, session: Session) -> str:
    """Put the blocks of all shards together and publish them; return a line about it.

    Raises
    ------
    MissingBlocksError
        If some are not done yet.
    DisputedBlockError
        If one was made twice with two results.
    RecipeChangedError
        If the workspace holds another result of the job, and no ``--restart``.
    LowmemError
        If it did not end well.
    """
    name = order.name
    device = device_of(order, session)
    planned = _planned(order, session)
    history = session.history().of(name)
    if not order.is_restart:
        planned = as_begun(planned, history) if history.has_progress else planned
        whole = history_of(read_records(session.space.journal), is_brief=True)
        done = _done_already(order, session.space, planned, whole.of(name))
        if done:
            _close(order, session, planned)
            return done
    path, board = _board(order, session, planned.recipe)
    if board.is_merged:
        raise MissingBlocksError(job=name, missing=(), n_blocks=0)
    refuse_incomplete(name, board.whole_view())
    history = begin(order, session, history, planned)
    planned = as_begun(planned, history)
    prepared = prepare_job(order, session, planned, device)
    write_begin(session, order, device, source=planned.source)
    said = SupervisedRun(
        order,
        session,
        prepared,
        planned.recipe,
        history,
        device,
        inputs=planned.inputs,
        division=Division(board=str(path)),
    ).to_the_end()
    board.merged()
    return said


def _planned(order: JobOrder, session: Session) -> Planned:
    """Return the plan of a job whose needs are there."""
    planned = plan_job(order, session, device_of(order, session))
    for need in planned.missing:
        raise MissingArtefactError(path=Path(need.path), job=need.job, typed=need.typed)
    return planned


def _refuse_half_placed(space: Workspace) -> None:
    if is_placing(space.recovering):
        raise UsageError(
            f"a recovery of {space.root} from its mirror was cut, expected one that has "
            "ended before shards begin. Any `lowmem run` in it without --shard ends it."
        )


def _done_already(
    order: JobOrder, space: Workspace, planned: Planned, history: JobHistory
) -> str:
    """Return the line that says that the whole job is done; empty where it is not."""
    is_there = all((space.root / name).exists() for name in history.published)
    changes = recipe_changes(history.recipe or {}, planned.recipe)
    if not (history.is_done and is_there) or changes:
        return ""
    return told_done(
        order.name, history.run.source if history.run else "", planned.source
    )


def _board(
    order: JobOrder, session: Session, recipe: Mapping[str, object]
) -> tuple[Path, Board]:
    """Return the board of a recipe, which may be new.

    Raises
    ------
    RecipeChangedError
        If shards of another recipe have begun and were not put together.
    """
    space = session.space.whole
    for path, board in boards_of(space, order.name, session.clock):
        known = recipe_of(board)
        if known is None or board.is_merged:
            continue
        changes = recipe_changes(known, recipe)
        if not changes:
            return path, board
        raise RecipeChangedError(
            job=order.name,
            changes=changes,
            held=f"shards of it in {path}",
            advice="Give all shards the same options and data; where those are of no "
            "use any more, remove that folder; another --workspace keeps both.",
        )
    path = _new_path(space, order.name, recipe)
    return path, Board(Folder(path), session.clock)


def _new_path(space: Workspace, job: str, recipe: Mapping[str, object]) -> Path:
    """Return the folder that all shards of a recipe find by themselves.

    The first whose blocks were not put together: that result is lost where a shard begins
    again.
    """
    import hashlib  # noqa: PLC0415 - see `lowmem.checkpoints.manifest`

    text, merged = _text_of(recipe), set(_merged_folders(space, job))
    digests = (hashlib.sha256(text + b"%d" % n).hexdigest()[:16] for n in count())
    return space.shards / job / next(d for d in digests if d not in merged)


def _merged_folders(space: Workspace, job: str) -> Iterator[str]:
    for path, board in boards_of(space, job, SystemClock()):
        if board.is_merged:
            yield path.name


def _close(order: JobOrder, session: Session, planned: Planned) -> None:
    """Remove what a merge that was killed after its end has left."""
    for _, board in boards_of(session.space, order.name, session.clock):
        known = recipe_of(board)
        if known is not None and not recipe_changes(known, planned.recipe):
            board.merged()


def _text_of(recipe: Mapping[str, object]) -> bytes:
    return msgspec.json.encode(recipe, order="deterministic")


def _is_made(board: Board, shard: Shard) -> bool:
    tally = tally_of(board.whole_view())
    if tally.n_blocks is None:
        return False
    return not set(tally.missing).intersection(shard.blocks(tally.n_blocks))

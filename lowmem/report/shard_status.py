"""How far the shards of jobs are: their blocks, and where each of them stands."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock
from lowmem.base.errors import UsageError
from lowmem.base.units import format_measured
from lowmem.base.wrapping import wrapped
from lowmem.protocol.recipe import recipe_changes
from lowmem.report.columns import format_columns
from lowmem.report.next_command import command_here
from lowmem.report.read import read_report
from lowmem.report.schema import ShardedJob, ShardStatus
from lowmem.report.wording import day_and_time
from lowmem.shards.complete import tally_of
from lowmem.shards.places import kernel_of, open_boards, parts_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lowmem.base.clock import Clock
    from lowmem.base.workspace import Workspace
    from lowmem.report.schema import JobReport, Report
    from lowmem.shards.board import Board
    from lowmem.shards.places import Part

_WIDTH = 100
_HEADER = ("shard", "machine", "state", "items", "RAM peak", "last activity (UTC)")
_NUMBERS = frozenset({3, 4})


def in_the_making(
    space: Workspace, clock: Clock, report: Report
) -> Iterator[tuple[str, Board]]:
    """Yield each job that shards are making, with what they share.

    Parameters
    ----------
    report
        Of the whole workspace: a job that is done by now, however, is not being made.
    """

    def is_made(job: str, recipe: Mapping[str, object]) -> bool:
        own = report.jobs.get(job)
        if own is None or own.state != "done":
            return False
        return not recipe_changes(own.recipe, recipe)

    return open_boards(space, clock, is_made)


def refuse_if_divided(space: Workspace) -> None:
    """Refuse to verify what shards are still making.

    Raises
    ------
    UsageError
        Naming the job, and the command that ends it.
    """
    report = read_report(space, is_live=False)
    for job, _ in in_the_making(space, SystemClock(), report):
        raise UsageError(
            f"the shards of {job} in {space.root} are not merged, expected none in the "
            f"making: nothing of theirs is published, and `lowmem merge {job}` verifies "
            "each block. `lowmem status` tells how far they are. Where they are of no "
            f"use any more, remove {space.shards / job}."
        )


def read_sharded(
    report: Report,
    space: Workspace,
    clock: Clock,
    is_live: Callable[[Workspace], bool],
    *,
    boot: str,
) -> dict[str, ShardedJob]:
    """Return the jobs of a workspace whose shards are at work, or wait to be merged.

    Parameters
    ----------
    report
        Of the whole workspace.
    is_live
        Whether a run of this machine holds a part.
    boot
        The identity of this machine's kernel, as records tell it.

    Notes
    -----
    Time: a listing of all markers, and the journal of each shard.
    """
    found = {}
    for job, board in in_the_making(space, clock, report):
        tally = tally_of(board.whole_view())
        reports = [
            (part, own)
            for part in parts_in(space, job)
            if (own := _report_of(part, job, is_live)) is not None
        ]
        commands = [own.command for _, own in reports if own.command]
        found[job] = ShardedJob(
            blocks=tally.n_blocks,
            done=tally.n_done,
            claimed=tally.n_claimed,
            next_command=_next(
                job,
                space,
                commands,
                is_complete=tally.is_complete,
                # What is done is of another recipe, else nothing were in the making.
                is_done=job in report.jobs and report.jobs[job].state == "done",
            ),
            shards=tuple(_status(part, own, boot) for part, own in reports),
        )
    return found


def _report_of(
    part: Part, job: str, is_live: Callable[[Workspace], bool]
) -> JobReport | None:
    return read_report(part.space, is_live=is_live(part.space)).jobs.get(job)


def _status(part: Part, report: JobReport, boot: str) -> ShardStatus:
    # Of another kernel only its end tells: its lock may not be seen from here.
    is_known = report.exit_code is not None or part.kernel == kernel_of(boot)
    return ShardStatus(
        shard=str(part.shard),
        machine=part.machine,
        state=report.state if is_known else None,
        items=report.items,
        unit=report.unit,
        attempts=report.attempts,
        ram_peak_bytes=report.ram_peak_bytes,
        last_at=report.last_at,
        message=report.message,
    )


def _next(
    job: str,
    space: Workspace,
    commands: Sequence[Sequence[str]],
    *,
    is_complete: bool,
    is_done: bool,
) -> str:
    if is_complete or not commands:
        words = ["lowmem", "merge", job, "--workspace", str(space.root)]
        return shlex.join([*words, *["--restart"] * is_done])
    return shlex.join(["lowmem", *command_here(of_all_blocks(commands[0]), space.root)])


def of_all_blocks(words: Sequence[str]) -> list[str]:
    """Return the line of a shard as it makes all blocks that are left.

    Examples
    --------
    >>> of_all_blocks(["run", "encode", "--shard", "3/16", "--seed=2"])
    ['run', 'encode', '--shard', '0/1', '--seed=2']
    >>> of_all_blocks(["run", "encode", "--shard=auto"])
    ['run', 'encode', '--shard=0/1']
    """
    found: list[str] = []
    for word in words:
        if found and found[-1] == "--shard":
            found.append("0/1")
        else:
            found.append("--shard=0/1" if word.startswith("--shard=") else word)
    return found


def text_from_sharded(
    jobs: Mapping[str, ShardedJob], *, width: int = _WIDTH
) -> list[str]:
    """Return the same for people to read, as lines; none where there are none.

    Parameters
    ----------
    width
        Columns of the terminal; words take 100 of them at most.
    """
    lines: list[str] = []
    for name, job in jobs.items():
        of = (
            "no block"
            if job.blocks is None
            else f"{job.done:,} of {job.blocks:,} blocks"
        )
        more = f", {job.claimed:,} of the others begun" if job.claimed else ""
        lines += ["", f"{name} in shards: {of} done{more}"]
        rows = [_row(shard) for shard in job.shards]
        left = frozenset(range(len(_HEADER))) - _NUMBERS
        if rows:
            lines += format_columns(_HEADER, rows, left=left, width=width)
        for shard in job.shards:
            if shard.message:
                said = f"shard {shard.shard}: {shard.message}"
                lines += wrapped(said, min(width, _WIDTH))
        lines += [f"  {job.next_command}"]
    return lines


def _row(shard: ShardStatus) -> tuple[str, ...]:
    return (
        shard.shard,
        shard.machine,
        shard.state or "runs or cut off",
        f"{shard.items:,} {shard.unit}" if shard.items else "-",
        format_measured(shard.ram_peak_bytes),
        day_and_time(shard.last_at),
    )

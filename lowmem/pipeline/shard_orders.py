"""What a line may ask of shards, and which part of the workspace is theirs.

What only shards need is loaded where it is used: most supervisors have none, and each
would be 0.3 MiB larger.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from lowmem.base.errors import DataError, OptionValueError, UsageError
from lowmem.base.errors_shards import UndividedJobError
from lowmem.base.stderr import tell
from lowmem.history.recorded import read_records
from lowmem.protocol.records import JobBegun
from lowmem.supervisor.order import is_inside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowmem.base.workspace import Workspace
    from lowmem.pipeline.orders import RunOptions
    from lowmem.protocol.told_jobs import JobDescription
    from lowmem.shards.shard import Shard
    from lowmem.supervisor.order import JobOrder

_JOB = re.compile(r"[a-z0-9][a-z0-9_-]*")


def refuse_undivided(job: str, options: RunOptions) -> None:
    """Refuse what makes no sense of a shard, or of a merge, as it was typed.

    Raises
    ------
    UsageError
        Saying what to type instead.
    """
    if options.shard is None:
        if options.lease is not None:
            raise OptionValueError(
                option="--lease", value=options.lease, expected="--shard I/N beside it"
            )
        if job == "all" and options.is_merge:
            raise UsageError("merge has `all`, expected one job whose shards were run.")
        return
    if job == "all":
        raise UsageError(
            "--shard is given with `all`, expected one job: each waits for all shards of "
            "the one before. Run and merge them one after the other."
        )
    if options.restart:
        raise UsageError(
            "--shard and --restart are given, expected one of them: what all shards have "
            "made is no single one's to forget. Remove .lowmem/shards/JOB of the "
            "workspace while none of them runs."
        )
    if options.mirror is not None or options.mirror_data:
        raise UsageError(
            "--shard and --mirror are given, expected one of them: a shard publishes "
            "nothing. `lowmem merge JOB --mirror URL` sends what comes of all."
        )


def divided_options(options: RunOptions) -> RunOptions:
    """Return the options without those of lowmem.toml that a shard cannot follow."""
    if options.shard is None or options.mirror is None:
        return options
    if not options.quiet:
        tell(
            "the mirror of lowmem.toml is sent nothing of a shard; `lowmem merge` does"
        )
    return replace(options, mirror=None, mirror_data=False)


def shard_of(options: RunOptions, jobs: Sequence[JobDescription]) -> Shard | None:
    """Return the shard that is asked for; None for the whole job.

    Raises
    ------
    UndividedJobError
        If the job has none; a merge of such a job is refused likewise.
    OptionValueError
        If the shard cannot be read.
    """
    if options.shard is None and not options.is_merge:
        return None
    for job in jobs:
        if job.is_whole_for:
            raise UndividedJobError(
                job=job.name, reason=job.is_whole_for, typed=job.typed
            )
    if options.shard is None:
        return None
    from lowmem.shards.shard import shard_from_text  # noqa: PLC0415

    return shard_from_text(options.shard, os.environ)


def begun_shards(space: Workspace, job: str) -> JobBegun | None:
    """Return how the newest shard of a job was begun; None where none was.

    Raises
    ------
    DataError
        If that was by a file inside the workspace: a copy of it may have brought that.
    """
    if not _JOB.fullmatch(job):
        return None
    from lowmem.shards.places import parts_in  # noqa: PLC0415

    found = [
        record
        for part in parts_in(space, job)
        for record in read_records(part.space.journal)
        if isinstance(record, JobBegun) and record.job == job
    ]
    newest = max(found, key=lambda record: record.at, default=None)
    if newest is not None and is_inside(newest.reference, space):
        raise DataError(
            thing=newest.reference,
            problem="is a job's file inside the workspace, where a copy may have put it",
            expected="one outside, to be run without being asked",
            todo=f"lowmem merge {newest.reference} runs it.",
        )
    return newest


def part_for(order: JobOrder, space: Workspace) -> Workspace:
    """Return the workspace as the supervisor of an order has it."""
    if order.shard is None:
        return space
    from lowmem.supervisor import shard_run  # noqa: PLC0415

    return replace(space, part=shard_run.part_for(order.name, order.shard))

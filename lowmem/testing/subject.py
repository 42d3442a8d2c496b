"""The job under test, as planner and worker have it: the author's own, watched and killed.

A run's job file is three lines that call `subject`. What comes back is the author's job
with its work wrapped: the real worker runs it, under the real supervisor, and kills itself
where the script says.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from lowmem.base.workspace import Workspace
from lowmem.protocol.job_names import is_file_reference
from lowmem.testing import shifted_clock
from lowmem.testing.script import Script, Told
from lowmem.testing.stray_files import WriteWatch
from lowmem.worker.registry import blocks_of, find_job, work_of

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from contextlib import AbstractContextManager

    from lowmem.protocol.commit_point import CommitPoint
    from lowmem.protocol.context import Context
    from lowmem.protocol.job import Job, Result
    from lowmem.protocol.planning import PlanContext, Settings
    from lowmem.protocol.row_blocks import RowBlocks
    from lowmem.testing.script import Kill

_MAPS = "lowmem.mapping.map_description"


def subject(script: str) -> Job:
    """Return the job of a script, wrapped."""
    plan = Script.read(Path(script))
    if plan.is_another_day:
        shifted_clock.go()
    job, told = find_job(plan.reference), Told(plan.told)
    is_map = getattr(job.work, "__module__", "") == _MAPS

    def ladder(ctx: PlanContext) -> Sequence[Settings]:
        rungs = job.ladder(ctx)
        told.tell("ladder", [dict(rung) for rung in rungs])
        return rungs

    def begin() -> None:
        if is_map:
            _commit_after_each_call()
        about = {"name": name, "is_map": is_map, "has_blocks": job.blocks is not None}
        told.tell("job", about)

    def blocks(ctx: Context) -> AbstractContextManager[RowBlocks]:
        begin()
        return blocks_of(job)(ctx)

    def work(ctx: Context) -> Generator[CommitPoint, None, Result | None]:
        begin()
        own = [Workspace.at(plan.workspace).private, Path(plan.told)]
        watch = WriteWatch(own, lambda path: told.tell("wrote", path))
        n_killed = len(told.all("killed"))
        kill = plan.kills[n_killed] if n_killed < len(plan.kills) else None
        life = _Life(kill, told, watch)
        return (yield from life.of(work_of(job)(ctx)))

    # An installed job's name is its own.
    name = job.name if is_file_reference(plan.reference) else f"{job.name}-tested"
    return replace(
        job,
        name=name,
        work=work,
        ladder=ladder,
        blocks=None if job.blocks is None else blocks,
    )


def _commit_after_each_call() -> None:
    """Let each call of a map's function be a block: small data have one block otherwise."""
    from lowmem.mapping import work  # noqa: PLC0415 - loads NumPy: the worker's alone

    vars(work)["calls_in_block"] = lambda *_: 1


@dataclass(slots=True)
class _Life:
    """The work of one worker, up to its kill."""

    kill: Kill | None
    told: Told
    watch: WriteWatch
    n_offered: int = 0

    def of(
        self, work: Generator[CommitPoint, None, Result | None]
    ) -> Generator[CommitPoint, None, Result | None]:
        """Yield what the work yields, and kill this process in its time."""
        try:
            while True:
                self.watch.is_on = True
                try:
                    point = next(work)
                except StopIteration as end:
                    self._kill_if(self.kill is not None)
                    result: Result | None = end.value
                    return result
                finally:
                    self.watch.is_on = False
                self._kill_if(self._is_at("beyond"))
                yield self._deadly(point) if self._is_at("within") else point
                self.n_offered += 1
                self._kill_if(self._is_at("after"))
        finally:
            work.close()

    def _is_at(self, moment: str) -> bool:
        return (
            self.kill is not None and self.n_offered == 1 and self.kill.moment == moment
        )

    def _kill_if(self, condition: bool) -> None:  # noqa: FBT001 - says when
        if condition:
            self._die()

    def _deadly(self, point: CommitPoint) -> CommitPoint:
        """Return a point whose commit is not made: what it flushes is, and no more."""
        flush = point.flush

        def flush_and_die() -> NoReturn:
            if flush is not None:
                flush()
            self._die()

        return replace(point, flush=flush_and_die)

    def _die(self) -> NoReturn:
        self.told.tell("killed", os.getpid())
        if self.kill is not None and self.kill.takes_run:
            os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("SIGKILL does not return")

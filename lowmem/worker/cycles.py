"""Run a job in cycles: from commit to commit, until it is done or told to leave.

The end of a cycle, in order: what the job wrote by itself is flushed, the checkpoint is
committed, references are dropped, memory is given back and measured, the overseer is
told and answers. Results are forced to the disk, then a last checkpoint says that the
job is complete, and only then are they moved to their places: a kill between two moves
loses nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from lowmem.base.clock import SystemClock, timestamp
from lowmem.base.containment import place_in
from lowmem.base.errors import EXIT_JOB, JobDefinitionError
from lowmem.base.files import make_folder, publish, remove
from lowmem.base.workspace import Workspace
from lowmem.checkpoints.commit import commit
from lowmem.checkpoints.manifest import Manifest
from lowmem.checkpoints.sums import digest_of_entries
from lowmem.integrity.published import refuse_altered, sums_of_results
from lowmem.memory.cleanup import clean_up
from lowmem.protocol.commit_point import CommitPoint
from lowmem.protocol.messages import Cycle
from lowmem.protocol.tempo import Tempo
from lowmem.worker.commit_extras import CommitExtras
from lowmem.worker.input_checks import WatchedInputs
from lowmem.worker.job_context import WorkerContext
from lowmem.worker.job_result import (
    checked_end,
    kind_of,
    refuse_unsafe,
    refuse_unwritten,
    sync_results,
)
from lowmem.worker.named_state import NamedState
from lowmem.worker.pace import Pace
from lowmem.worker.registry import work_of
from lowmem.worker.starting_point import start_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from lowmem.base.clock import Clock
    from lowmem.checkpoints.manifest import FileEntry
    from lowmem.checkpoints.restore import Restored
    from lowmem.protocol.job import Job, Result
    from lowmem.protocol.messages import Run
    from lowmem.worker.starting_point import Start


class Overseer(Protocol):
    """Who is told of the job's course, and may end it."""

    def started(self, restored: Restored | None) -> None:
        """Hear that the first cycle of this attempt begins."""
        ...

    def is_draining(self) -> bool:
        """Return whether the next commit point is to be taken, whatever the pace."""
        ...

    def committed(self, cycle: Cycle, returned_bytes: int) -> bool:
        """Hear of a commit; return whether to go on."""
        ...

    def show_line(self, text: str) -> None:
        """Show one line to the user."""
        ...

    def keep_line(self, text: str) -> None:
        """Show one line to the user, and keep it in the report."""
        ...

    def show_progress(self, done: int, total: int | None, note: str) -> None:
        """Show how far the job is."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A job that is done, its results in their places.

    Attributes
    ----------
    publish, summary
        Of its `Result`.
    results_sha256
        One checksum of all the files that were published.
    """

    publish: tuple[str, ...]
    summary: Mapping[str, Any]
    results_sha256: str


def run_job(
    job: Job, request: Run, overseer: Overseer, clock: Clock | None = None
) -> Completed | None:
    """Run ``job`` from its last commit.

    Returns
    -------
    completed
        The job's result once it is done and published; None if told to leave before.

    Raises
    ------
    RecipeChangedError
        If the last commit was made with another recipe, see `start_of`.
    """
    space = Workspace.at(request.workspace, request.part)
    start = start_of(job, request)
    overseer.started(start.last)
    if start.note:
        overseer.show_line(start.note)
    restored = start.restored
    if restored is not None and restored.manifest.phase == "publishing":
        done = restored.manifest
        # Hours may have passed since they were summed.
        refuse_altered(space.staging(request.job), done.publish, done.results)
        return _publish(space, request.job, done)
    attempt = _Attempt(job, request, overseer, start, clock or SystemClock())
    return attempt.run()


def _publish(space: Workspace, job: str, manifest: Manifest) -> Completed:
    staging = space.staging(job)
    places = {name: place_in(space.root, name) for name in manifest.publish}
    for name, place in places.items():
        publish(staging / name, place)
    remove(staging)
    digest = digest_of_entries(manifest.results) if manifest.results else ""
    return Completed(
        publish=manifest.publish, summary=manifest.summary, results_sha256=digest
    )


class _Attempt:
    """One attempt at a job: the generator, and the cycle that is under way."""

    def __init__(
        self,
        job: Job,
        request: Run,
        overseer: Overseer,
        start: Start,
        clock: Clock,
    ) -> None:
        self._job = job
        self._request = request
        self._overseer = overseer
        self._longest_step_s = 0.0
        self._clock = clock
        self._space = Workspace.at(request.workspace, request.part)
        self._restored, self._former = start.restored, start.former
        self._kept = CommitExtras({})
        self._named = NamedState(job.name, {}, {})
        self._inputs = WatchedInputs(job.name, request.inputs)
        self._pid = os.getpid()
        self._index = start.next_generation
        # The newest commit that a run which asks for more would go on from.
        self._last_state = start.next_generation - 1 if start.restored else None
        self._pace = Pace(
            cycle_steps=request.cycle_steps,
            time_budget_s=request.time_budget_s,
            tempo=Tempo().after(request.longest_step_seconds, request.commit_seconds),
        )
        self._begin_cycle()

    def run(self) -> Completed | None:
        """Drive the generator to its end."""
        self._inputs.refuse_changed()
        for name in self._job.outputs:
            refuse_unsafe(self._job.name, name, self._space)
        work = self._generator()
        # The context holds the open checkpoint; the generator alone needs it.
        self._restored = None
        try:
            result = self._drive(work)
        finally:
            work.close()
            self._kept.end()
        if result is None:
            return None
        staging = self._space.staging(self._request.job)
        for name in result.publish:
            refuse_unsafe(self._job.name, name, self._space)
            refuse_unwritten(self._job, name, staging)
        sync_results(staging, result.publish)
        sums = sums_of_results(staging, result.publish)
        manifest = self._manifest(phase="publishing", result=result, results=sums)
        if not self._end_cycle(manifest, ()):
            return None
        return _publish(self._space, self._request.job, manifest)

    def _generator(self) -> Generator[CommitPoint, None, Result | None]:
        context = self._context()
        self._kept, self._named = context.kept, context.named
        work = work_of(self._job)(context)
        if not isinstance(work, Generator):
            raise self._definition_error(
                f"has a function that returned {kind_of(work)}",
                "a generator function: one that yields lowmem.CommitPoint(...) wherever "
                "it may be cut",
            )
        return work

    def _definition_error(self, problem: str, expected: str) -> JobDefinitionError:
        return JobDefinitionError(
            job=self._job.name, problem=problem, expected=expected
        )

    def _drive(
        self, work: Generator[CommitPoint, None, Result | None]
    ) -> Result | None:
        """Take commit points until the job returns; None if told to leave."""
        while True:
            step_began = self._clock.monotonic()
            try:
                point = next(work)
            except StopIteration as end:
                self._end_copies()
                self._named.check_restored()
                staging = self._space.staging(self._request.job)
                return checked_end(self._job, end.value, staging)
            self._end_copies()
            if not isinstance(point, CommitPoint):
                raise self._definition_error(
                    f"yielded {kind_of(point)}",
                    "a lowmem.CommitPoint(...), or ctx.commit(...)",
                )
            self._named.check(point)
            self._steps += 1
            rows = self._kept.new_rows()
            self._items += int(point.items) or rows
            self._note_step(self._clock.monotonic() - step_began)
            if (point.is_due or self._is_due()) and not self._take(point):
                return None

    def _end_copies(self) -> None:
        """End a forked child that the job lets return here: it would commit as well.

        At once, since what the job opened belongs to the process that it was copied from.
        """
        if os.getpid() != self._pid:
            print(
                f"lowmem: a forked child of job {self._job.name} returned from its work "
                "and was ended: call os._exit in it, or use multiprocessing",
                file=sys.__stderr__,
                flush=True,
            )
            os._exit(EXIT_JOB)

    def _note_step(self, seconds: float) -> None:
        self._longest_step_s = max(seconds, self._longest_step_s)
        if seconds > self._pace.tempo.step_s:
            self._pace = replace(
                self._pace, tempo=self._pace.tempo.after(seconds, None)
            )

    def _is_due(self) -> bool:
        now = self._clock.monotonic()
        deadline = self._request.deadline
        due = self._pace.is_due(
            steps=self._steps,
            seconds=now - self._began,
            left_s=None if deadline is None else deadline - now,
        )
        return due or self._overseer.is_draining()

    def _take(self, point: CommitPoint) -> bool:
        """Commit at ``point``; return whether to go on."""
        if point.flush is not None:
            point.flush()
        state, arrays = self._named.taken(point)
        manifest = self._manifest(state=self._kept.state_with(state))
        self._last_state = manifest.generation
        return self._end_cycle(manifest, arrays)

    def _end_cycle(
        self, manifest: Manifest, arrays: Iterable[tuple[str, NDArray[np.generic]]]
    ) -> bool:
        began = self._clock.monotonic()
        self._inputs.refuse_changed()
        commit(self._space.checkpoints(self._request.job), manifest, arrays)
        del arrays
        committed = self._clock.monotonic()
        returned_bytes = clean_up()
        ended = self._clock.monotonic()
        self._pace = replace(
            self._pace,
            commit_cost_s=ended - began,
            tempo=self._pace.tempo.after(None, committed - began),
        )
        cycle = Cycle(
            index=manifest.cycle.index,
            items=manifest.cycle.items,
            started_at=manifest.cycle.started_at,
            seconds=ended - self._began,
            commit_seconds=committed - began,
            settings=manifest.cycle.settings,
            longest_step_seconds=self._longest_step_s,
        )
        goes_on = self._overseer.committed(cycle, returned_bytes)
        self._index += 1
        self._begin_cycle()
        return goes_on

    def _begin_cycle(self) -> None:
        self._began = self._clock.monotonic()
        self._started_at = timestamp(self._clock.now())
        self._steps = 0
        self._items = 0
        self._longest_step_s = 0.0

    def _manifest(
        self,
        *,
        state: Mapping[str, Any] | None = None,
        phase: Any = "running",  # noqa: ANN401 - a Literal of the manifest
        result: Result | None = None,
        results: Mapping[str, FileEntry] | None = None,
    ) -> Manifest:
        return Manifest(
            generation=self._index,
            recipe=self._request.recipe,
            cycle=Cycle(
                index=self._index,
                items=self._items,
                started_at=self._started_at,
                seconds=self._clock.monotonic() - self._began,
                commit_seconds=0.0,
                settings=self._request.settings,
            ),
            phase=phase,
            state=dict(state or {}),
            publish=tuple(result.publish) if result else (),
            summary=dict(result.summary) if result else {},
            environment={"device": self._request.device},
            results=dict(results or {}),
            goes_on_from=self._goes_on_from if phase == "publishing" else None,
        )

    @property
    def _goes_on_from(self) -> int | None:
        is_wanted = self._job.is_bare and self._job.extents
        return self._last_state if is_wanted else None

    def _context(self) -> WorkerContext:
        staging = self._space.staging(self._request.job)
        if self._restored is None:
            remove(staging)
        make_folder(staging)
        return WorkerContext(
            job=self._job.name,
            workspace=self._space,
            staging=staging,
            options=self._request.options,
            settings=self._request.settings,
            seed=self._request.seed,
            device=self._request.device,
            ram_budget_bytes=self._request.ram_budget_bytes,
            vram_budget_bytes=self._request.vram_budget_bytes,
            state=self._restored.manifest.state if self._restored else {},
            arrays=self._restored.arrays if self._restored else {},
            former=self._former,
            show_line=self._overseer.show_line,
            keep_line=self._overseer.keep_line,
            show_progress=self._overseer.show_progress,
        )

"""Launch the shards of a job on an engine, wait for all of them, and merge.

Covers: what `next_step` says, done; signals and the time budget, handed on; progress.
Does not cover: the shards' own budgets, retries and commits, which their supervisors hold.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from lowmem.base.child import Owned, started
from lowmem.base.errors import ReportedError, StoppedError
from lowmem.base.errors_engines import LostShardError
from lowmem.base.workspace import Workspace
from lowmem.engines.launch_folder import (
    BEAT_S,
    former_launches,
    launches_part,
    new_launch,
)
from lowmem.engines.next_step import (
    MOST_AGAIN,
    End,
    Halt,
    Merge,
    ShardState,
    Standing,
    Start,
    Wait,
    next_step,
)
from lowmem.shards.complete import tally_of
from lowmem.shards.places import open_boards, parts_in
from lowmem.supervisor.endings import IN_TIME
from lowmem.supervisor.lock import WorkspaceLock, is_held
from lowmem.supervisor.progress import Progress
from lowmem.supervisor.screen import Screen
from lowmem.supervisor.stop_requests import StopRequests, asked_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowmem.base.clock import Clock
    from lowmem.engines.engine import Engine, LaunchOrder
    from lowmem.engines.launch_folder import LaunchFolder
    from lowmem.engines.next_step import ShardEnd

# Demands to stop, of which the last says: at once. Seconds between two that are told.
_FOR_GOOD = 2
_APART_S = 0.2
# seconds to wait for an end, between two looks at signals and the time.
_LOOK_S = 0.5
# seconds between two listings of all markers.
_COUNT_S = 5.0
# seconds for shards to answer, once they were asked to stop by a second demand, or
# since the time was over: workers that are gone never do.
_ANSWER_S = 30.0
# seconds for the shards of a launch that was killed to hear of it and to go.
_FORMER_S = 60.0


class Launch:
    """One launch: a context manager that owns its lock, its folder and its engine.

    Parameters
    ----------
    make_engine
        Returns the engine, which is entered here.
    """

    def __init__(
        self,
        order: LaunchOrder,
        make_engine: Callable[[LaunchOrder, LaunchFolder], Engine],
        clock: Clock,
    ) -> None:
        self._order, self._make_engine, self._clock = order, make_engine, clock
        self._space = Workspace.at(order.workspace)
        self._folder = new_launch(self._space, order.job)
        self._shards = [ShardState()] * order.n_shards
        self._stops = StopRequests(clock)
        progress = Progress(job=order.job, unit="blocks", ram_budget_bytes=0)
        self._screen = Screen(progress=progress, clock=clock, is_quiet=order.is_quiet)
        self._n_handed_on = 0
        self._urgent_s: float | None = None
        self._n_beats, self._beat_at, self._count_at = 0, 0.0, 0.0

    def to_the_end(self) -> int:
        """Run all shards and merge; return the exit code of the merge.

        Raises
        ------
        LowmemError
            If a shard did not end well, or the launch was stopped.
        """
        part = launches_part(self._order.job)
        with ExitStack() as stack:
            stack.enter_context(
                WorkspaceLock(Workspace(self._space.root, part), self._clock)
            )
            stack.enter_context(self._stops)
            self._beat()
            with self._screen, self._make_engine(self._order, self._folder) as engine:
                self._end_former()
                self._screen.begin()
                end = self._until_the_end(engine)
            if end is not None:
                raise self._error(end)
            status = self._merge()
            # What the shards have printed is of use while something went wrong.
            self._folder.remove()
            return status

    def _end_former(self) -> None:
        """Remove the folders of launches that were killed: their shards elsewhere stop."""
        for folder in former_launches(self._folder.path.parent):
            if folder != self._folder:
                folder.remove()
        give_up_at = self._clock.monotonic() + _FORMER_S
        while self._is_any_at_work() and self._clock.monotonic() < give_up_at:
            if self._stops.count:
                raise self._error(End(status=StoppedError.exit_code))
            self._clock.sleep(_LOOK_S)

    def _is_any_at_work(self) -> bool:
        parts = parts_in(self._space, self._order.job)
        return any(is_held(part.space) for part in parts)

    def _until_the_end(self, engine: Engine) -> End | None:
        """Return how the launch ends; None once all blocks are there to be merged."""
        while True:
            match next_step(self._shards, is_to_end=self._is_to_end()):
                case Start(indices=indices):
                    self._start(engine, indices)
                case Halt():
                    self._hand_on(engine)
                    self._wait(engine)
                    if self._is_unanswered():
                        # Where they work still, they hear of no launch, and stop.
                        return End(status=StoppedError.exit_code)
                case Wait():
                    self._wait(engine)
                case Merge():
                    return None
                case End() as end:
                    return end

    def _is_to_end(self) -> bool:
        left_s = self._left_s()
        return self._stops.count > 0 or (left_s is not None and left_s <= 0)

    def _is_unanswered(self) -> bool:
        """Return whether shards were asked to stop for good, and have not for long."""
        left_s = self._left_s()
        if self._stops.count < _FOR_GOOD and (left_s is None or left_s > 0):
            return False
        now = self._clock.monotonic()
        self._urgent_s = now if self._urgent_s is None else self._urgent_s
        return now - self._urgent_s > _ANSWER_S

    def _left_s(self) -> float | None:
        deadline = self._order.deadline
        return None if deadline is None else deadline - self._clock.monotonic()

    def _start(self, engine: Engine, indices: tuple[int, ...]) -> None:
        for index in indices:
            if self._shards[index].said or self._shards[index].n_again:
                n, said = self._shards[index].n_again, self._shards[index].said
                times = f", {n} of {MOST_AGAIN} times" if n else ""
                why = said or "it was killed"
                self._screen.line(f"shard {self._name(index)} again{times}: {why}")
        engine.start(indices, self._left_s())
        for index in indices:
            self._shards[index] = self._shards[index].started()

    def _wait(self, engine: Engine) -> None:
        for end in engine.ended(_LOOK_S):
            self._take(end)
        now = self._clock.monotonic()
        if now >= self._beat_at:
            self._beat()
        if now >= self._count_at and self._screen.is_due:
            self._count()
        self._screen.tick()

    def _take(self, end: ShardEnd) -> None:
        state = self._shards[end.index].ended(end)
        self._shards[end.index] = state
        if state.standing is Standing.DONE:
            self._screen.line(f"shard {self._name(end.index)} is done")
        elif state.standing is Standing.FAILED:
            self._screen.line(
                f"shard {self._name(end.index)} ended with exit code {end.status}; the "
                "others are asked to stop"
            )

    def _beat(self) -> None:
        self._n_beats += 1
        self._folder.beat(self._n_beats)
        self._beat_at = self._clock.monotonic() + BEAT_S

    def _count(self) -> None:
        """Show how many blocks are done; time: a listing of all markers."""
        self._count_at = self._clock.monotonic() + _COUNT_S
        boards = open_boards(self._space, self._clock, lambda job, _: job != self._job)
        for _, board in boards:
            tally = tally_of(board.whole_view())
            if tally.n_blocks is not None:
                self._screen.progress.cycle = 0
                self._screen.moved(tally.n_done, tally.n_blocks, self._standings())

    @property
    def _job(self) -> str:
        return self._order.job

    def _standings(self) -> str:
        """Return how many shards stand where, in words."""
        standings = [shard.standing for shard in self._shards]
        n_running, n_done = map(standings.count, (Standing.RUNNING, Standing.DONE))
        return f"{n_running} shards at work, {n_done} done"

    def _hand_on(self, engine: Engine) -> None:
        """Hand on what was heard since; SIGTERM where the launch ends by itself."""
        heard = self._stops.heard
        if heard.count > self._n_handed_on:
            number = int(signal.Signals[heard.by])
        elif self._n_handed_on == 0:
            number = int(signal.SIGTERM)
        else:
            return
        n_more = max(heard.count, 1) - self._n_handed_on
        self._n_handed_on += n_more
        for n in range(n_more):
            if n:
                # Two that come at once are taken for one.
                self._clock.sleep(_APART_S)
            engine.signal(number)

    def _name(self, index: int) -> str:
        return f"{index}/{self._order.n_shards}"

    def _error(self, end: End) -> ReportedError | LostShardError | StoppedError:
        """Return what says why the launch ends."""
        if end.index is None:
            reason = asked_by(self._stops.by) if self._stops.count else IN_TIME
            return StoppedError(job=self._job, reason=reason)
        shard, name = self._shards[end.index], self._name(end.index)
        if end.status == StoppedError.exit_code:
            return LostShardError(
                shard=name, job=self._job, n_times=shard.n_again, said=shard.said
            )
        said = shard.said or (
            f"it ended with exit code {end.status}; {self._folder.log(end.index)} holds "
            "what it printed."
        )
        return ReportedError(
            message=f"shard {name} of {self._job}: {said}", exit_code=end.status
        )

    def _merge(self) -> int:
        """Put the blocks together, by the command that does; return its exit code."""
        left_s = self._left_s()
        command, *words = self._order.merge_words
        time = [] if left_s is None else ["--time-budget", f"{max(left_s, 1.0):.1f}s"]
        line = [sys.executable, "-m", "lowmem.engines.tied", str(os.getpid())]
        # It tells of itself what there is to tell.
        merge = Owned(
            started(
                [*line, self._order.folder, command, *time, *words],
                stdout=None,
                stderr=None,
                is_apart=True,
                hears_stops=True,
            ),
            has_group=True,
        )
        try:
            while not merge.has_exited():
                if self._stops.count > self._n_handed_on:
                    self._n_handed_on = self._stops.count
                    merge.signal(int(signal.Signals[self._stops.by]))
                self._clock.sleep(_LOOK_S / 5)
        except BaseException:
            merge.kill()
            raise
        status = merge.wait().status
        if status < 0:
            reason = f"its merge was killed by {signal.Signals(-status).name}"
            raise StoppedError(job=self._job, reason=reason)
        return status

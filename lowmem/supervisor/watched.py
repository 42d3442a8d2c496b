"""A worker under watch, from its first moment to its last: a run's, a trial's, a plan's.

The loop waits for a message or for the time of the next reading, whichever is first.
What happened goes to `decide`, and what that orders is done here; the client says what
else can happen to its worker, and takes the messages.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from lowmem.memory.allocation import AllocationLimits
from lowmem.memory.budget import Pressure
from lowmem.protocol import messages
from lowmem.supervisor import decide
from lowmem.supervisor.endings import Broke
from lowmem.supervisor.kill_waits import await_memory, await_stacks
from lowmem.supervisor.priority import lower_priority, real_time_priority
from lowmem.supervisor.suspend import Suspension

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import UnionType

    from lowmem.base.child import Exit
    from lowmem.memory.memory_watch import Look, Watch
    from lowmem.memory.process_tree import TreeSampler
    from lowmem.protocol.messages import Answer
    from lowmem.protocol.records import Verdict
    from lowmem.supervisor.endings import Ending
    from lowmem.supervisor.processes import Worker


class Client(Protocol):
    """What one kind of worker is watched for."""

    def noted(self, found: Look) -> None:
        """Take note of a reading, before it is acted upon."""

    def happened(self) -> decide.Event | None:
        """Return what has happened outside, if anything: asked for all the time."""

    def take(self, answer: Answer) -> None:
        """Take one message of the worker."""

    def between_messages(self) -> None:
        """Do what may last: between messages."""

    def woken(self) -> None:
        """Hear that the worker had been stopped by itself, and was let go on."""


@dataclass(slots=True, kw_only=True)
class Watched:
    """One worker, and the watch over it.

    Attributes
    ----------
    tree
        This process, and all that it has started.
    stacks
        Where the worker writes where its threads are.
    find_others
        Finds what is killed with it.
    is_limited
        Whether its allocations may be limited, once it is ready.
    is_ready
        Whether the job's own code runs by now.
    is_over
        Whether nothing more is waited for.
    ending
        How it ended, as far as it was ended, or said so itself.
    ram_bytes
        The newest reading.
    """

    worker: Worker
    watch: Watch
    tree: TreeSampler
    stacks: Path
    find_others: Callable[[], Iterable[int]]
    is_limited: bool
    run_state: decide.RunState = decide.LONE
    is_ready: bool = False
    is_over: bool = False
    ending: Ending | None = None
    ram_bytes: int | None = None
    _limits: AllocationLimits = field(default_factory=AllocationLimits)
    _suspension: Suspension = field(init=False)

    def __post_init__(self) -> None:
        self._suspension = Suspension(self.watch.clock)

    def to_the_end(self, client: Client) -> Exit:
        """Watch the worker until nothing more is to be waited for; it has gone then."""
        try:
            with real_time_priority(), self._suspension:
                lower_priority(self.worker.pid)
                self._loop(client)
        finally:
            self.worker.kill_with(self.find_others)
            exited = self.worker.wait()
        return exited

    def _loop(self, client: Client) -> None:
        while self.worker.is_open and not self.is_over:
            if not self.step(client):
                # What a killed worker still had in the pipe does not change the verdict;
                # a commit among it is found again on the disk.
                return
            for answer in self.worker.receive(self.watch.left_s):
                if isinstance(answer, messages.Started):
                    self.ready()
                if not self.is_over:
                    client.take(answer)
            client.between_messages()

    def ready(self) -> None:
        """Take the worker for one in which the job's own code runs."""
        self.is_ready = True
        if self.is_limited:
            self.watch.limit = self._follow

    def over(self, ending: Ending | None = None) -> None:
        """Wait for nothing more."""
        self.is_over, self.ending = True, ending

    def step(self, client: Client) -> bool:
        """Take the reading that is due, act upon what happened; return whether to go on."""
        # A message may come before the next reading is due: it needs none.
        if self.watch.left_s <= 0:
            self.look(client)
        if self.is_over:
            return False
        self._suspension.heed(self.tree)
        if self._suspension.wake(self.worker):
            client.woken()
        event = client.happened()
        if event is not None:
            self._act(event)
        return not self.is_over

    def look(self, client: Client) -> None:
        """Take a reading, and act upon it."""

        def act(found: Look) -> None:
            self.ram_bytes = found.ram_bytes
            client.noted(found)
            if found.pressure is not Pressure.NORMAL:
                self._act(decide.MemoryReading(found.pressure, found.verdict))

        self.watch.look(act, minds_soft=decide.minds_soft(self.run_state))

    def _follow(self, used_bytes: int) -> None:
        left_bytes = self.watch.budget.hard_bytes - used_bytes
        self._limits.follow(self.tree.members, left_bytes)

    def _act(self, event: decide.Event) -> None:
        self.run_state, order = decide.on_event(self.run_state, event)
        match order:
            case decide.Drain():
                if order.has_stacks and self.is_ready:
                    self.worker.write_stacks()
                self.worker.tell(messages.Drain())
            case decide.Kill():
                self._kill(order)
            case None:
                pass

    def _kill(self, order: decide.Kill) -> None:
        clock = self.watch.clock
        with ExitStack() as held:
            if order.has_stacks and self.is_ready:
                # What it has started must not go on while it writes its stacks.
                speaker = self.worker.speaker(self.tree)
                held.enter_context(self.tree.held(but=speaker))
                room_bytes = self.watch.budget.guard_bytes // 4
                if speaker is not None:
                    await_stacks(self.worker, self.stacks, self.tree, clock, room_bytes)
            self.worker.kill_with(self.find_others)
        self.over(self.broke(order.verdict, signal=order.signal or None))
        if order.verdict in decide.MEMORY_VERDICTS:
            await_memory(clock)

    def broke(
        self, verdict: Verdict, *, signal: str | None = None, detail: str = ""
    ) -> Broke:
        """Return the end of the worker, with what the newest readings say of it."""
        return Broke(
            verdict=verdict,
            signal=signal,
            ram_bytes=self.ram_bytes,
            unmapped_bytes=self.tree.unmapped_bytes,
            where=self.worker.where(self.stacks) if self.is_ready else None,
            detail=detail,
        )


@dataclass(slots=True)
class OneAnswer:
    """The client of a worker of which one answer is wanted: a trial's, a plan's.

    Attributes
    ----------
    is_over
        Asked again and again; the worker is ended once it returns True.
    hear, note
        Are told of each answer, and that a reading was taken.
    answer
        The first that was wanted; None if there was none.
    peak_bytes
        The largest reading, without shared memory that the job does not map: that may
        be another program's.
    """

    watched: Watched
    is_over: Callable[[], bool]
    wanted: type[Answer] | UnionType
    hear: Callable[[Answer], None] = lambda _: None
    note: Callable[[], None] = lambda: None
    answer: Answer | None = None
    peak_bytes: int = 0

    def noted(self, found: Look) -> None:
        """Keep the largest reading."""
        own_bytes = found.ram_bytes - self.watched.tree.unmapped_bytes
        self.peak_bytes = max(self.peak_bytes, own_bytes)
        self.note()

    def happened(self) -> decide.Event | None:
        """Return whether an end is wanted: there is no commit to wait for."""
        return decide.Signalled(is_urgent=True) if self.is_over() else None

    def take(self, answer: Answer) -> None:
        """Take what is wanted, and one reading more: that may be the largest."""
        self.hear(answer)
        if isinstance(answer, self.wanted):
            self.watched.look(self)
            if not self.watched.is_over:
                self.answer = answer
                self.watched.over()

    def between_messages(self) -> None:
        """Nothing lasts here."""

    def woken(self) -> None:
        """Nobody is told."""

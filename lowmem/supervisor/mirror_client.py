"""The supervisor's side of the mirror: start its process, tell it, hear it, let it go.

Nothing here waits while a job runs: what cannot be told at once is told later, since
only the newest commit counts. A mirror's process that ends is started again.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

from lowmem.base.child import NOTHING
from lowmem.base.clock import SystemClock
from lowmem.base.errors import EXIT_STORAGE, InternalError, ReportedError
from lowmem.base.units import format_bytes
from lowmem.history.fold import history_of, history_of_job
from lowmem.history.provenance import owned, owners_of
from lowmem.protocol.messages import Failed
from lowmem.protocol.mirror_messages import (
    Answered,
    AtRest,
    Durable,
    FinishMirror,
    JobCommitted,
    JobDone,
    Keep,
    Mended,
    Overtaken,
    Recover,
    Shared,
    StaysHere,
    Troubled,
)
from lowmem.protocol.records import Mirrored
from lowmem.supervisor.processes import HelperProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from lowmem.base.clock import Clock
    from lowmem.base.workspace import Workspace
    from lowmem.history.job_history import History
    from lowmem.protocol.messages import Message
    from lowmem.protocol.mirror_messages import MirrorAnswer
    from lowmem.protocol.records import AnyRecord
    from lowmem.supervisor.stop_requests import StopRequests
    from lowmem.supervisor.telemetry import Journal

# seconds that the end of a run waits for what is not yet durable; and, where a time
# budget leaves less, at least: one small generation takes about one.
FINISH_S = 60.0
LEAST_FINISH_S = 5.0
# seconds of it before the user is told why the run does not end.
_SAID_S = 1.0
_LOOK_S = 0.05
# seconds before a mirror's process that ended is started again.
_START_AGAIN_S = 10.0

# seconds without a byte from the mirror after which it counts as gone.
_PATIENCE_S = 60.0
_T = TypeVar("_T", bound="MirrorAnswer")


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorPlan:
    """What the user wants mirrored.

    Attributes
    ----------
    url
        A folder, or any URL that fsspec opens.
    has_data
        Whether large stores are sent too.
    """

    url: str
    has_data: bool = False


def finish_s(left_s: float | None) -> float:
    """Return how long the end of a run waits, given what is left of its time budget.

    Examples
    --------
    >>> finish_s(None), finish_s(1000.0), finish_s(20.0), finish_s(-3.0)
    (60.0, 60.0, 20.0, 5.0)
    """
    return FINISH_S if left_s is None else min(FINISH_S, max(LEAST_FINISH_S, left_s))


@dataclass(slots=True)
class Mirror:
    """The mirror of one run, or, without a plan, none at all; a context manager.

    Attributes
    ----------
    say
        Shows the user one line.
    read_records
        Reads the journal.
    deadline
        Monotonic time at which the time budget ends; None for no limit.
    """

    plan: MirrorPlan | None
    space: Workspace
    journal: Journal
    clock: Clock
    stops: StopRequests
    say: Callable[[str], None]
    read_records: Callable[[], Iterable[AnyRecord]]
    deadline: float | None = None
    _helper: HelperProcess | None = None
    _start_at: float = 0.0
    _untold: dict[str, JobCommitted | JobDone] = field(default_factory=dict)
    _open: dict[str, JobCommitted | JobDone] = field(default_factory=dict)
    _warned: set[str] = field(default_factory=set)
    _is_at_rest: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    @contextlib.contextmanager
    def beside(self, do: Callable[[Callable[[], None]], None]) -> Iterator[None]:
        """For the length of a block, leave it to another to show what is said.

        Parameters
        ----------
        do
            Does what it is given, now or later.
        """
        say = self.say
        self.say = lambda text: do(partial(say, text))
        try:
            yield
        finally:
            self.say = say

    def committed(self, job: str, generation: int) -> None:
        """Hear of a commit."""
        self._note(JobCommitted(job=job, generation=generation))

    def done(self, job: str, generation: int, published: tuple[str, ...]) -> None:
        """Hear that a job is done."""
        self._note(JobDone(job=job, generation=generation, published=published))

    def _note(self, news: JobCommitted | JobDone) -> None:
        if self.plan is not None:
            self._untold[news.job] = self._open[news.job] = news
            self.poll()

    def poll(self) -> None:
        """Tell what is new, hear what became durable; never wait."""
        if self.plan is None:
            return
        helper = self._running()
        if helper is None:
            return
        for answer in helper.receive():
            self._take(answer)
        for job in list(self._untold):
            if not helper.tell(self._untold[job]):
                return
            del self._untold[job]

    def _running(self) -> HelperProcess | None:
        """Return the process, started if there is none; None if it is too early."""
        if self._helper is not None and not self._helper.is_open:
            self._helper.end()
            self._helper = None
            self._untold = dict(self._open)
        if self._helper is None and self.plan is not None:
            now = self.clock.monotonic()
            if now < self._start_at:
                return None
            self._start_at = now + _START_AGAIN_S
            self._helper = HelperProcess(
                "lowmem.mirror",
                Keep(
                    url=self.plan.url,
                    workspace=str(self.space.root),
                    has_data=self.plan.has_data,
                ),
                log=self.space.private / "mirror.log",
            )
        return self._helper

    def _take(self, answer: MirrorAnswer) -> None:
        match answer:
            case Durable():
                self._durable(answer)
            case StaysHere():
                self._stays(answer)
            case Overtaken():
                self._overtaken(answer)
            case Troubled():
                self.say(
                    f"mirror: {answer.problem}. The job continues; it is tried again."
                )
            case Mended():
                self.say("mirror: works again")
            case Shared():
                self.say(
                    "mirror: another machine writes to it; its generations are kept apart"
                )
            case AtRest():
                self._is_at_rest = True
            case _:
                return

    def _durable(self, answer: Durable) -> None:
        last = self._open.get(answer.job)
        # The last commit of a job has the same number as its results.
        is_it = isinstance(last, JobCommitted) or answer.is_done
        if last is not None and is_it and last.generation <= answer.generation:
            del self._open[answer.job]
        self.journal.write(
            Mirrored(
                job=answer.job,
                at=self.journal.now(),
                generation=answer.generation,
                is_done=answer.is_done,
            )
        )

    def _overtaken(self, answer: Overtaken) -> None:
        last = self._open.get(answer.job)
        is_it = isinstance(last, JobDone) and last.generation == answer.generation
        # Its next life may have ended by now, with results of the same number.
        history = history_of(self.read_records(), is_brief=True)
        if is_it and not _is_in_place(answer.job, history):
            del self._open[answer.job]

    def _stays(self, answer: StaysHere) -> None:
        self._open.pop(answer.job, None)
        if answer.job not in self._warned:
            self._warned.add(answer.job)
            what = "results" if answer.is_done else "results in the making"
            self.say(
                f"mirror: {answer.job}'s {what}, {format_bytes(answer.n_bytes)}, stay on "
                "this machine: elsewhere it starts over, with the same result. "
                "--mirror-data sends them."
            )

    def finish(self) -> None:
        """Wait a bounded time until all is durable; then end the process."""
        try:
            if self._open:
                self._wait()
        finally:
            if self._helper is not None:
                self._helper.end()
                self._helper = None

    def _wait(self) -> None:
        stops_before = self.stops.count
        began = self.clock.monotonic()
        most_s = finish_s(None if self.deadline is None else self.deadline - began)
        told: HelperProcess | None = None
        is_said = False
        while not self._is_at_rest and self.clock.monotonic() < began + most_s:
            self.poll()
            if self.stops.count > stops_before:
                break
            helper = self._helper
            # One that was killed is started again after a while, and told again.
            is_new = helper is not told and not self._untold
            if helper is not None and is_new and helper.tell(FinishMirror()):
                told = helper
            if not is_said and self.clock.monotonic() > began + _SAID_S:
                jobs = ", ".join(self._open)
                self.say(f"mirror: sending {jobs}, for at most {most_s:.0f} s")
                is_said = True
            self.clock.sleep(_LOOK_S)
        if self._open:
            listed = ", ".join(self._standing(job) for job in self._open)
            self.say(f"mirror: not durable at the end: {listed}")

    def _standing(self, job: str) -> str:
        """Return in words how far the mirror has followed a job."""
        history = history_of_job(job, self.read_records())
        committed = history.last_cycle + 1
        if history.durable >= committed:
            return f"{job} (its results)"
        return f"{job} (durable {history.durable} < committed {committed})"


def tell_done(mirror: Mirror, history: History, job: str) -> None:
    """Let the mirror know of a job's results, also of those of an earlier run.

    Not of results that another job has replaced since: they are that one's.
    """
    if _is_in_place(job, history):
        own = history.of(job)
        mirror.done(job, own.last_cycle, own.published)


def _is_in_place(job: str, history: History) -> bool:
    """Return whether a job is done and its results are all still its own."""
    own = history.of(job)
    names = list(own.published)
    return own.is_done and owned(names, job, owners_of(history)) == names


def ask_mirror(
    plan: MirrorPlan,
    space: Workspace,
    clock: Clock,
    patience_s: float | None = None,
    *,
    is_repair: bool = False,
) -> Answered:
    """Fill the workspace from its mirror if it is empty, or take it to where that is.

    Parameters
    ----------
    patience_s
        How long to wait without a sign of life; None waits for ever.
    is_repair
        Whether damaged lines of the journal are taken from there too.

    Raises
    ------
    LowmemError
        If the workspace is empty and the mirror holds nothing whole, or cannot be read.
    """
    request = Recover(url=plan.url, workspace=str(space.root), is_repair=is_repair)
    log = space.private / "mirror.log"
    answer = answer_of(request, Answered, clock, patience_s=patience_s, log=log)
    if answer is None:
        return Answered(notes=("does not answer; the run continues without it",))
    return answer


def answer_of(
    request: Message,
    kind: type[_T],
    clock: Clock,
    *,
    patience_s: float | None,
    log: Path | int = NOTHING,
) -> _T | None:
    """Return the answer of a mirror's process, which has gone by then.

    Parameters
    ----------
    patience_s
        How long to wait without a sign of life, and then return None; None waits for ever.

    Raises
    ------
    ReportedError
        If it says that it failed.
    """
    helper = HelperProcess("lowmem.mirror", request, log=log)
    heard_s = clock.monotonic()
    try:
        while helper.is_open:
            if patience_s is not None and clock.monotonic() > heard_s + patience_s:
                return None
            for answer in helper.receive(_LOOK_S):
                heard_s = clock.monotonic()
                if isinstance(answer, Failed):
                    raise ReportedError(
                        message=answer.message, exit_code=answer.exit_code
                    )
                if isinstance(answer, kind):
                    return answer
    finally:
        helper.end()
    raise InternalError(problem="the mirror's process ended without an answer")


def answer_in_time(request: Message, kind: type[_T]) -> _T:
    """Return the answer of a mirror's process to whoever waits for it at a terminal.

    Raises
    ------
    ReportedError
        If it says that it failed, or gives no sign of life for a minute.
    """
    answer = answer_of(request, kind, SystemClock(), patience_s=_PATIENCE_S)
    if answer is None:
        raise ReportedError(
            message=f"no answer for {_PATIENCE_S:.0f} s", exit_code=EXIT_STORAGE
        )
    return answer

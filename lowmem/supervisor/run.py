"""One job under supervision, from its plan to its end.

    plan -> refuse or choose a rung -> attempt -> decide -> attempt ... -> end

What is decided is in `decide`, what is measured in `attempt`; here is the order.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lowmem.base.errors import MissingArtefactError, StoppedError
from lowmem.memory.budget import RamBudget
from lowmem.memory.fill_rate import measured_fill_rate
from lowmem.memory.gpu import GpuSampler
from lowmem.memory.machine import read_machine
from lowmem.protocol.messages import Rebuild, Run
from lowmem.protocol.recipe import CONTENT, told_done
from lowmem.protocol.tempo import Tempo
from lowmem.protocol.told_jobs import PlannedNeed
from lowmem.supervisor import decide, endings, planner
from lowmem.supervisor.attempt import Attempt
from lowmem.supervisor.attempt_tools import attempt_tools
from lowmem.supervisor.begin import begin
from lowmem.supervisor.device import JobDevice
from lowmem.supervisor.mirror_client import tell_done
from lowmem.supervisor.order import JobOrder, plan_request
from lowmem.supervisor.page_renewal import LONGEST_S, PageRenewal
from lowmem.supervisor.prepare import Prepared, prepare
from lowmem.supervisor.progress import Progress
from lowmem.supervisor.run_records import (
    device_of,
    write_begin,
    write_end,
    write_incident,
)
from lowmem.supervisor.screen import Screen
from lowmem.supervisor.short_programs import run_report
from lowmem.supervisor.stop_requests import asked_by
from lowmem.supervisor.trials import TrialBench
from lowmem.supervisor.user_messages import error_of_end, refusal, told_of_done

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lowmem.history.job_history import JobHistory
    from lowmem.protocol.division import Division
    from lowmem.protocol.messages import Planned
    from lowmem.protocol.planning import Device
    from lowmem.protocol.recipe import Input
    from lowmem.supervisor.session import Session

RunNeeded = Callable[[PlannedNeed, JobOrder], None]


def run_job(
    order: JobOrder,
    session: Session,
    run_needed: RunNeeded,
) -> str:
    """Run or continue one job until it is done; return a line that says so.

    Parameters
    ----------
    run_needed
        Runs the job that makes a missing artefact.

    Raises
    ------
    LowmemError
        If it did not end well; its exit code is the command's.
    """
    device = device_of(order, session)
    planned = plan_job(order, session, device)
    while planned.missing:
        for need in planned.missing:
            if need.options is None:
                raise MissingArtefactError(
                    path=Path(need.path), job=need.job, typed=need.typed
                )
            # One run may make several of them.
            if not Path(need.path).exists():
                run_needed(need, order)
        planned = plan_job(order, session, device)
    history = session.history().of(order.name)
    if history.has_progress and not order.is_restart:
        planned = as_begun(planned, history)
    history = begin(order, session, history, planned)
    planned = as_begun(planned, history)
    if history.is_done:
        tell_done(session.mirror, session.history(), order.name)
        was = history.run.source if history.run else ""
        return told_done(order.name, was, planned.source)
    prepared = prepare_job(order, session, planned, device)
    write_begin(
        session,
        order,
        device,
        memory_key=planned.memory_key,
        source=planned.source,
    )
    run = SupervisedRun(
        order,
        session,
        prepared,
        planned.recipe,
        history,
        device,
        inputs=planned.inputs,
        page=_page_of(session),
    )
    return run.to_the_end()


def _page_of(session: Session) -> PageRenewal:
    """Return what renews the report page of a workspace while a job runs in it."""
    space = session.space
    write = partial(run_report, space.root, space.report, timeout_s=LONGEST_S)
    return PageRenewal(write, session.clock)


def as_begun(planned: Planned, history: JobHistory) -> Planned:
    """Return a plan without those inputs of which nothing was recorded at the beginning.

    Where nothing was then, the job itself may have written since; of what an older lowmem
    did not record, nobody knows how it was.
    """
    begun = history.recipe
    if begun is None:
        return planned
    return msgspec.structs.replace(
        planned,
        recipe={
            key: value
            for key, value in planned.recipe.items()
            if key in begun or not key.endswith(CONTENT)
        },
        inputs={key: one for key, one in planned.inputs.items() if key in begun},
    )


def plan_job(order: JobOrder, session: Session, device: Device) -> Planned:
    """Return the ladder of a job and its recipe, within the time that is left."""
    request = plan_request(order, session.space, device)
    with _in_time(order, session) as is_over:
        return planner.plan(request, is_over)


def prepare_job(
    order: JobOrder, session: Session, planned: Planned, device: Device
) -> Prepared:
    """Return what the job will need, measured by trial runs where there is doubt."""
    records = session.read_records()
    with _in_time(order, session) as is_over, screen_of(order, session) as screen:
        bench = TrialBench(
            space=session.space, clock=session.clock, device=device, is_over=is_over
        )
        return prepare(
            order, planned, bench, records, is_thorough=False, say=screen.line
        )


@contextlib.contextmanager
def _in_time(order: JobOrder, session: Session) -> Iterator[Callable[[], bool]]:
    """Give what tells whether the user, or the time budget, wants an end.

    Raises
    ------
    StoppedError
        With the reason, once either has ended what ran inside.
    """

    def is_late() -> bool:
        left_s = order.left_s(session.clock.monotonic())
        return not decide.has_time(left_s, 0.0, Tempo())

    try:
        yield lambda: session.stops.count > 0 or is_late()
    except StoppedError as error:
        asked = f"{asked_by(session.stops.by)}, {error.reason}"
        reason = endings.IN_TIME if is_late() else asked
        raise StoppedError(job=order.name, reason=reason) from error


def screen_of(order: JobOrder, session: Session) -> Screen:
    """Return what shows a job to the user; a context manager."""
    progress = Progress(
        job=order.name,
        unit=order.unit,
        ram_budget_bytes=order.ram_budget_bytes,
        vram_budget_bytes=order.vram_budget_bytes,
    )
    return Screen(progress=progress, clock=session.clock, is_quiet=order.is_quiet)


class SupervisedRun:
    """The attempts at one job within one ``lowmem run``."""

    def __init__(
        self,
        order: JobOrder,
        session: Session,
        prepared: Prepared,
        recipe: Mapping[str, object],
        history: JobHistory,
        device: Device,
        *,
        rebuild: Rebuild | None = None,
        inputs: Mapping[str, Input] | None = None,
        division: Division | None = None,
        page: PageRenewal | None = None,
    ) -> None:
        self._rebuild, self._division, self._page = rebuild, division, page
        self._order = order
        self._session = session
        self._prepared = prepared
        self._recipe = recipe
        self._inputs = inputs or {}
        self._history = history
        self._device: Device = device
        self._attempts = history.last_attempt
        self._tempo = history.tempo
        self._startup_s = 0.0
        self._losses: Sequence[str] = ()
        self._policy = decide.Policy(
            ladder=tuple(rung.settings for rung in prepared.rungs),
            budget=RamBudget(
                limit_bytes=order.ram_budget_bytes, fill_rate=measured_fill_rate()
            ),
            recycle_every=order.recycle_every,
            is_device_demanded=order.device == "gpu",
        )

    def to_the_end(self) -> str:
        """Start workers until the job has ended; return a line that says it is done."""
        run_state = decide.RunState(rung=self._first_rung(), device=self._device)
        while True:
            self._refuse_if_stopped()
            ending, run_state = self._attempt(run_state)
            verdict = endings.on_ending(run_state, self._policy, ending)
            incident = endings.incident_of(run_state, ending)
            if incident is not None:
                is_gpu_lost = endings.is_device_lost(run_state, incident)
                write_incident(
                    self._session,
                    self._order.name,
                    self._attempts,
                    incident,
                    endings.action_of(verdict),
                    is_gpu_lost=is_gpu_lost,
                )
            if isinstance(verdict, endings.End):
                return self._end(verdict, ending, run_state)
            run_state = verdict.run_state

    def _first_rung(self) -> int:
        """Choose where to start on the ladder, or refuse."""
        budget = self._order.ram_budget_bytes
        rung = self._prepared.start
        if rung is None:
            error = refusal(
                self._order,
                self._prepared.rungs,
                self._prepared.stop,
                available_bytes=read_machine().available_bytes,
            )
            write_end(
                self._session,
                self._order.name,
                "refused",
                error.exit_code,
                str(error),
            )
            raise error
        ladder = list(self._policy.ladder)
        former = self._history.settings
        if former in ladder and budget <= self._history.ram_budget_bytes:
            # What was too large in the last run would be too large again.
            rung = max(rung, ladder.index(former))
        return rung

    def _refuse_if_stopped(self) -> None:
        """Start no worker for nobody, or for less time than one needs."""
        left_s = self._order.left_s(self._session.clock.monotonic())
        has_time = decide.has_time(left_s, self._startup_s, self._tempo)
        if has_time and not self._session.stops.count:
            return
        asked = asked_by(self._session.stops.by)
        reason = endings.IN_TIME if not has_time else asked
        error = StoppedError(job=self._order.name, reason=reason)
        write_end(
            self._session,
            self._order.name,
            "stopped",
            error.exit_code,
            str(error),
            stopped_for="signal" if has_time else "time",
        )
        raise error

    def _attempt(
        self, run_state: decide.RunState
    ) -> tuple[endings.Ending, decide.RunState]:
        self._attempts += 1
        order, session = self._order, self._session
        with GpuSampler() as gpu:
            device = JobDevice.before_a_worker(gpu)
            screen = screen_of(order, session)
            with attempt_tools(session, self._attempts, screen) as tools:
                attempt = Attempt(
                    number=self._attempts,
                    request=self._request(run_state),
                    policy=self._policy,
                    deadline=order.deadline,
                    tempo=self._tempo,
                    device=device,
                    last_journaled_cycle=session.history().of(order.name).last_cycle,
                    tools=tools,
                    page=self._page,
                )
                ending, run_state = attempt.run(run_state)
        standing = screen.progress.standing(session.clock.monotonic())
        # A worker that only publishes tells none.
        self._losses = standing.losses or self._losses
        self._tempo, self._startup_s = attempt.tempo, attempt.startup_s
        return ending, run_state

    def _request(self, run_state: decide.RunState) -> Run:
        order = self._order
        return Run(
            reference=order.reference,
            job=order.name,
            workspace=str(self._session.space.root),
            options=dict(order.options),
            settings=dict(self._policy.ladder[run_state.rung]),
            recipe=dict(self._recipe),
            inputs=dict(self._inputs),
            seed=order.seed,
            device=run_state.device,
            ram_budget_bytes=order.ram_budget_bytes,
            vram_budget_bytes=order.vram_budget_bytes,
            cycle_steps=order.cycle_steps,
            time_budget_s=order.time_budget_s,
            deadline=order.deadline,
            longest_step_seconds=self._tempo.step_s,
            commit_seconds=self._tempo.commit_s,
            is_followed=run_state.device == "cpu",
            rebuild=self._rebuild,
            part=self._session.space.part,
            division=self._division,
        )

    def _end(
        self, verdict: endings.End, ending: endings.Ending, run_state: decide.RunState
    ) -> str:
        """Record the end; return the good news or raise the bad."""
        name = self._order.name
        finished = ending if isinstance(ending, endings.Finished) else None
        if verdict.state == "done":
            write_end(self._session, name, "done", verdict.exit_code, finished=finished)
            tell_done(self._session.mirror, self._session.history(), name)
            return told_of_done(name, self._losses)
        error = error_of_end(self._order, verdict, ending)
        is_stop = verdict.state == "stopped"
        write_end(
            self._session,
            name,
            verdict.state,
            error.exit_code,
            str(error),
            stopped_for=endings.stopped_for(run_state, ending) if is_stop else None,
        )
        raise error

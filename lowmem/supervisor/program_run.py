"""One command under supervision: its attempts, and what is told of them at the end.

    begin or go on -> attempt -> decide -> attempt ... -> end

A job of the user's is planned first; of a program nobody knows what it needs, so it is
started, and what it does decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lowmem.base.errors import LowmemError
from lowmem.base.errors_recipe import RecipeChangedError
from lowmem.memory.budget import RamBudget
from lowmem.memory.fill_rate import measured_fill_rate
from lowmem.memory.gpu import GpuSampler
from lowmem.protocol.messages import Planned, Run
from lowmem.protocol.recipe import recipe_changes
from lowmem.supervisor import decide, endings, forwarded_signals
from lowmem.supervisor.attempt_tools import attempt_tools
from lowmem.supervisor.begin import begin
from lowmem.supervisor.device import JobDevice
from lowmem.supervisor.exec_files import ExecFiles
from lowmem.supervisor.mirror_client import tell_done
from lowmem.supervisor.order import EXEC
from lowmem.supervisor.program_attempt import ProgramAttempt
from lowmem.supervisor.program_endings import CommandTerms, on_program_end
from lowmem.supervisor.progress import Progress
from lowmem.supervisor.run_records import write_begin, write_end, write_incident
from lowmem.supervisor.screen import Screen

if TYPE_CHECKING:
    from lowmem.history.job_history import JobHistory
    from lowmem.protocol.records import StopCause
    from lowmem.supervisor.order import CommandOrder
    from lowmem.supervisor.program_process import Peak
    from lowmem.supervisor.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOutcome:
    """How a command ended.

    Attributes
    ----------
    exit_code
        The command's own, or lowmem's where that ended it.
    end
        What was decided; None where it had been done before, and nothing ran.
    ram_peak_bytes
        The largest reading of this run; None if there was none.
    peak
        The kernel's mark of the largest process of the last attempt.
    n_attempts
        Of this run.
    """

    exit_code: int
    end: endings.End | None = None
    ram_peak_bytes: int | None = None
    peak: Peak | None = None
    n_attempts: int = 0


def run_command(order: CommandOrder, session: Session) -> CommandOutcome:
    """Run a command, or go on with its state, to its end.

    Raises
    ------
    RecipeChangedError
        If there is state of another command, and no ``--restart``.
    MissingProgramError
        If there is no such program.
    StorageError
        If the workspace cannot be written.
    """
    job = order.job
    history = session.history().of(job.name)
    # A program that keeps no state is run again, as by hand; else it is done for good.
    is_again = history.is_done and not _keeps_state(history, session, job.name)
    planned = Planned(recipe=order.recipe, standing="open" if is_again else "")
    history = begin(job, session, history, planned)
    if history.is_done:
        tell_done(session.mirror, session.history(), job.name)
        return CommandOutcome(exit_code=0)
    write_begin(session, job, "cpu")
    with forwarded_signals.held_back():
        return _CommandRun(order, session, history).to_the_end()


def _keeps_state(history: JobHistory, session: Session, name: str) -> bool:
    if history.last_cycle > 0:
        return True
    exec_files = ExecFiles(
        space=session.space, job=name, recipe={}, clock=session.clock
    )
    return exec_files.newest is not None and bool(exec_files.newest.manifest.files)


@dataclass(slots=True)
class _CommandRun:
    """The attempts at one command within one ``lowmem exec``."""

    order: CommandOrder
    session: Session
    history: JobHistory
    _number: int = 0
    _n_started: int = 0
    _peak: Peak | None = None
    _exec_files: ExecFiles = field(init=False)
    _policy: decide.Policy = field(init=False)

    def __post_init__(self) -> None:
        job = self.order.job
        self._number = self.history.last_attempt
        self._exec_files = ExecFiles(
            space=self.session.space,
            job=job.name,
            recipe=self.order.recipe,
            clock=self.session.clock,
        )
        self._policy = decide.Policy(
            ladder=(),
            budget=RamBudget(
                limit_bytes=job.ram_budget_bytes, fill_rate=measured_fill_rate()
            ),
            is_lone=True,
        )

    def to_the_end(self) -> CommandOutcome:
        """Start the program until it has ended for good."""
        if self._is_complete():
            self._write_end(endings.End(state="done", exit_code=0))
            return CommandOutcome(exit_code=0)
        run_state = replace(decide.LONE, rung=self._first_rung())
        while True:
            try:
                ending, run_state, asked = self._attempt(run_state)
            except LowmemError as error:
                end = endings.End(
                    state="failed", exit_code=error.exit_code, message=str(error)
                )
                self._write_end(end)
                raise
            terms = CommandTerms(
                ram_budget_bytes=self.order.job.ram_budget_bytes,
                retries_left=self.order.n_retries + 1 - self._n_started,
                asked=frozenset(asked),
            )
            verdict = on_program_end(run_state, terms, ending)
            incident = endings.incident_of(run_state, ending)
            if incident is not None:
                action = endings.action_of(verdict)
                name = self.order.job.name
                write_incident(self.session, name, self._number, incident, action)
            if isinstance(verdict, endings.End):
                is_stop = verdict.state == "stopped"
                cause = endings.stopped_for(run_state, ending) if is_stop else None
                return self._end(verdict, cause)
            run_state = replace(verdict.run_state, leaving=None, stopped_by="")

    def _is_complete(self) -> bool:
        """Return whether its last commit says that it has ended well.

        It has, and lowmem was ended before it could write that down.

        Raises
        ------
        RecipeChangedError
            If the commit is of another command.
        """
        newest = self._exec_files.newest
        if newest is None:
            return False
        changes = recipe_changes(newest.manifest.recipe, self.order.recipe)
        if changes:
            raise RecipeChangedError(job=self.order.job.name, changes=changes)
        return newest.manifest.phase == "publishing"

    def _first_rung(self) -> int:
        """Begin at the rung that the last run came to, if its budget was no smaller."""
        former = self.history.settings.get("rung", 0)
        is_same = self.order.job.ram_budget_bytes <= self.history.ram_budget_bytes
        return former if is_same else 0

    def _attempt(
        self, run_state: decide.RunState
    ) -> tuple[endings.Ending, decide.RunState, set[str]]:
        self._number += 1
        self._n_started += 1
        job, session = self.order.job, self.session
        screen = Screen(
            progress=Progress(
                job=job.name, unit=job.unit, ram_budget_bytes=job.ram_budget_bytes
            ),
            clock=session.clock,
            is_quiet=not self.order.is_shown,
            is_shared=True,
        )
        with attempt_tools(session, self._number, screen) as tools:
            attempt = ProgramAttempt(
                number=self._number,
                request=self._request(run_state),
                policy=self._policy,
                deadline=job.deadline,
                # Its own memory is the program's own affair: no device is watched.
                device=JobDevice(gpu=GpuSampler()),
                last_journaled_cycle=session.history().of(job.name).last_cycle,
                words=self.order.words,
                exec_files=self._exec_files,
                environment=self._environment(run_state),
                tools=tools,
            )
            ending, run_state = attempt.run(run_state)
        run_state, self._peak = attempt.hear_the_rest(run_state), attempt.peak
        return ending, run_state, attempt.asked

    def _request(self, run_state: decide.RunState) -> Run:
        job = self.order.job
        return Run(
            reference=EXEC,
            job=job.name,
            workspace=str(self.session.space.root),
            options={},
            settings={"rung": run_state.rung},
            recipe=self.order.recipe,
            seed=job.seed,
            device="cpu",
            ram_budget_bytes=job.ram_budget_bytes,
            vram_budget_bytes=None,
            cycle_steps=None,
            time_budget_s=job.time_budget_s,
            deadline=job.deadline,
        )

    def _environment(self, run_state: decide.RunState) -> dict[str, str]:
        """Return what the program is told; see docs/exec.md."""
        job = self.order.job
        told = {
            **self._exec_files.environment(),
            "LOWMEM_ATTEMPT": str(self._number),
            "LOWMEM_RUNG": str(run_state.rung),
            "LOWMEM_RAM_BYTES": str(job.ram_budget_bytes),
        }
        left_s = job.left_s(self.session.clock.monotonic())
        if left_s is not None:
            ends_at = self.session.clock.now().timestamp() + left_s
            told["LOWMEM_DEADLINE"] = f"{ends_at:.0f}"
        return told

    def _write_end(self, end: endings.End, cause: StopCause | None = None) -> None:
        done = endings.Finished(published=(), summary={"exit_code": 0})
        write_end(
            self.session,
            self.order.job.name,
            end.state,
            end.exit_code,
            end.message,
            finished=done if end.state == "done" else None,
            stopped_for=cause,
        )

    def _end(self, end: endings.End, cause: StopCause | None) -> CommandOutcome:
        self._write_end(end, cause)
        if end.state == "done":
            tell_done(self.session.mirror, self.session.history(), self.order.job.name)
        history = self.session.history().of(self.order.job.name)
        return CommandOutcome(
            exit_code=end.exit_code,
            end=end,
            ram_peak_bytes=history.run_peak_bytes,
            peak=self._peak,
            n_attempts=self._n_started,
        )

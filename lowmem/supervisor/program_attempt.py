"""One attempt at a command: a worker's, but for how it is started and what it hears."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.errors_exec import MissingProgramError
from lowmem.base.files import make_folder, storage_errors
from lowmem.supervisor import decide, forwarded_signals
from lowmem.supervisor.attempt import Attempt
from lowmem.supervisor.program_process import STACKS_SIGNAL, Peak, ProgramProcess

if TYPE_CHECKING:
    from lowmem.protocol.messages import Answer
    from lowmem.supervisor.exec_files import ExecFiles
    from lowmem.supervisor.processes import Worker

# Of a time budget, its end that the program has for itself after SIGTERM; seconds at most.
_GRACE_SHARE = 0.05
_MOST_GRACE_S = 10.0


@dataclass(slots=True, kw_only=True)
class ProgramAttempt(Attempt):
    """One start of the user's program.

    Attributes
    ----------
    words
        The program and its arguments.
    exec_files
        What it exchanges with lowmem.
    environment
        What it is told beside what this process was told.
    asked
        Names of the signals that were passed on to it.
    """

    words: tuple[str, ...]
    exec_files: ExecFiles
    environment: dict[str, str]
    asked: set[str] = field(default_factory=set)
    _program: ProgramProcess = field(init=False)
    # What came while the program was being started, and is still to be acted upon.
    _early: list[decide.Event] = field(default_factory=list)
    _is_grouped: bool = False
    _is_warned: bool = False

    def _start(self, log: Path) -> Worker:  # type: ignore[explicit-override]  # noqa: ARG002
        tools = self.tools
        self.exec_files.begin()
        stacks = tools.space.stacks(self.request.job)
        make_folder(stacks.parent)
        with storage_errors(stacks):
            stacks.write_bytes(b"")
        self._is_grouped = not forwarded_signals.has_terminal()
        with forwarded_signals.as_by_hand() as came:
            try:
                self._program = ProgramProcess(
                    self.words,
                    self.exec_files,
                    settings=self.request.settings,
                    environment=self._told(stacks),
                    pass_fds=(tools.lock_descriptor,),
                    is_grouped=self._is_grouped,
                    do_background=tools.background.do,
                )
            except OSError as error:
                raise MissingProgramError(
                    program=self.words[0], problem=error.strerror or str(error)
                ) from error
        self._early = [self._heard(number, is_passed_on=True) for number in came]
        return self._program

    def _told(self, stacks: Path) -> dict[str, str]:
        """Return the environment of the program: this process's, and what it is told."""
        environment = {**os.environ, **self.environment}
        environment["LOWMEM_STACKS"] = f"{int(STACKS_SIGNAL)}:{stacks}"
        # Read by every Python among its processes, before anything else.
        paths = [str(Path(__file__).parent / "site"), environment.get("PYTHONPATH")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        return environment

    def happened(self) -> decide.Event | None:  # type: ignore[explicit-override]
        """Return what the user or the clock wants, once the program has been told."""
        if self._early:
            return self._early.pop(0)
        found = forwarded_signals.next_heard(is_grouped=self._is_grouped)
        if found is not None:
            number, is_passed_on = found
            return self._heard(number, is_passed_on=is_passed_on)
        left_s = self._left_s
        if left_s is None:
            return None
        if left_s <= 0:
            return decide.TimeUp()
        if left_s <= self._grace_s and not self._is_warned:
            self._is_warned = True
            self._program.signal(signal.SIGTERM)
            watched = self._watched
            watched.run_state = replace(watched.run_state, leaving=decide.Leaving.TIME)
        return None

    def take(self, answer: Answer) -> None:  # type: ignore[explicit-override]
        """Take what the program says, or its end does."""
        if self._program.has_exited():
            self._ledger.worker_ended(self._program.wait().peak_bytes)
        Attempt.take(self, answer)

    def hear_the_rest(self, run_state: decide.RunState) -> decide.RunState:
        """Return the state with what came while the program was ending of the same."""
        while (found := forwarded_signals.next_heard(is_grouped=True)) is not None:
            self._early.append(self._heard(found[0], is_passed_on=False))
        for event in self._early:
            run_state, _ = decide.on_event(run_state, event)
        return run_state

    @property
    def peak(self) -> Peak:
        """The kernel's mark of its largest process."""
        return self._program.peak()

    @property
    def _grace_s(self) -> float:
        given_s = self.request.time_budget_s or 0.0
        return min(_MOST_GRACE_S, _GRACE_SHARE * given_s)

    def _heard(self, number: int, *, is_passed_on: bool) -> decide.Event:
        """Pass on a signal; that the program is asked to stop is remembered."""
        name = signal.Signals(number).name
        self.tools.stops.hear(number)
        self.asked.add(name)
        if is_passed_on:
            self._program.signal(number)
        return decide.Signalled(name)

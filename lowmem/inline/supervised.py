"""Run a function in a forked process, under a budget: ``@lowmem.supervised(ram="2G")``.

Forked, so that functions of a notebook, closures and arguments of any kind need no file
and no pickle to get there; what comes back is data alone, see `values`. The process is
killed when its budget or its time is used up, so its memory certainly comes back.

What does not survive a fork: threads, and with them TensorFlow, JAX and CUDA once they
have computed something. Load them within the function.
"""

from __future__ import annotations

import functools
import os
import select
import signal
import tempfile
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from lowmem.base.child import kill_all, signal_all
from lowmem.base.clock import SystemClock
from lowmem.base.errors_inline import (
    BudgetExceededError,
    FunctionDiedError,
    FunctionError,
    ReturnValueError,
    TimeExceededError,
)
from lowmem.base.units import (
    budget_bytes_from_size,
    format_bytes,
    seconds_from_duration,
)
from lowmem.inline.descendants import descendants
from lowmem.inline.forked_call import (
    STACKS,
    Exited,
    Returned,
    Unreturnable,
    read_outcome,
    serve,
)
from lowmem.inline.guard import cause_of
from lowmem.inline.raised import Raised, error_of
from lowmem.inline.values import decode
from lowmem.inline.watcher_messages import WatchChild
from lowmem.inline.watcher_process import WatcherProcess
from lowmem.supervisor.stacks import read_where

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

P = ParamSpec("P")
R = TypeVar("R")

_REFUSED = "the allocation was refused"
# seconds for the stacks of a process that is about to be killed.
_STACKS_S = 0.02
# What a call takes is told by the growth of the whole process tree, so two calls at a
# time would be taken for one. In the child the same thread holds it, and may call again.
_taking_turns = threading.RLock()


def supervised(
    *,
    ram: str | int,
    time: str | None = None,
    retries: Sequence[Mapping[str, object]] = (),
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator: calls run in a process of their own, and return its result.

    Parameters
    ----------
    ram
        What a call may take beyond what is in use when it begins, as ``"2G"`` or bytes.
    time
        What a call may last, as ``"10m"``; None for no limit.
    retries
        Keyword arguments that replace the caller's after a stop for memory, one mapping
        for each further attempt, such as ``({"block": 256}, {"block": 32})``.

    Raises
    ------
    BudgetExceededError
        By a call that asked for too much; `where` names its line.
    TimeExceededError
        By a call that took too long.
    FunctionError
        By a call whose function raised. It is of the original's class too, if the caller
        has loaded that: ``except KeyError`` catches it. Not of lowmem's own classes, nor
        of SyntaxError: `kind` has their names. `traceback` is the function's.
    SystemExit
        By a call whose function called `sys.exit`, with the same code.
    ReturnValueError
        By a call that returns something other than None, booleans, numbers, text,
        bytes, NumPy arrays and scalars, tables of pandas, Polars and pyarrow, and lists,
        tuples and dictionaries of these.

    Notes
    -----
    A call costs 0.2 s, and its arrays are written to a temporary folder and read back.
    Ctrl-C in the caller kills the call. Calls from several threads take turns.
    """
    terms = Terms(
        ram_bytes=budget_bytes_from_size(ram) if isinstance(ram, str) else ram,
        time_s=None if time is None else seconds_from_duration(time),
        time=time or "",
    )

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            __tracebackhide__ = True  # IPython and pytest leave the frame out.
            changes: Mapping[str, object] = {}
            for later in (*retries, None):
                given: dict[str, object] = {**kwargs, **changes}
                bound = functools.partial(function, *args, **given)  # type: ignore[arg-type]
                try:
                    return _call(bound, function.__qualname__, terms)
                except BudgetExceededError:
                    if later is None:
                        raise
                    changes = later
            raise AssertionError  # The loop returns or raises.

        return call

    return decorate


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What one call is given."""

    ram_bytes: int
    time_s: float | None
    time: str


def _call(function: Callable[[], R], name: str, terms: Terms) -> R:
    __tracebackhide__ = True
    with (
        tempfile.TemporaryDirectory(prefix="lowmem-") as scratch,
        _taking_turns,
        WatcherProcess(budget_bytes=terms.ram_bytes, mode="growth") as watch,
    ):
        folder = Path(scratch)
        (folder / STACKS).touch()
        child = _fork(function, folder, terms)
        watch.order(WatchChild(pid=child, stacks=str(folder / STACKS)))
        try:
            is_late = not _wait(child, watch, terms)
            if is_late:
                _write_stacks(child)
        finally:
            status = _end(child)
            watch.end()
        where = read_where(folder / STACKS)
        if watch.breached is not None:
            raise BudgetExceededError(
                where=where,
                budget=format_bytes(terms.ram_bytes),
                cause=cause_of(watch.breached),
                ram_bytes=watch.breached.ram_bytes,
            )
        if is_late:
            raise TimeExceededError(function=name, time=terms.time, where=where)
        if status != 0:
            stacks = (folder / STACKS).read_text(errors="replace")
            raise FunctionDiedError(function=name, status=status, stacks=stacks)
        return _result(folder, terms)  # type: ignore[return-value]


def _fork(function: Callable[[], object], folder: Path, terms: Terms) -> int:
    parent = os.getpid()
    with warnings.catch_warnings():
        # Python 3.12 warns of threads that the child will not have: see the module.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        serve(function, folder=folder, parent=parent, ram_bytes=terms.ram_bytes)
    return child


def _wait(child: int, watch: WatcherProcess, terms: Terms) -> bool:
    """Wait for the end of the process or of its budget; False once the time is over."""
    clock = SystemClock()
    deadline = None if terms.time_s is None else clock.monotonic() + terms.time_s
    descriptor = os.pidfd_open(child)
    try:
        while True:
            left_s = None if deadline is None else max(0, deadline - clock.monotonic())
            words = watch.fileno()
            ready, _, _ = select.select([descriptor, words], [], [], left_s)
            if not ready:
                return False
            if descriptor in ready or watch.take() is not None:
                return True
    finally:
        os.close(descriptor)


def _write_stacks(child: int) -> None:
    signal_all([child], signal.SIGUSR1)
    SystemClock().sleep(_STACKS_S)


def _end(child: int) -> int:
    """Kill the process, if it has not ended, with all it started; return its status."""
    signal_all([child], signal.SIGSTOP)
    kill_all(lambda: descendants(child))
    signal_all([child], signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _result(folder: Path, terms: Terms) -> object:
    __tracebackhide__ = True
    match read_outcome(folder):
        case Returned(value=text):
            return decode(text, folder)
        case Unreturnable(place=place, found=found):
            raise ReturnValueError(place=place, found=found)
        case Raised() as raised:
            raise _error(raised, terms)
        case Exited(code=code):
            # What the function asked for is the end of the program, which is the caller.
            raise SystemExit(code)


def _error(raised: Raised, terms: Terms) -> BudgetExceededError | FunctionError:
    if raised.is_refused:
        return BudgetExceededError(
            where=raised.where,
            budget=format_bytes(terms.ram_bytes),
            cause=_REFUSED,
            ram_bytes=None,
        )
    return error_of(raised)

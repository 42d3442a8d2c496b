"""Hold a block of this process to a RAM budget: ``with lowmem.budget(ram="10G")``.

Two guards, because neither is enough. The kernel refuses an allocation that does not fit
(RLIMIT_DATA, following what the budget has left), so that one too many raises at its
line before a page of it is touched. And a watching process, which no lock of this
interpreter can hold up, interrupts the block by a signal when memory is used up in other
ways: by children, which it kills, by shared memory, by pages reserved before.

Where the block awaits, the signal may find the event loop waiting, or at the work of
another task: raised there, an exception would end the loop, and with it a notebook's
kernel. So the block's own task is cancelled then, and what it awaited is to blame.

A block that awaits is interrupted where it awaits: see `tasks`.

This process itself is never killed. A long call into C that neither allocates private
memory nor returns to Python is interrupted only when it returns; who must be certain
uses `lowmem.supervised`. Threads that go on after the block are outside of it. Where
there is an NVIDIA device the kernel's limit is left alone, since CUDA reserves address
space for the whole device.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from traceback import clear_frames
from typing import TYPE_CHECKING, Self

from lowmem.base.errors import LowmemError, UsageError
from lowmem.base.errors_inline import BudgetExceededError
from lowmem.base.units import budget_bytes_from_size, format_budget, format_bytes
from lowmem.inline.tasks import Host
from lowmem.inline.user_lines import place_now, place_of_error, place_of_frame
from lowmem.inline.watcher_messages import Follow, Pause
from lowmem.inline.watcher_process import WatcherProcess
from lowmem.memory.budget import Pressure, RamBudget
from lowmem.memory.cleanup import clean_up
from lowmem.memory.proc import field_bytes
from lowmem.memory.shared import told_of_unmapped
from lowmem.supervisor.subreaper import as_subreaper

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

    from lowmem.inline.watcher_messages import Breached

    # Given the line that is to blame.
    _Maker = Callable[[str | None], BudgetExceededError]

# Hardly anybody uses a real-time signal; its handlers are chained all the same.
_SIGNAL = signal.SIGRTMIN + 7
_DEVICE = Path("/dev/nvidiactl")
_REFUSED = "the allocation was refused"
_CAUSES = {
    "ram_limit": "it was used up",
    "machine_limit": "the machine has no memory left",
}


def budget(ram: str | int) -> Guard:
    """Return a context manager that holds its block to a RAM budget.

    Parameters
    ----------
    ram
        What this process and all that it starts may have in use, as ``"10G"`` or in
        bytes: anonymous memory and growth of shared memory, as for ``--ram-budget``.
        What is in use already counts.

    Raises
    ------
    BudgetExceededError
        From within the block, at the line that asked for too much; `where` names it.

    Notes
    -----
    Starting the watching process takes 0.2 s; it counts, with some 15 MiB. Only in the
    main thread, where alone Python can be interrupted.

    Examples
    --------
    >>> with budget(ram="100G") as used:
    ...     total = sum(range(1000))
    >>> used.peak_bytes > 0
    True
    """
    return Guard(budget_bytes_from_size(ram) if isinstance(ram, str) else ram)


class Guard:
    """A block under a budget; see `budget`.

    Attributes
    ----------
    ram_budget_bytes
        What was given.
    peak_bytes
        The largest reading of what the budget counts; None until the block has ended.
    hwm_bytes
        The kernel's high-water marks during the block, file-backed pages included.
    """

    def __init__(self, ram_bytes: int) -> None:
        if ram_bytes <= 0:
            raise UsageError(f"ram is {ram_bytes}, expected a positive size.")
        self.ram_budget_bytes = ram_bytes
        self.peak_bytes: int | None = None
        self.hwm_bytes: int | None = None
        self._pid = 0
        self._most_bytes = 0
        self._outer: Guard | None = None
        self._is_running = False
        self._late: _Maker | None = None
        self._host: Host | None = None
        self._thread_error: BaseException | None = None
        self._effects = contextlib.ExitStack()
        self._watch: WatcherProcess
        self._limits: tuple[int, int]

    def __repr__(self) -> str:  # type: ignore[explicit-override]
        """Return what was given and, once the block has ended, what it used."""
        given = format_budget(self.ram_budget_bytes)
        if self.peak_bytes is None:
            return f"RAM budget {given}"
        return f"RAM peak {format_bytes(self.peak_bytes)} of {given}"

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            raise UsageError(
                "lowmem.budget was entered in another thread, expected the main thread, "
                "which alone can be interrupted. Use lowmem.supervised there."
            )
        former = signal.getsignal(_SIGNAL)
        outer = getattr(former, "__self__", None)
        self._outer = outer if isinstance(outer, Guard) else None
        host = Host.of(sys._getframe(1))  # noqa: SLF001 - documented
        if self._outer is not None:
            self._outer._refuse_another(host)  # noqa: SLF001 - another of the same class
            self.ram_budget_bytes = min(
                self.ram_budget_bytes, self._outer.ram_budget_bytes
            )
        self._pid = os.getpid()
        self._late, self._thread_error = None, None
        with contextlib.ExitStack() as effects:
            effects.callback(host.leave)
            self._begin(effects)
            self._effects = effects.pop_all()
        self._host = host
        self._is_running = True
        return self

    def _refuse_another(self, inner: Host) -> None:
        """Refuse a block of another task: it need not end before this one."""
        if self._host is not None and not self._host.is_running(inner.frame):
            raise UsageError(
                "lowmem.budget was entered while another task holds a budget, expected "
                "one at a time. Put one budget around the tasks that run together."
            )

    def _begin(self, effects: contextlib.ExitStack) -> None:
        effects.enter_context(as_subreaper())
        former = signal.signal(_SIGNAL, self._interrupt)
        effects.callback(signal.signal, _SIGNAL, former)
        self._former_hook = threading.excepthook
        threading.excepthook = self._hear_thread
        effects.callback(setattr, threading, "excepthook", self._former_hook)
        if self._outer is not None:
            self._outer._watch.order(Pause())  # noqa: SLF001 - another of the same class
            effects.callback(self._outer._order_limits)  # noqa: SLF001
        self._watch = WatcherProcess(
            budget_bytes=self.ram_budget_bytes, mode="total", signal_number=_SIGNAL
        )
        effects.enter_context(self._watch)
        self._limits = resource.getrlimit(resource.RLIMIT_DATA)
        effects.callback(self._restore_limits)
        if (
            RamBudget(limit_bytes=self.ram_budget_bytes).pressure(
                self._watch.start_bytes
            )
            is Pressure.HARD
        ):
            raise self._exceeded(
                place_of_frame(sys._getframe()),  # noqa: SLF001 - documented
                f"{format_bytes(self._watch.start_bytes)} were in use before it began",
                self._watch.start_bytes,
            )
        self._follow()

    def _follow(self) -> None:
        """Limit allocations: once at once, then as the watcher sees the budget change."""
        if _DEVICE.exists():
            return
        reserved = field_bytes(Path("/proc/self/status").read_bytes(), b"VmData:")
        left_bytes = max(0, self.ram_budget_bytes - self._watch.start_bytes)
        soft, most = self._limits
        wanted = [reserved + left_bytes, *(n for n in (soft, most) if n >= 0)]
        self._most_bytes = min(wanted)
        resource.setrlimit(resource.RLIMIT_DATA, (self._most_bytes, most))
        self._order_limits()

    def _order_limits(self) -> None:
        if self._most_bytes:
            self._watch.order(Follow(most_bytes=self._most_bytes))

    def _restore_limits(self) -> None:
        resource.setrlimit(resource.RLIMIT_DATA, self._limits)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if os.getpid() != self._pid:
            return  # A forked child leaves the block: nothing of it is the child's.
        self._is_running = False
        # Ending takes memory too; and once more after the watcher's last word.
        self._restore_limits()
        with self._effects as effects:
            effects.callback(self._restore_limits)
            ended = self._watch.end()
        if ended is not None:
            self.peak_bytes, self.hwm_bytes = ended.peak_bytes, ended.hwm_bytes
        host, self._host = self._host, None
        if error is None:
            if self._late is not None:
                raise self._late(None)
        elif self._late is not None and host is not None and host.is_cancelled(error):
            where = place_of_error(error)
            _drop(traceback)
            raise self._late(where) from error
        elif is_refused(error):
            where = place_of_error(error)
            _drop(traceback)
            raise self._exceeded(where, _REFUSED, self.peak_bytes) from error
        elif isinstance(error, BudgetExceededError):
            _drop(traceback)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Take the watcher's signal: raise in the main thread, wherever the block is."""
        failed, self._thread_error = self._thread_error, None
        if failed is not None:
            self._raise(partial(self._refused_in_thread, failed), None, frame)
            return
        breached = self._watch.take()
        if breached is None:
            if self._outer is not None:
                self._outer._interrupt(number, frame)  # noqa: SLF001
            return
        self._raise(partial(self._breach, breached), place_now(frame), frame)

    def _raise(self, error: _Maker, where: str | None, frame: FrameType | None) -> None:
        """Raise where the block runs; where it does not, see to it that it will."""
        if self._is_running and self._host is not None:
            if self._host.is_running(frame):
                raise error(where)
            self._host.cancel()
        self._late = error  # Raised when the block ends, at the latest.

    def _hear_thread(self, args: threading.ExceptHookArgs, /) -> None:
        """Take an exception that ended a thread: lack of memory ends the block."""
        if args.exc_value is not None and is_refused(args.exc_value):
            self._thread_error = args.exc_value
            signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)
        else:
            self._former_hook(args)

    def _refused_in_thread(
        self, failed: BaseException, where: str | None
    ) -> BudgetExceededError:
        error = self._exceeded(place_of_error(failed) or where, _REFUSED, None)
        error.__cause__ = failed
        return error

    def _breach(self, breached: Breached, where: str | None) -> BudgetExceededError:
        return self._exceeded(where, cause_of(breached), breached.ram_bytes)

    def _exceeded(
        self, where: str | None, cause: str, ram_bytes: int | None
    ) -> BudgetExceededError:
        return BudgetExceededError(
            where=where,
            budget=format_budget(self.ram_budget_bytes),
            cause=cause,
            ram_bytes=ram_bytes,
        )


def _drop(traceback: TracebackType | None) -> None:
    """Give back what a failed block holds in its functions.

    A shell keeps the traceback, and so its frames; and the C library keeps what they
    let go, which would count against the next block.
    """
    clear_frames(traceback)
    clean_up()


def cause_of(breached: Breached) -> str:
    """Return why a block or a call was stopped, as its error says it."""
    used = f"with {format_bytes(breached.ram_bytes)} in use"
    return f"{_CAUSES[breached.verdict]}, {used}{told_of_unmapped(breached.unmapped_bytes)}"


def is_refused(error: BaseException) -> bool:
    """Return whether the system refused memory to this process."""
    if isinstance(error, LowmemError):
        return False
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if type(error).__name__ == "ResourceExhaustedError":  # TensorFlow's
        return "by allocator cpu" in str(error)
    return isinstance(error, MemoryError) or "can't start new thread" in str(error)

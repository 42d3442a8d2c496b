"""What may wait for a disk or a terminal, done beside the watch over memory.

A record is durable only once the disk has it, and that can take a tenth of a second; a
terminal that is paused takes nothing for hours. The job does not stand still meanwhile,
so neither may the watch: one thread does such things, in the order in which they were
given, while the thread of the watch takes its looks and asks whether they are done.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Self

from lowmem.supervisor.priority import raise_thread

if TYPE_CHECKING:
    from collections.abc import Callable


class BackgroundThread:
    """One thread that does one thing after the other; a context manager."""

    def __init__(self) -> None:
        self._given: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._n_open = 0
        self._thread = threading.Thread(
            target=self._work, name="lowmem-background", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._given.put(None)
        self._thread.join()

    @property
    def is_idle(self) -> bool:
        """Whether all that was given was seen to be done."""
        return not self._n_open

    def do(self, work: Callable[[], None]) -> None:
        """Have something done after all that was given before; never waits."""
        self._n_open += 1
        self._given.put(work)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Return whether all that was given is done, waiting no longer than asked.

        Raises
        ------
        BaseException
            What it raised, once; what was given after it is done nevertheless.
        """
        while self._n_open:
            try:
                error = self._done.get(
                    timeout=None if timeout_s is None else max(0.0, timeout_s)
                )
            except queue.Empty:
                return False
            self._n_open -= 1
            if error is not None:
                raise error
        return True

    def _work(self) -> None:
        # As urgent as the watch, which would else wait for a thread that the job's own
        # had pushed aside while it held the interpreter.
        raise_thread()
        while (work := self._given.get()) is not None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised by `wait`
                self._done.put(error)
            else:
                self._done.put(None)

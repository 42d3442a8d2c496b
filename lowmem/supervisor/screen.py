"""What the user sees while a job runs: lines, and one progress bar on stderr."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tqdm import tqdm

from lowmem.base.stderr import unless_gone
from lowmem.base.units import format_bytes

if TYPE_CHECKING:
    from types import TracebackType


@dataclass(slots=True)
class Screen:
    """A progress bar and lines above it; silent where the user wants it so.

    A terminal that is gone takes nothing any more and fails no job: the hang-up's signal
    stops that in good order.

    Attributes
    ----------
    job, unit
        Shown before and after the counts.
    budget_bytes
        Shown beside the memory in use.
    """

    job: str
    unit: str
    budget_bytes: int
    is_quiet: bool = False
    _bar: tqdm[None] | None = None
    _used_bytes: int = 0

    def __enter__(self) -> Self:
        # tqdm's own lock loads multiprocessing: 2 MiB for processes that never are.
        tqdm.set_lock(threading.RLock())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            with unless_gone():
                self._bar.close()

    def line(self, text: str) -> None:
        """Show one line."""
        if not self.is_quiet:
            with unless_gone():
                tqdm.write(f"{self.job}: {text}", file=sys.stderr)

    def progress(self, done: int, total: int | None, note: str) -> None:
        """Move the bar."""
        if not self.is_quiet:
            with unless_gone():
                self._move(done, total, note)

    def _move(self, done: int, total: int | None, note: str) -> None:
        if self._bar is None:
            # Without a terminal the bar would fill a log file with its movements.
            self._bar = tqdm(
                initial=done,
                total=total,
                desc=self.job,
                unit=f" {self.unit}",
                file=sys.stderr,
                mininterval=0.4 if sys.stderr.isatty() else 30.0,
                dynamic_ncols=True,
                smoothing=0.05,
            )
        self._bar.total = total
        memory = (
            f"{format_bytes(self._used_bytes)} of {format_bytes(self.budget_bytes)}"
        )
        postfix = ", ".join(filter(None, [note, memory if self._used_bytes else ""]))
        self._bar.set_postfix_str(postfix, refresh=False)
        self._bar.update(done - self._bar.n)

    def memory(self, used_bytes: int) -> None:
        """Keep what is in use, to be shown with the next movement."""
        self._used_bytes = used_bytes

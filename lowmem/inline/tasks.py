"""The asyncio task that a block belongs to, and how that is interrupted while it awaits.

A signal's handler may raise only where the block itself is being run. While the block
awaits, the main thread is in the event loop, or at another task's work: an exception
raised there would end the loop, and with it the kernel of a notebook. So the task is
cancelled instead, which raises in the block, at the line that awaits.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from types import FrameType


@dataclass(slots=True)
class Host:
    """Where a block runs.

    Attributes
    ----------
    frame
        Of the block.
    task
        The block's task; None outside of any.
    """

    frame: FrameType
    task: asyncio.Task[object] | None
    _asked: asyncio.Handle | None = None

    @classmethod
    def of(cls, frame: FrameType) -> Host:
        """Return the host of a block that begins now, in this frame."""
        return cls(frame, _current_task())

    def is_running(self, frame: FrameType | None) -> bool:
        """Return whether what runs in ``frame``, the innermost, is the block's doing."""
        if self.task is None or _current_task() is self.task:
            return True
        # A loop within the block has tasks of its own.
        while frame is not None and frame is not self.frame:
            frame = frame.f_back
        return frame is not None

    def cancel(self) -> None:
        """Cancel the task, from a signal's handler."""
        if self.task is not None:
            # `cancel` alone would not wake a loop that waits for its descriptors.
            loop = self.task.get_loop()
            self._asked = loop.call_soon_threadsafe(self.task.cancel)

    def leave(self) -> None:
        """Take back what `cancel` asked for and did not come to: the block has ended."""
        if self._asked is not None:
            self._asked.cancel()

    def is_cancelled(self, error: BaseException) -> bool:
        """Return whether the block ends with what `cancel` raised; then forget it."""
        if self.task is None or type(error).__name__ != "CancelledError":
            return False
        self.task.uncancel()
        return True


def _current_task() -> asyncio.Task[object] | None:
    if "asyncio" not in sys.modules:
        return None  # Nobody can be in a task, and loading it would cost memory.
    import asyncio  # noqa: PLC0415 - it is loaded

    try:
        return asyncio.current_task()
    except RuntimeError:
        return None

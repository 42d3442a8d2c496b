"""A program of the user's, started as if by hand: nothing of lowmem's runs in it."""

from __future__ import annotations

import re
import select
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.child import Owned, started

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lowmem.base.child import Exit


class Program(Owned):
    """A process with this one's input, output and errors.

    It hears every signal, and does not die with this process by itself.

    Parameters
    ----------
    line
        The program and its arguments.
    is_grouped
        Whether it has a group of its own: then what is sent to this process's group does
        not reach it, and it is no part of what a terminal has in front.

    Attributes
    ----------
    least_mark_bytes
        This process's own high-water mark when it was started: the kernel gives it no
        smaller one, and so says nothing of a program that takes less.

    Raises
    ------
    OSError
        If there is no such program, or it may not be run.
    """

    def __init__(
        self,
        line: Sequence[str],
        *,
        environment: Mapping[str, str],
        pass_fds: Sequence[int] = (),
        is_grouped: bool = False,
    ) -> None:
        process = started(
            line,
            stdin=None,
            stdout=None,
            stderr=None,
            pass_fds=pass_fds,
            environment=environment,
            is_grouped=is_grouped,
            hears_stops=True,
        )
        super().__init__(process, has_group=is_grouped)
        # Until it was the program it was this process.
        self.least_mark_bytes = _own_mark_bytes()

    def wait(self) -> Exit:  # type: ignore[explicit-override]
        """Wait for its end, reap it, and return how it ended; its peak 0 if unknown."""
        exited = super().wait()
        is_its_own = exited.peak_bytes > self.least_mark_bytes
        return exited if is_its_own else replace(exited, peak_bytes=0)

    def await_end(self, timeout_s: float | None) -> bool:
        """Return whether it has ended, waiting at most ``timeout_s``."""
        if self._exit is not None:
            return True
        return bool(select.select([self._pidfd], [], [], timeout_s)[0])


def _own_mark_bytes() -> int:
    """Return the kernel's high-water mark of this process's resident memory."""
    status = Path("/proc/self/status").read_bytes()
    found = re.search(rb"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0

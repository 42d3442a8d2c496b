"""A program of the user's, started as if by hand: nothing of lowmem's runs in it."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

from lowmem.base.child import Owned, started

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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

    def await_end(self, timeout_s: float | None) -> bool:
        """Return whether it has ended, waiting at most ``timeout_s``."""
        if self._exit is not None:
            return True
        return bool(select.select([self._pidfd], [], [], timeout_s)[0])

"""What a child process owes the one that started it: the other side of `child`."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.lines import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PR_SET_PDEATHSIG = 1


def die_with(parent_pid: int) -> None:
    """Be killed when the thread that started this process ends, however it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # It may have ended before the line above.
    if os.getppid() != parent_pid:
        os._exit(1)


def begin(answers_fd: int, parent_pid: int | None) -> None:
    """Die with the parent, if given, and keep its pipe from what this process starts."""
    if parent_pid is not None:
        die_with(parent_pid)
    os.set_inheritable(answers_fd, False)  # noqa: FBT003 - the call's own form


def say(answers_fd: int, line: bytes) -> None:
    """Send the parent one line, with its end; the process ends if it has gone.

    Raises
    ------
    ValueError
        If it is no line, or more than one; nothing was sent.
    """
    line = one_line(line)
    try:
        while line:
            line = line[os.write(answers_fd, line) :]
    except BrokenPipeError:
        os._exit(1)


def answer_lines(
    make: Callable[[Sequence[str]], Callable[[bytes], bytes]], *, is_tied: bool = True
) -> None:
    """Answer each line of the parent by one, until there are no more.

    Parameters
    ----------
    make
        Given the program's own arguments, returns what answers; its lines have no end.
    is_tied
        Whether to die with the thread that started this process; it ends with its input
        in any case.
    """
    answers_fd, parent_pid = map(int, sys.argv[1:3])
    begin(answers_fd, parent_pid if is_tied else None)
    answer = make(sys.argv[3:])
    for line in sys.stdin.buffer:
        say(answers_fd, answer(line) + b"\n")


def volunteer_for_oom_killer(score: bytes) -> None:
    """Let the kernel's own killer take this process, not the notebook beside it."""
    try:
        Path("/proc/self/oom_score_adj").write_bytes(score)
    except OSError:
        return  # Not Linux, or not allowed: the other guards remain.

"""Which programs hold most of the machine's memory.

Who they are is told by psutil; what they hold is what a budget counts, see `process_tree`:
anonymous and shared pages, each divided among those that map it. RSS would count what
forked workers share with their parent once for each of them; and it counts files that are
mapped, a model's weights of some GiB, whose pages the kernel takes back.

Command lines are never shown, since they may hold passwords.

Covers the programs of all users, unless /proc hides them. Does not cover those outside a
container, which cannot be seen from inside. Not for the process that supervises a run:
psutil takes 1 MiB.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from lowmem.memory.pages import Process

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of the programs whose pages are divided, in all: 3 s of reading `smaps_rollup`. So many
# have sixty forked workers of 3 GB; of further ones the most is told that it can be.
_MOST_DIVIDED_BYTES = 200 * 10**9
# The kernel keeps so many bytes of a name. psutil makes a longer one out of the command
# line, where a program may have written its arguments:
# findings/psutil-name-may-hold-the-command-line.sh
_NAME_BYTES = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One program, and what it holds.

    Attributes
    ----------
    name
        As the kernel has it: anything in 15 bytes at most, control characters too.
    user
        Whose it is; the number of a user without a name.
    ram_bytes
        Anonymous and shared pages in RAM, each divided among those that map it.
    is_at_most
        Whether ``ram_bytes`` is the most that it can be. Which pages are shared with
        others the kernel does not tell of another user's program; and of so many large
        ones that it would take seconds, not all are asked for.
    """

    pid: int
    name: str
    user: str
    is_yours: bool
    ram_bytes: int
    is_at_most: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """All other programs that can be seen.

    Attributes
    ----------
    n_seen
        How many there are that have memory of their own, which the kernel's have not.
    largest
        The largest of them, largest first.
    """

    n_seen: int
    largest: tuple[Program, ...]


def read_programs(*, most: int, least_bytes: int) -> Programs:
    """Return which other programs hold most memory.

    Parameters
    ----------
    most
        How many are told at most.
    least_bytes
        What each of these holds at least.

    Notes
    -----
    Costs 0.1 ms for each program of the machine, and 7 to 14 ms for each GB of the largest.
    They are looked through by what they hold at most, until no other can be larger.
    """
    held = sorted(_held(), key=lambda pair: pair[0], reverse=True)
    left_bytes = _MOST_DIVIDED_BYTES
    found: list[Program] = []
    for at_most_bytes, process in held:
        is_full = len(found) == most and found[-1].ram_bytes >= at_most_bytes
        if at_most_bytes < least_bytes or is_full:
            break
        left_bytes -= at_most_bytes
        program = _program(process, is_divided=left_bytes >= 0)
        if program is not None and program.ram_bytes >= least_bytes:
            found.append(program)
        found.sort(key=lambda program: program.ram_bytes, reverse=True)
        del found[most:]
    return Programs(n_seen=len(held), largest=tuple(found))


def _held() -> Iterator[tuple[int, psutil.Process]]:
    """Yield what each program but this one holds at most."""
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        with _pages_of(process.pid) as pages:
            at_most_bytes = pages.anon_bytes + pages.shared_bytes if pages else 0
        if at_most_bytes:
            yield at_most_bytes, process


def _program(process: psutil.Process, *, is_divided: bool) -> Program | None:
    """Return what is known of a program; None once it has gone."""
    with _pages_of(process.pid) as pages:
        if pages is None:
            return None
        shares = pages.told_shares() if is_divided else None
        try:
            if not process.is_running():  # Its id may be another's by now.
                return None
            return Program(
                pid=process.pid,
                name=_kernel_name(process.name()),
                user=process.username(),
                is_yours=process.uids().real == os.getuid(),
                ram_bytes=sum(shares or (pages.anon_bytes, pages.shared_bytes)),
                is_at_most=shares is None,
            )
        except (psutil.NoSuchProcess, psutil.AccessDenied):  # Zombies are of the first.
            return None


@contextlib.contextmanager
def _pages_of(pid: int) -> Iterator[Process | None]:
    """Give the pages of a process as they are now; None if it has gone, or is hidden."""
    pages = Process.find(pid, is_kept_open=False)
    if pages is None:
        yield None
        return
    with contextlib.closing(pages):
        yield pages if pages.read() else None


def _kernel_name(name: str) -> str:
    r"""Return the name that the kernel has, of which psutil may have made a longer one.

    Examples
    --------
    >>> _kernel_name("my-long-program --password=secret")
    'my-long-program'
    """
    kept = name.encode(errors="surrogateescape")[:_NAME_BYTES]
    return kept.decode(errors="backslashreplace")

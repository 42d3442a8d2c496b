"""Which line a stopped worker was at, from the stacks it wrote just before."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from lowmem.base.frames import is_library, place

if TYPE_CHECKING:
    from pathlib import Path

_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+) in (?P<function>.+)$')


# How a dump ends: with the outermost frame of the main thread, which comes last, or where
# `faulthandler` gives up counting its frames: with a line that says so, or since Python
# 3.13 without a word after this many.
ENDS = (b" in _run_module_as_main\n", b"  ...\n")
# Of a program that may have been started as a file: that has the outermost frame then.
PROGRAM_ENDS = (*ENDS, b" in <module>\n")
_THREAD = b" (most recent call first):\n"
_MOST_FRAMES = 100
_IS_CUT_SILENTLY = sys.version_info >= (3, 13)


def where_from_stacks(text: str) -> str | None:
    r"""Return ``file.py:123 in function``: the innermost frame outside libraries.

    Parameters
    ----------
    text
        What `faulthandler` wrote: the newest thread first, each with its most recent
        call first. The main thread comes last and is preferred; after several dumps,
        that of the last.

    Examples
    --------
    >>> where_from_stacks('Thread 0x1 (most recent call first):\n'
    ...                   '  File "/home/me/job.py", line 7 in load_all\n')
    'job.py:7 in load_all'
    """
    threads = re.split(r"^(?:Current thread|Thread) 0x", text, flags=re.MULTILINE)[1:]
    places = [_place(thread) for thread in reversed(threads)]
    return next((found for found in places if found is not None), None)


def _place(thread: str) -> str | None:
    for line in thread.splitlines():
        match = _FRAME.match(line)
        if match and not is_library(match["file"]):
            return place(match["file"], match["line"], match["function"])
    return None


def size_of(path: Path) -> int:
    """Return the bytes of stacks that were written; 0 if there is no such file."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def is_dumped(path: Path, *, since: int, ends: tuple[bytes, ...] = ENDS) -> bool:
    """Return whether a whole dump was written after the first ``since`` bytes."""
    try:
        with path.open("rb") as stream:
            stream.seek(since)
            written = stream.read()
    except OSError:
        return False
    _, thread, frames = written.rpartition(_THREAD)
    is_cut_short = _IS_CUT_SILENTLY and thread and frames.count(b"\n") >= _MOST_FRAMES
    return written.endswith(ends) or bool(is_cut_short and written.endswith(b"\n"))


def read_where(path: Path) -> str | None:
    """Return the place in a file of stacks; None if nothing was written."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return None
    return where_from_stacks(text)

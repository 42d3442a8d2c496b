"""Which line of the user's is to blame: of an exception, and of what runs now."""

from __future__ import annotations

import linecache
import re
import sys
import threading
import traceback
from typing import TYPE_CHECKING

from lowmem.base.frames import is_library, place

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import FrameType

# The first line of a cell under a budget, in the place of the magic's own line.
_HEAD = re.compile(r"# In\[(\d+)\]: %%lowmem")
# A thread whose innermost frame is here only waits for another.
_WAITING = ("threading.py", "selectors.py", "queue.py", "_base.py")


def headed(code: str, number: int) -> str:
    """Return a cell's code under the line that tells its number."""
    return f"# In[{number}]: %%lowmem\n{code}"


def place_of_error(error: BaseException) -> str | None:
    """Return ``file.py:123 in function``, or ``In[3]:2 in f`` for a notebook's cell."""
    frames = traceback.extract_tb(error.__traceback__)
    return _place((f.filename, f.lineno, f.name) for f in reversed(frames))


def place_now(frame: FrameType | None) -> str | None:
    """Return the line that the main thread is at, or the thread that it waits for.

    Parameters
    ----------
    frame
        The main thread's innermost frame.
    """
    if frame is not None and frame.f_code.co_filename.endswith(_WAITING):
        main = threading.main_thread().ident
        for ident, other in sys._current_frames().items():  # noqa: SLF001 - documented
            is_idle = other.f_code.co_filename.endswith(_WAITING)
            found = None if ident == main or is_idle else place_of_frame(other)
            if found is not None:
                return found
    return place_of_frame(frame)


def place_of_frame(frame: FrameType | None) -> str | None:
    """Return the innermost place outside libraries, from ``frame`` outwards."""
    return _place(_outwards(frame))


def _outwards(frame: FrameType | None) -> Iterable[tuple[str, int | None, str]]:
    while frame is not None:
        yield frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name
        frame = frame.f_back


def _place(frames: Iterable[tuple[str, int | None, str]]) -> str | None:
    for file, line, function in frames:
        cell = _cell(file)
        if cell is not None:
            return place(cell, line, function)
        if not is_library(file):
            return place(file, line, function)
    return None


def _cell(file: str) -> str | None:
    """Return a cell's name as ``In[3]``; None where ``file`` is no cell."""
    if "IPython" not in sys.modules or is_library(file):
        return None
    from IPython.core.getipython import get_ipython  # noqa: PLC0415 - it is loaded

    shell = get_ipython()
    if shell is None:
        return None
    head = _HEAD.match(linecache.getline(file, 1))
    number = head[1] if head else _number(file, shell.user_ns.get("In", ()))
    return f"In[{number}]" if number else None


def _number(file: str, inputs: Sequence[str]) -> int | None:
    """Return which of the shell's inputs is the code in ``file``; None if none is.

    Shells name the files of cells each in their own way, and only some can tell which
    cell a name belongs to (`format_code_name`, since IPython 8.6). All of them keep the
    code under that name for tracebacks, and the inputs as `In`; the same code run twice
    has one name.
    """
    code = "".join(linecache.getlines(file)).rstrip("\n")
    numbers = range(len(inputs) - 1, 0, -1)
    return next((n for n in numbers if code and inputs[n].rstrip("\n") == code), None)

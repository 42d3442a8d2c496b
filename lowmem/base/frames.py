"""Which line of code is to blame: the places of tracebacks and of stacks, as text."""

from __future__ import annotations

import os
import re
from pathlib import Path

# Where the standard library is; `sysconfig`, which tells it too, takes 0.3 MiB.
_LIBRARY = f"{Path(os.__file__).parent}/"
# Other environments that this one builds upon, a user's own, Debian's.
_PACKAGES = ("/site-packages/", "/dist-packages/")
# The standard library of another Python than this one, of which a program may be.
_STANDARD = re.compile(r"/lib(64)?/python3(\.\d+t?)?/")
# Installed from a wheel these lie among the libraries, but a job's line is often there.
_OWN = re.compile(r"/(site|dist)-packages/lowmem(_jobs)?/")
# Frames of the machinery that runs every job say nothing about this one.
_MACHINERY = ("lowmem/worker/", "lowmem/inline/")
# How IPython names a cell in a terminal; in a notebook a cell is a file.
_CELL = "<ipython-input"


def is_library(file: str) -> bool:
    """Return whether a frame's file belongs to a library or to what runs every job.

    Examples
    --------
    >>> is_library(os.__file__)
    True
    >>> is_library("/home/me/job.py"), is_library("<ipython-input-1-a2b3>")
    (False, False)
    """
    if file.startswith(_CELL):
        return False
    if file.startswith("<") or any(part in file for part in _MACHINERY):
        return True
    if _OWN.search(file):
        return False
    if _STANDARD.search(file):
        return True
    return file.startswith(_LIBRARY) or any(part in file for part in _PACKAGES)


def place(file: str, line: int | str | None, function: str) -> str:
    """Return a place in a program as ``file.py:123 in function``."""
    return f"{Path(file).name}:{line} in {function}"

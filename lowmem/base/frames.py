"""Which line of code is to blame: the places of tracebacks and of stacks, as text."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

_LIBRARIES = tuple(
    sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")
)
# Installed from a wheel these lie among the libraries, but a job's line is often there.
_OWN = tuple(
    os.path.join(library, package, "")  # noqa: PTH118 - with a separator at its end
    for library in _LIBRARIES
    for package in ("lowmem", "lowmem_jobs")
)
# Frames of the machinery that runs every job say nothing about this one.
_MACHINERY = "lowmem/worker/"


def is_library(file: str) -> bool:
    """Return whether a frame's file belongs to a library or to what runs every job.

    Examples
    --------
    >>> is_library(sysconfig.__file__)
    True
    >>> is_library("/home/me/job.py")
    False
    """
    if _MACHINERY in file or file.startswith("<"):
        return True
    return file.startswith(_LIBRARIES) and not file.startswith(_OWN)


def place(file: str, line: int | str | None, function: str) -> str:
    """Return a place in a program as ``file.py:123 in function``."""
    return f"{Path(file).name}:{line} in {function}"

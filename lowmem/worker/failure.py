"""Turn an exception into the message that crosses the pipe."""

from __future__ import annotations

import errno
import sysconfig
import traceback
from pathlib import Path

from lowmem.base.errors import (
    EXIT_BUDGET,
    EXIT_JOB,
    LowmemError,
    MissingDependencyError,
    StorageError,
)
from lowmem.protocol.messages import Failed

_STORAGE = {errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS}
# Framework errors that mean "no memory", by name: importing the framework to compare
# classes would cost 600 MB in jobs that do not use it.
_NO_MEMORY = {"ResourceExhaustedError", "OutOfMemoryError", "XlaRuntimeError"}
_LIBRARIES = tuple(
    sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")
)


def failure_from_exception(error: BaseException) -> Failed:
    """Return what the supervisor is told of an error that ended the job.

    Errors that lowmem raises on purpose carry their own exit code and no traceback;
    lack of memory is told apart, since the supervisor retries it with less; everything
    else is the job's own code, with its traceback.
    """
    where = place_of(error)
    kind = type(error).__name__
    translated = _translated(error)
    if is_lack_of_memory(error):
        text = f"{kind}: {_first_line(error)}"
        return Failed(
            kind="MemoryError", exit_code=EXIT_BUDGET, message=text, where=where
        )
    if isinstance(translated, LowmemError):
        return Failed(
            kind=type(translated).__name__,
            exit_code=translated.exit_code,
            message=str(translated),
            where=where,
        )
    return Failed(
        kind=kind,
        exit_code=EXIT_JOB,
        message=f"{kind}: {_first_line(error)}",
        traceback="".join(traceback.format_exception(error)),
        where=where,
    )


def is_lack_of_memory(error: BaseException) -> bool:
    """Return whether an allocation failed, in RAM or on the device."""
    if isinstance(error, LowmemError):
        return False
    return isinstance(error, MemoryError) or type(error).__name__ in _NO_MEMORY


def _translated(error: BaseException) -> BaseException:
    if isinstance(error, OSError) and error.errno in _STORAGE:
        return StorageError(
            path=error.filename or "the workspace", problem=str(error.strerror)
        )
    if isinstance(error, ModuleNotFoundError) and error.name:
        return MissingDependencyError(package=error.name, purpose="this job")
    return error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no message"


def place_of(error: BaseException) -> str | None:
    """Return ``file.py:123 in function`` of the innermost frame outside libraries."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not f.filename.startswith((*_LIBRARIES, "<"))]
    chosen = (own or list(frames))[-1:]
    for frame in chosen:
        return f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"
    return None

"""Turn an exception into the message that crosses the pipe."""

from __future__ import annotations

import errno
import re
import traceback
from importlib import metadata

from lowmem.base.errors import (
    EXIT_BUDGET,
    EXIT_JOB,
    LowmemError,
    MissingDependencyError,
    StorageError,
)
from lowmem.base.frames import is_library, place
from lowmem.protocol.messages import Failed

_STORAGE = {errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS}
# Framework errors that mean "no memory", by name: importing the framework to compare
# classes would cost 600 MB in jobs that do not use it.
_NO_MEMORY = {"ResourceExhaustedError", "OutOfMemoryError", "XlaRuntimeError"}
# Packages that are imported by another name than they are installed by.
_PACKAGES = {"PIL": "pillow", "pynvml": "nvidia-ml-py", "sklearn": "scikit-learn"}


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
        package = _PACKAGES.get(error.name, error.name)
        # Of a user's own modules and packages lowmem cannot know what installs them.
        if package in _dependencies():
            return MissingDependencyError(package=package, purpose="this job")
    return error


def _dependencies() -> set[str]:
    """Return the packages that come with lowmem, by the names to install them by."""
    try:
        required = metadata.requires("lowmem") or []
    except metadata.PackageNotFoundError:  # Run from its sources.
        required = []
    # TensorFlow brings Keras.
    return {"keras", *(re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in required)}


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no message"


def place_of(error: BaseException) -> str | None:
    """Return ``file.py:123 in function`` of the innermost frame outside libraries."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not is_library(frame.filename)]
    for frame in (own or list(frames))[-1:]:
        return place(frame.filename, frame.lineno, frame.name)
    return None

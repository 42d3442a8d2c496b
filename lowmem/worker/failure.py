"""Turn an exception into the message that crosses the pipe."""

from __future__ import annotations

import errno
import re
import traceback
from importlib import metadata
from typing import TYPE_CHECKING

from lowmem.base.errors import (
    EXIT_BUDGET,
    EXIT_JOB,
    EXIT_UNAVAILABLE,
    LowmemError,
    MissingDependencyError,
    StorageError,
)
from lowmem.base.frames import is_library, place
from lowmem.protocol.messages import DEVICE_MEMORY_ERROR, MEMORY_ERROR, Failed
from lowmem.worker.framework_errors import Ailment, ailment_of

if TYPE_CHECKING:
    from lowmem.protocol.planning import Device

_STORAGE = {errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS}
# Told apart by name, since the supervisor does something about each.
_AILMENTS = {
    Ailment.RAM: (MEMORY_ERROR, EXIT_BUDGET),
    Ailment.VRAM: (DEVICE_MEMORY_ERROR, EXIT_BUDGET),
    Ailment.DEVICE: ("DeviceLostError", EXIT_UNAVAILABLE),
}
# Packages that are imported by another name than they are installed by.
_PACKAGES = {"PIL": "pillow", "pynvml": "nvidia-ml-py", "sklearn": "scikit-learn"}


def failure_from_exception(error: BaseException, *, device: Device = "cpu") -> Failed:
    """Return what the supervisor is told of an error that ended the job.

    Errors that lowmem raises on purpose carry their own exit code and no traceback;
    lack of memory is told apart, since the supervisor retries it with less, and so is
    the loss of the ``device``; everything else is the job's own code, with its
    traceback.
    """
    where = place_of(error)
    kind = type(error).__name__
    translated = _translated(error)
    ailment = ailment_of(error, device=device)
    if ailment is not None:
        told, exit_code = _AILMENTS[ailment]
        text = f"{kind}: {_first_line(error)}"
        return Failed(kind=told, exit_code=exit_code, message=text, where=where)
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

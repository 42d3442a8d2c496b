"""The three standard streams, made fit for use at a process's edge.

A service manager or ``>&-`` may start a program without one of them. Then the next file
that is opened takes its number, and whatever a library prints goes into that file: a
journal, a lock. So what is missing is opened to nowhere, first of all.

Whoever reads the output may have enough of it (``| head``), or have closed the terminal:
that ends no command, and changes no exit code. A full disk behind ``>`` does.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from typing import TYPE_CHECKING

from lowmem.base.errors import StorageError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}
_STANDARD_OUTPUT = 1


def prepare_streams() -> None:
    """Open what is missing of the standard streams, and let the output lose its reader."""
    for descriptor in range(len(_MODES)):
        try:
            os.fstat(descriptor)
        except OSError:
            # Takes the lowest number that is free: this one. It lasts through `exec`.
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(nowhere, True)  # noqa: FBT003 - by position alone
    for descriptor, (name, mode) in enumerate(_MODES.items()):
        if getattr(sys, name) is None:
            stream = open(descriptor, mode, closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
    if not isinstance(sys.stdout, _Text):
        sys.stdout.flush()
        sys.stdout = _Text(
            io.BufferedWriter(_Output(_STANDARD_OUTPUT, "w", closefd=False)),
            encoding=sys.stdout.encoding,
            errors=sys.stdout.errors,
            line_buffering=sys.stdout.isatty(),
        )


class _Text(io.TextIOWrapper):
    """The standard output as `prepare_streams` leaves it."""


class _Output(io.FileIO):
    """The descriptor below it.

    Raises
    ------
    StorageError
        If what is written goes to a disk, and that fails.
    """

    # `typing.override`, which mypy would have here, came with Python 3.12.
    def write(self, data: ReadableBuffer) -> int:  # type: ignore[explicit-override]
        try:
            return super().write(data)
        except OSError as error:
            is_unread = self._has_lost_its_reader(error)
            # What comes later goes nowhere, what Python writes when it ends too, since
            # that would change the exit code.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if is_unread:
                return memoryview(data).nbytes
            problem = error.strerror or str(error)
            raise StorageError(path="the standard output", problem=problem) from error

    def _has_lost_its_reader(self, error: OSError) -> bool:
        is_device = stat.S_ISCHR(os.fstat(self.fileno()).st_mode)
        return error.errno == errno.EPIPE or (error.errno == errno.EIO and is_device)

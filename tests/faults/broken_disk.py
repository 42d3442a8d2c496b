"""A disk that fails at the n-th operation, once or from then on."""

from __future__ import annotations

import contextlib
import os
import pathlib
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Self
from unittest import mock

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CALLS = ("open", "fsync", "replace", "unlink", "rmdir", "mkdir", "ftruncate")


@dataclass(slots=True)
class Disk:
    """Counts operations, and fails those that it was told to.

    Attributes
    ----------
    fails_at
        Number of the operation, from 1.
    is_persistent
        Whether every later operation fails too.
    """

    fails_at: int
    number: int
    is_persistent: bool
    done: int = 0

    @property
    def was_reached(self) -> bool:
        return self.done >= self.fails_at

    def tick(self, name: object) -> None:
        self.done += 1
        if self.done == self.fails_at or (self.is_persistent and self.was_reached):
            raise OSError(self.number, os.strerror(self.number), str(name))


class _Stream:
    """An open file whose writes and reads are operations; a failed write is torn."""

    def __init__(self, stream, disk: Disk) -> None:
        self._stream = stream
        self._disk = disk

    def write(self, data):
        try:
            self._disk.tick(self._stream.name)
        except OSError:
            self._stream.write(data[: len(data) // 2])
            raise
        return self._stream.write(data)

    def read(self, *size: int):
        self._disk.tick(self._stream.name)
        return self._stream.read(*size)

    def truncate(self, *size: int):
        self._disk.tick(self._stream.name)
        return self._stream.truncate(*size)

    def flush(self):
        self._disk.tick(self._stream.name)
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def broken(disk: Disk) -> Iterator[Disk]:
    """Let the file operations of this process go through ``disk``."""
    with contextlib.ExitStack() as stack:
        for name in _CALLS:
            real = getattr(os, name)

            def call(*words: Any, _real=real, **named: Any):
                disk.tick(words[0])
                return _real(*words, **named)

            stack.enter_context(mock.patch.object(os, name, call))
        real_open = pathlib.Path.open

        def open_path(path, *words: Any, **named: Any):
            disk.tick(path)
            return _Stream(real_open(path, *words, **named), disk)

        stack.enter_context(mock.patch.object(pathlib.Path, "open", open_path))
        yield disk


def every_failure(
    number: int, *, is_persistent: bool, attempt: Callable[[Callable], object]
) -> int:
    """Call ``attempt`` with a disk that fails at operation 1, 2, 3 ...

    ``attempt`` gets a function that makes the failing disk; it is called until the
    fault is no longer reached.

    Returns
    -------
    n_operations
        How many operations there were.
    """
    for place in count(1):
        disk = Disk(place, number, is_persistent)
        attempt(partial(broken, disk))
        if not disk.was_reached:
            return place - 1
    raise AssertionError


def faults():
    """Parametrise a test by error number and by persistence."""
    import errno

    return pytest.mark.parametrize(
        ("number", "is_persistent"),
        [(n, p) for n in (errno.ENOSPC, errno.EIO) for p in (False, True)],
        ids=["full once", "full", "I/O error once", "I/O errors"],
    )

"""Descriptors of many files, of which a bounded number is open at once."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from lowmem.base.outside import open_regular

if TYPE_CHECKING:
    from collections.abc import Callable

# Descriptors open at once: a store of a million images may have 8,000 files, and to
# open one for each row would cost as much as to read it.
_OPEN_FILES = 16_384
# Descriptors left to everything else in the process.
_OTHER_FILES = 256
_CLOSED = -1


class OpenFiles:
    """Files by their numbers, opened for random reading when they are first asked for.

    Parameters
    ----------
    path_of
        The path of a file by its number.

    Attributes
    ----------
    descriptors : shape (n_files,)
        Of each file, negative while it is closed: for `open` to fill.

    Notes
    -----
    Memory: 8 bytes a file. The one that has been open longest is closed for another.
    """

    def __init__(self, path_of: Callable[[int], str], n_files: int) -> None:
        self._path_of = path_of
        self.descriptors = np.full(n_files, _CLOSED, np.int32)
        # The numbers of those that are open, in a ring.
        self._ring = np.full(_allowed_files(n_files), _CLOSED, np.int32)
        self._next = 0

    def open(self, index: int) -> int:
        """Return the descriptor of a file that was closed.

        Raises
        ------
        OSError
            If it cannot be opened.
        """
        descriptor = open_regular(self._path_of(index))
        # Readahead would fetch neighbours that a shuffle does not want.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        self._close(int(self._ring[self._next]))
        self._ring[self._next] = index
        self._next = (self._next + 1) % len(self._ring)
        self.descriptors[index] = descriptor
        return descriptor

    def close(self) -> None:
        """Close all of them."""
        for index in self._ring.tolist():
            self._close(index)
        self._ring[:] = _CLOSED

    def _close(self, index: int) -> None:
        if index != _CLOSED:
            os.close(int(self.descriptors[index]))
            self.descriptors[index] = _CLOSED


def _allowed_files(wanted: int) -> int:
    """Return how many files may be open at once, raising the process's limit for it."""
    wanted = min(wanted, _OPEN_FILES)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted + _OTHER_FILES:
        most = wanted + _OTHER_FILES
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return max(1, wanted)
    return max(1, min(wanted, soft - _OTHER_FILES))

"""Large images one at a time, among all processes that decode."""

from __future__ import annotations

import fcntl
import os
from typing import Self
from weakref import finalize


class Turns:
    """A lock between processes, each with one thread that decodes.

    It goes with its process, however that ends.

    Parameters
    ----------
    descriptor
        Of the other side's file; None to begin.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = os.memfd_create("lowmem-turns")
            # Nobody enters a decoder; its file goes with it.
            finalize(self, os.close, descriptor)
        self._descriptor = descriptor

    def fileno(self) -> int:
        """Return the descriptor to be inherited."""
        return self._descriptor

    def __enter__(self) -> Self:
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

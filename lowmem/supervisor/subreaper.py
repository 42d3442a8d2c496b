"""Be the parent of descendants whose own parents end, or they would leave the tree."""

from __future__ import annotations

import contextlib
import ctypes
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37


def become_subreaper() -> None:
    """Make this process the parent of its descendants whose own parents end, for good.

    Without it a worker's double-forked child would leave the tree that is measured.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@contextlib.contextmanager
def as_subreaper() -> Iterator[None]:
    """Be their parent for the length of a block."""
    libc = ctypes.CDLL(None)
    former = ctypes.c_int()
    libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(former), 0, 0, 0)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, former.value, 0, 0, 0)

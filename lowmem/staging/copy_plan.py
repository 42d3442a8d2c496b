"""What is to be copied, and from which byte on; pure: no file is touched here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Read and written at once, hashed and remembered by itself; bytes. Large enough that a
# mount's answer time is small beside it, small enough to be held.
BLOCK_BYTES = 2**23


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """By what a file is known again without being read.

    Attributes
    ----------
    size_bytes, changed_ns
        Its size, and when it changed last, nanoseconds of Unix time.
    """

    size_bytes: int
    changed_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was copied of a file before.

    Attributes
    ----------
    stamp
        The source's, when the copy of it began.
    n_blocks
        Leading blocks that were written, the last of a file counted even if it is short.
    is_whole
        Whether the copy was brought to its end.
    """

    stamp: Stamp
    n_blocks: int
    is_whole: bool


def next_offset(
    seen: Stamp, known: Known | None, here: Stamp | None, block_bytes: int
) -> int | None:
    """Return the byte from which a file is to be copied on; None if its copy is whole.

    Parameters
    ----------
    seen
        The file in the source.
    known
        What was copied of it before, if anything was.
    here
        Its copy as it lies on the local disk, if it does.

    Examples
    --------
    >>> file = Stamp(size_bytes=1000, changed_ns=5)
    >>> half = Known(stamp=file, n_blocks=5, is_whole=False)
    >>> next_offset(file, half, Stamp(size_bytes=512, changed_ns=9), 100)
    500
    >>> next_offset(Stamp(size_bytes=1000, changed_ns=6), half, file, 100)
    0
    """
    if known is None or here is None or known.stamp != seen:
        return 0
    if known.is_whole:
        return None if here == seen else 0
    # What follows the last whole block is copied again.
    n_whole = min(known.n_blocks, here.size_bytes // block_bytes)
    return min(n_whole, seen.size_bytes // block_bytes) * block_bytes


def place_problem(source: Path, target: Path) -> str:
    """Return why a copy cannot be at ``target``; empty if it may.

    Parameters
    ----------
    source, target
        Absolute, without links.
    """
    if target == source:
        return "is the source itself"
    if target.is_relative_to(source) or source.is_relative_to(target):
        return f"and the source {source} lie one in the other"
    return ""

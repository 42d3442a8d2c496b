"""Whether arrays of a state share memory: they would come back apart, each its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.base.errors_loop import UnkeptValueError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Steps of the exact answer, which strides of many sizes can make a long search. NumPy's
# own annotation knows of two special values alone.
_MOST_WORK: Any = 10_000


def refuse_overlaps(views: Sequence[tuple[NDArray[Any], str]]) -> None:
    """Refuse two arrays with a byte in common that can be written by either.

    Parameters
    ----------
    views
        Arrays with their places, no object twice.

    Raises
    ------
    UnkeptValueError
        Naming both places. Two for which that would take long to tell are refused too.

    Notes
    -----
    Time: a sort, and a look at each pair whose ranges of addresses meet.
    """
    spans = sorted((*_span(view), n) for n, (view, _) in enumerate(views) if view.size)
    reaching: list[tuple[int, int]] = []
    for low, high, number in spans:
        reaching = [(end, other) for end, other in reaching if end > low]
        for _, other in reaching:
            (one, before), (two, path) = (views[n] for n in sorted((number, other)))
            if _is_shared(one, two):
                raise UnkeptValueError(
                    path=path,
                    problem=f"shares memory with {before}, and would come back apart",
                    todo="Keep the larger one and cut the other from it after restore(), "
                    "or give a copy.",
                )
        reaching.append((high, number))


def _span(view: NDArray[Any]) -> tuple[int, int]:
    """Return its first address, and the one after its last."""
    steps = [(n - 1) * s for n, s in zip(view.shape, view.strides, strict=True)]
    start = int(view.__array_interface__["data"][0])
    low = start + sum(step for step in steps if step < 0)
    return low, start + sum(step for step in steps if step > 0) + view.itemsize


def _is_shared(one: NDArray[Any], two: NDArray[Any]) -> bool:
    if not (one.flags.writeable or two.flags.writeable):
        return False
    try:
        return bool(np.shares_memory(one, two, max_work=_MOST_WORK))
    except RuntimeError:  # Too hard to tell.
        return True

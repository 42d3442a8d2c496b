"""Hold the numbers of two environments against each other; pure but for reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def differences(left: Path, right: Path) -> dict[str, float | None]:
    """Return how far apart each result is: 0.0 only where every bit is the same.

    Returns
    -------
    By result: the largest difference of its arrays, each in units of the array's own
    largest magnitude; None where an array is absent on one side or has another shape.
    """
    with np.load(left) as one, np.load(right) as two:
        return compared(dict(one), dict(two))


def compared(
    one: Mapping[str, np.ndarray], two: Mapping[str, np.ndarray]
) -> dict[str, float | None]:
    """Return the same of arrays by name; what stands before a name's colon is a result."""
    found: dict[str, float | None] = {}
    for name in sorted({*one, *two}):
        result = name.partition(":")[0]
        apart = _distance(one.get(name), two.get(name))
        known = found.get(result, 0.0)
        found[result] = None if apart is None or known is None else max(apart, known)
    return found


def _distance(one: np.ndarray | None, two: np.ndarray | None) -> float | None:
    if one is None or two is None or one.shape != two.shape:
        return None
    if one.dtype == two.dtype and one.tobytes() == two.tobytes():
        return 0.0
    left, right = one.astype(np.float64), two.astype(np.float64)
    if not np.array_equal(np.isfinite(left), np.isfinite(right)):
        return float("inf")
    is_number = np.isfinite(left)
    scale = np.abs(left[is_number]).max(initial=0.0) or 1.0
    apart = np.abs(left[is_number] - right[is_number]).max(initial=0.0) / scale
    # The bits differ, so it is not the same, even if only by a sign of zero.
    return max(float(apart), np.finfo(np.float64).tiny)

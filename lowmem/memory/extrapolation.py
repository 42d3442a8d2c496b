"""Predict a peak from those of smaller runs; plain arithmetic on a few numbers.

    peak = floor + c0 + c1 * term1 + c2 * term2 + ...

The floor is what the job's own formula says; the coefficients are what trial runs showed
beyond it. With as many trials as coefficients they are met exactly, with more in the
sense of least squares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# What a peak varies by from run to run, and grows by after the few steps of a trial: a
# share of it, and bytes that even the smallest worker varies by, since its threads
# meet in different ways. benchmarks/plan.py prints both sides.
DRIFT = 0.025
JITTER_BYTES = 4 * 10**6
# Of the largest number in a column: below it the trials do not tell two terms apart.
_SMALLEST_PIVOT = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The peak of one trial.

    Attributes
    ----------
    terms
        What memory beyond the floor is proportional to.
    floor_bytes
        What the job's formula says of it.
    peak_bytes
        What was measured; of a trial that was stopped, the least it needs.
    is_whole
        Whether it ran to its end.
    """

    terms: tuple[float, ...]
    floor_bytes: int
    peak_bytes: int
    is_whole: bool = True


def fitted(samples: Sequence[Sample]) -> tuple[float, ...]:
    """Return the coefficients, the constant first; the last terms are left out if need be.

    Examples
    --------
    >>> one = Sample(terms=(2.0,), floor_bytes=0, peak_bytes=104)
    >>> two = Sample(terms=(4.0,), floor_bytes=0, peak_bytes=108)
    >>> [round(value, 6) for value in fitted([one, two])], fitted([one])
    ([100.0, 2.0], (104.0,))
    """
    if not samples:
        return ()
    excess = [float(one.peak_bytes - one.floor_bytes) for one in samples]
    most = min(len(samples[0].terms), len(samples) - 1)
    for n_terms in range(most, 0, -1):
        rows = [[1.0, *one.terms[:n_terms]] for one in samples]
        found = _least_squares(rows, excess)
        if found is not None:
            return tuple(found)
    return (sum(excess) / len(excess),)


def predicted_bytes(
    coefficients: Sequence[float], terms: Sequence[float], floor_bytes: int
) -> int:
    """Return the peak that is expected, the usual drift of a longer run included."""
    bare = floor_bytes + excess_bytes(coefficients, terms)
    return max(0, round(bare * (1 + DRIFT) + JITTER_BYTES))


def excess_bytes(coefficients: Sequence[float], terms: Sequence[float]) -> float:
    """Return what is expected beyond the floor, as the trials showed it.

    Examples
    --------
    >>> excess_bytes((100.0, 2.0), (4.0,))
    108.0
    """
    with_terms = zip(coefficients, (1.0, *terms), strict=False)
    return sum(factor * term for factor, term in with_terms)


def _least_squares(
    rows: Sequence[Sequence[float]], values: Sequence[float]
) -> list[float] | None:
    """Return the x that comes closest to rows . x = values; None if many do."""
    n = len(rows[0])
    normal = [
        [sum(row[i] * row[j] for row in rows) for j in range(n)] for i in range(n)
    ]
    right = [
        sum(row[i] * y for row, y in zip(rows, values, strict=True)) for i in range(n)
    ]
    for k in range(n):
        best = max(range(k, n), key=lambda i: abs(normal[i][k]))
        largest = max(abs(row[k]) for row in normal)
        if abs(normal[best][k]) <= _SMALLEST_PIVOT * largest:
            return None
        normal[k], normal[best] = normal[best], normal[k]
        right[k], right[best] = right[best], right[k]
        for i in (i for i in range(n) if i != k):
            factor = normal[i][k] / normal[k][k]
            normal[i] = [
                a - factor * b for a, b in zip(normal[i], normal[k], strict=True)
            ]
            right[i] -= factor * right[k]
    return [right[k] / normal[k][k] for k in range(n)]

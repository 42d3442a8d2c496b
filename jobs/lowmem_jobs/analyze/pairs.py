"""Which pairs are measured, and what is counted of each: coverage and overlap.

A tile is 256 pairs of few components, so that their columns stay in the caches; it is
the step after which the stage may be cut. Every pair is computed by itself: neither
tiles nor the rows handled at once change a number.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowmem.stats.density import Smoother
from lowmem.stats.pairs import DEGENERATE
from lowmem.stats.plane import COVERAGE_SIGMAS, PlaneCounter
from lowmem_jobs.analyze.job import n_pairs_wanted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowmem_jobs.analyze.columns import Columns
    from lowmem_jobs.analyze.course import Arrays, Course, Outcome

    Floats = NDArray[np.float64]
    Indices = NDArray[np.int64]

PAIRS_PER_TILE = 256
_SIDE = 16

# The columns of the measured scores.
SCORES = ("contour_iou", "contour_offset", "contour_angle", "total_variation")

# Pairs are computed side by side: the loops of NumPy and SciPy hold no lock. Fixed, so
# that the memory needed does not depend on the machine.
N_THREADS = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """The pairs that are measured, in the order of i, then j, with i < j.

    Attributes
    ----------
    i, j : shape (n_pairs,)
        Components of each pair.
    rule
        How they were chosen, in words.
    n_possible
        Number of all pairs.
    """

    i: Indices
    j: Indices
    rule: str
    n_possible: int

    def tile_order(self) -> Indices:
        """Return the pairs in the order of tiles of 16 x 16 components."""
        return np.lexsort((self.j, self.i, self.j // _SIDE, self.i // _SIDE))


def select_pairs(asked: str | None, frame: str, rho: Floats) -> Selection:
    """Return the pairs to measure.

    Parameters
    ----------
    asked
        The option ``--pairs``: "all", a number, or None for the default.
    frame
        "raw": the strongest correlations come first; "pca": the leading axes do, since
        nothing is correlated there.
    rho : shape (d, d)
        Correlation of the raw components.
    """
    d = len(rho)
    i, j = (index.astype(np.int64) for index in np.triu_indices(d, k=1))
    limit = n_pairs_wanted(asked, d)
    if limit is None or limit >= i.size:
        return Selection(i=i, j=j, rule="all pairs", n_possible=i.size)
    if frame == "raw":
        strength = np.nan_to_num(np.abs(rho[i, j]), nan=-1.0)
        chosen = np.sort(np.argsort(-strength, kind="stable")[:limit])
        rule = f"the {limit} pairs with the strongest correlation"
    else:
        chosen = np.sort(np.argsort(j, kind="stable")[:limit])
        rule = f"the {limit} pairs of the leading axes"
    return Selection(i=i[chosen], j=j[chosen], rule=rule, n_possible=i.size)


def is_drawable(rho: float) -> bool:
    """Return whether a pair has a density: neither constant nor one and the same."""
    return bool(1 - rho**2 >= DEGENERATE)


def measure_pairs(
    course: Course,
    selection: Selection,
    *,
    rho: Floats,
    columns: Columns,
    n_rows: int,
    block_rows: int,
) -> Outcome:
    """Count every selected pair, a tile at a time.

    Parameters
    ----------
    rho : shape (n_pairs,)
        Correlation of each pair; where it is NaN or too close to 1 the results are NaN.

    Returns
    -------
    coverage : shape (n_pairs, 3)
        Share of the rows within 2, 2.5 and 3 sigma.
    scores : shape (n_pairs, 4)
        The `SCORES` of the density.
    """
    if course.is_done("pairs"):
        return course.outcome("pairs")
    n_pairs = rho.size
    done, arrays = course.resumed()
    found: Arrays = {
        "coverage": np.full((n_pairs, len(COVERAGE_SIGMAS)), np.nan),
        "scores": np.full((n_pairs, len(SCORES)), np.nan),
    }
    if done:
        found = {name: np.array(arrays[name]) for name in found}
    smoother = Smoother(n_samples=n_rows)
    own = threading.local()

    def begin() -> None:
        own.counter = PlaneCounter(min(block_rows, n_rows))

    def measure(k: int) -> None:
        if not is_drawable(rho[k]):
            return
        x, y = columns[selection.i[k]], columns[selection.j[k]]
        counts = own.counter.count(x, y, float(rho[k]))
        found["coverage"][k] = counts.coverage
        scores = smoother.scores(smoother.density(counts), float(rho[k]))
        found["scores"][k] = [getattr(scores, name) for name in SCORES]

    order = selection.tile_order()
    with ThreadPoolExecutor(N_THREADS, initializer=begin) as threads:
        for start in range(done, n_pairs, PAIRS_PER_TILE):
            tile = order[start : start + PAIRS_PER_TILE]
            # Consumed, so that an error in a thread is raised here.
            deque(threads.map(measure, tile), maxlen=0)
            yield from course.step("pairs", start + len(tile), lambda: found)
    return (yield from course.end("pairs", found))

"""Which pairs are measured, and what is counted of each: coverage and overlap.

A tile is 512 pairs of few components, so that their columns stay in the caches; it is
the step after which the stage may be cut. Every pair is computed by itself: neither
tiles nor the rows handled at once change a number.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowmem_jobs.analyze.counting import N_COVERAGES, PAIR, SCORES, Counters
from lowmem_jobs.analyze.job import n_pair_helpers, n_pairs_wanted
from lowmem_jobs.stats.pairs import DEGENERATE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lowmem_jobs.analyze.component_columns import Columns
    from lowmem_jobs.analyze.stages import AnalysisState, Arrays, Outcome

    Floats = NDArray[np.float64]
    Indices = NDArray[np.int64]

PAIRS_PER_TILE = 512
_SIDE = 16


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
    return bool(_are_drawable(np.float64(rho)))


def _are_drawable(rho: Floats | np.float64) -> NDArray[np.bool_]:
    return np.asarray(1 - np.square(rho) >= DEGENERATE)


def measure_pairs(
    state: AnalysisState,
    selection: Selection,
    *,
    rho: Floats,
    columns: Columns,
    settings: Mapping[str, int],
) -> Outcome:
    """Count every selected pair, a tile at a time.

    Parameters
    ----------
    rho : shape (n_pairs,)
        Correlation of each pair; where it is NaN or too close to 1 the results are NaN.
    columns
        The components, flushed.
    settings
        Of the job's rung.

    Returns
    -------
    coverage : shape (n_pairs, 3)
        Share of the rows within 2, 2.5 and 3 sigma.
    scores : shape (n_pairs, 4)
        The `SCORES` of the density.
    """
    if state.is_done("pairs"):
        return state.outcome("pairs")
    n_pairs = rho.size
    done, arrays = state.resumed()
    found: Arrays = {
        "coverage": np.full((n_pairs, N_COVERAGES), np.nan),
        "scores": np.full((n_pairs, len(SCORES)), np.nan),
    }
    if done:
        found = {name: np.array(arrays[name]) for name in found}
    pairs = np.empty(n_pairs, dtype=PAIR)
    pairs["i"], pairs["j"], pairs["rho"] = selection.i, selection.j, rho

    def measure(run: Indices) -> None:
        values = counters.count(pairs[run])
        found["coverage"][run] = values[:, :N_COVERAGES]
        found["scores"][run] = values[:, N_COVERAGES:]

    order = selection.tile_order()
    n_helpers = n_pair_helpers(settings, n_rows=columns.n_rows, n_pairs=n_pairs)
    with (
        Counters(
            columns, block_rows=settings["pair_rows"], n_helpers=n_helpers
        ) as counters,
        ThreadPoolExecutor(max(n_helpers, 1)) as threads,
    ):
        for start in range(done, n_pairs, PAIRS_PER_TILE):
            tile = order[start : start + PAIRS_PER_TILE]
            # Consumed, so that an error in a thread is raised here.
            deque(threads.map(measure, _runs(selection, tile, rho)), maxlen=0)
            yield from state.step("pairs", start + len(tile), lambda: found)
    return (yield from state.end("pairs", found))


def _runs(selection: Selection, tile: Indices, rho: Floats) -> list[Indices]:
    """Return the pairs of a tile that have a density, by their first component."""
    drawable = tile[_are_drawable(rho[tile])]
    ends = 1 + np.flatnonzero(np.diff(selection.i[drawable]))
    return [run for run in np.split(drawable, ends) if run.size]

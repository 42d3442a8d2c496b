"""What is counted of a run of pairs, in this process or in a helper beside it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Self

import numpy as np

from lowmem.memory import clean_up
from lowmem.worker import Helper, serve
from lowmem_jobs.analyze.component_columns import Columns
from lowmem_jobs.stats.density import Smoother
from lowmem_jobs.stats.plane import COVERAGE_SIGMAS, PlaneCounter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# The columns of the scores.
SCORES = ("contour_iou", "contour_offset", "contour_angle", "total_variation")
N_COVERAGES = len(COVERAGE_SIGMAS)
_N_FOUND = N_COVERAGES + len(SCORES)

# A pair of components and their correlation; what crosses to a helper.
PAIR = np.dtype([("i", "<i4"), ("j", "<i4"), ("rho", "<f8")])
_FOUND = np.dtype("<f8")


class Counter:
    """Counts pairs, one after the other.

    Parameters
    ----------
    columns
        The components, standardised.
    block_rows
        Rows handled at once; it changes no number.
    """

    def __init__(self, columns: Columns, block_rows: int) -> None:
        self._columns = columns
        self._plane = PlaneCounter(min(block_rows, columns.n_rows))
        self._smoother = Smoother(n_samples=columns.n_rows)

    def count(self, run: NDArray[np.void]) -> Floats:
        """Return coverage and scores of each pair, shape (n, 7).

        Parameters
        ----------
        run : shape (n,), of `PAIR`
            Pairs with one and the same first component.
        """
        self._plane.along(self._columns[run["i"][0]])
        found = np.empty((len(run), _N_FOUND), dtype=_FOUND)
        for row, (_, j, rho) in zip(found, run.tolist(), strict=True):
            counts = self._plane.count(self._columns[j], rho)
            scores = self._smoother.scores(self._smoother.density(counts), rho)
            row[:N_COVERAGES] = counts.coverage
            row[N_COVERAGES:] = [getattr(scores, name) for name in SCORES]
        return found


class Counters:
    """Counters for as many threads as there are counters. A context manager.

    Parameters
    ----------
    columns
        The components; what was written to them has to be there for every process.
    block_rows
        See `Counter`.
    n_helpers
        Number of processes that count; 0 to count in this one.
    """

    def __init__(self, columns: Columns, *, block_rows: int, n_helpers: int) -> None:
        self._columns, self._block_rows = columns, block_rows
        self._n_helpers = n_helpers
        self._stack = ExitStack()
        self._idle: SimpleQueue[Helper] = SimpleQueue()
        self._own: Counter | None = None

    def __enter__(self) -> Self:
        """Start the helpers."""
        columns = self._columns
        if not self._n_helpers:
            self._own = Counter(columns, self._block_rows)
            return self
        # What the passes over the rows left behind would lie idle beside the helpers.
        clean_up()
        shape = (columns.n_rows, columns.n_columns, self._block_rows)
        with ExitStack() as stack:
            for _ in range(self._n_helpers):
                helper = Helper(__name__, str(columns.path), *map(str, shape))
                self._idle.put(stack.enter_context(helper))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End the helpers."""
        self._stack.close()

    def count(self, run: NDArray[np.void]) -> Floats:
        """Return what `Counter.count` does."""
        if self._own:
            return self._own.count(run)
        helper = self._idle.get()
        try:
            answer = helper.ask(run.tobytes())
        finally:
            self._idle.put(helper)
        return np.frombuffer(answer, dtype=_FOUND).reshape(len(run), _N_FOUND)


def _answers(arguments: Sequence[str]) -> Callable[[bytes], bytes]:
    path, n_rows, n_columns, block_rows = arguments
    shape = {"n_rows": int(n_rows), "n_columns": int(n_columns)}
    columns = Columns(Path(path), **shape, is_written=False)
    counter = Counter(columns, int(block_rows))
    return lambda run: counter.count(np.frombuffer(run, dtype=PAIR)).tobytes()


if __name__ == "__main__":
    serve(_answers)

"""Principal axes by scikit-learn's IncrementalPCA, cut and continued without pickle.

Two rules of its own: the first batch needs at least as many rows as there are axes, and
a short last batch spoils the small eigenvalues, so it is merged into the one before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.decomposition import IncrementalPCA

from lowmem_jobs.stats.principal import PrincipalAxes, completed_axes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lowmem_jobs.analyze.stages import Arrays

    Floats = NDArray[np.float64]

_MIN_BATCH_ROWS = 1024

# All that partial_fit leaves behind; names are scikit-learn's.
_FITTED = (
    "components_",
    "singular_values_",
    "mean_",
    "var_",
    "explained_variance_",
    "explained_variance_ratio_",
)
_NUMBERS = {"n_samples_seen_": int, "noise_variance_": float}


class IncrementalSweep:
    """Feeds batches of a fixed size to IncrementalPCA.

    Parameters
    ----------
    n_rows
        Rows there will be in all.
    n_features
        Columns of a row.
    keep
        Returns the rows of a block that count.
    """

    def __init__(
        self, *, n_rows: int, n_features: int, keep: Callable[[Floats], Floats]
    ) -> None:
        self._n_left = n_rows
        self._batch_rows = max(2 * n_features, _MIN_BATCH_ROWS)
        self._keep = keep
        self._solver = IncrementalPCA(n_components=min(n_rows, n_features))
        self._waiting = np.empty((0, n_features))

    def add(self, start: int, block: Floats) -> None:  # noqa: ARG002 - of all sweeps
        """Take in the rows from ``start``."""
        self._waiting = np.concatenate([self._waiting, self._keep(block)])
        while self._n_left and len(self._waiting) >= self._next_rows():
            n_rows = self._next_rows()
            batch, self._waiting = self._waiting[:n_rows], self._waiting[n_rows:]
            self._solver.partial_fit(batch)
            self._n_left -= n_rows

    def _next_rows(self) -> int:
        """Return the size of the next batch; the last takes what would fall short."""
        is_last = self._n_left < 2 * self._batch_rows
        return self._n_left if is_last else self._batch_rows

    def arrays(self) -> Arrays:
        """Return the state: the solver's arrays and the rows that wait."""
        state: dict[str, NDArray[Any]] = {
            "waiting": self._waiting,
            "n_left": np.array(self._n_left),
        }
        if hasattr(self._solver, "components_"):
            names = (*_FITTED, *_NUMBERS)
            state |= {name: np.asarray(getattr(self._solver, name)) for name in names}
        return state

    def restore(self, arrays: Arrays) -> None:
        """Take up a state."""
        self._waiting = np.array(arrays["waiting"])
        self._n_left = int(np.asarray(arrays["n_left"]).item())
        if "components_" not in arrays:
            return
        self._solver.n_components_ = self._solver.n_components
        for name in _FITTED:
            setattr(self._solver, name, np.array(arrays[name]))
        for name, number in _NUMBERS.items():
            setattr(self._solver, name, number(np.asarray(arrays[name]).item()))

    def flush(self) -> None:
        """Do nothing: there is nothing to make durable."""


def incremental_axes(arrays: Arrays) -> PrincipalAxes:
    """Return the axes that an `IncrementalSweep` ended with, completed to all."""
    return completed_axes(
        np.asarray(arrays["explained_variance_"]), np.asarray(arrays["components_"])
    )

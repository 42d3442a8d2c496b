"""How much of some targets a linear map of rows recovers, of rows it has not seen too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from lowmem_jobs.stats.moments import Moments

if TYPE_CHECKING:
    from collections.abc import Mapping

Floats = NDArray[np.float64]

_PARTS = ("fitted", "held_out")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearFit:
    """Moments of rows and targets side by side, from which the best linear map follows.

    Attributes
    ----------
    n_features
        Columns of the rows; the targets' come after them.
    fitted
        Moments of the rows to which the map is fitted.
    held_out
        Of the rows that it has not seen.
    """

    n_features: int
    fitted: Moments
    held_out: Moments

    @classmethod
    def empty(cls, n_features: int, n_targets: int) -> Self:
        """Return the moments of zero rows."""
        nothing = Moments.empty(n_features + n_targets)
        return cls(n_features=n_features, fitted=nothing, held_out=nothing)

    def updated(
        self, rows: Floats, targets: Floats, is_held_out: NDArray[np.bool_]
    ) -> LinearFit:
        """Return the moments with more rows.

        Parameters
        ----------
        rows : shape (n_samples, n_features)
            Of about equal scales, such as whitened rows.
        targets : shape (n_samples, n_targets)
            What is to be recovered.
        is_held_out : shape (n_samples,)
            Which of them the map must not see.
        """
        joined = np.concatenate([rows, targets], axis=1)
        return replace(
            self,
            fitted=self.fitted.merge(Moments.of(joined[~is_held_out])),
            held_out=self.held_out.merge(Moments.of(joined[is_held_out])),
        )

    def arrays(self) -> dict[str, Floats | NDArray[np.int64]]:
        """Return the state as named arrays; `from_arrays` is the inverse."""
        parts = {
            f"{part}_{name}": array
            for part in _PARTS
            for name, array in getattr(self, part).arrays().items()
        }
        return {"n_features": np.array(self.n_features), **parts}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the state that `arrays` described."""
        found: dict[str, dict[str, Floats | NDArray[np.int64]]] = {}
        for part in _PARTS:
            head = f"{part}_"
            found[part] = {
                name.removeprefix(head): np.asarray(array)
                for name, array in arrays.items()
                if name.startswith(head)
            }
        return cls(
            n_features=int(arrays["n_features"].item()),
            **{part: Moments.from_arrays(named) for part, named in found.items()},
        )

    @property
    def everything(self) -> Moments:
        """Moments of all rows."""
        return self.fitted.merge(self.held_out)

    @property
    def r_squared(self) -> Floats:
        """Share of each target's variance that a map fitted to all rows recovers.

        Shape (n_targets,); NaN for a constant target. Of n rows without any relation it
        is about n_features / n.
        """
        return self._share(self.everything, self.everything)

    @property
    def r_squared_held_out(self) -> Floats:
        """The same of the held-out rows, by a map fitted to the others.

        Shape (n_targets,); negative where the map is worse than the held-out rows' own
        mean; NaN where the fitted rows do not determine a map.
        """
        return self._share(self.fitted, self.held_out)

    def _share(self, fitted: Moments, seen: Moments) -> Floats:
        d = self.n_features
        if fitted.n_samples <= d + 1 or not seen.n_samples:
            return np.full(seen.mean.size - d, np.nan)
        # Axes without spread have no part in the map of smallest norm.
        slopes = np.linalg.lstsq(fitted.m2[:d, :d], fitted.m2[:d, d:], rcond=None)[0]
        bias = seen.mean - fitted.mean
        missed = bias[d:] - bias[:d] @ slopes
        within = (slopes * (seen.m2[:d, :d] @ slopes - 2 * seen.m2[:d, d:])).sum(axis=0)
        total = np.diagonal(seen.m2)[d:]
        left = total + within + seen.n_samples * np.square(missed)
        has_spread = seen.deviation[d:] > 0
        lost = np.divide(left, total, out=np.full_like(left, np.nan), where=has_spread)
        return np.asarray(np.minimum(1 - lost, 1.0))

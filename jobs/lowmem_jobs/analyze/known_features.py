"""What z holds of the features behind drawn faces, where these are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowmem.stores import RowReader, read_array_info
from lowmem_jobs.stats.regression import LinearFit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from lowmem_jobs.analyze.component_frames import ComponentFrame
    from lowmem_jobs.analyze.stages import Arrays

    Floats = NDArray[np.float64]

_NAME = "features"
# Every fifth row, by its number, is held out; whether it is kept changes no other.
_FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recovery:
    """How much of each feature a linear map of z recovers.

    Attributes
    ----------
    names
        Of the features.
    r_squared : shape (n_features,)
        Share of the variance, by a map fitted to all rows.
    r_squared_held_out : shape (n_features,)
        The same of every fifth row, by a map fitted to the others.
    skewness, kurtosis : shape (n_features,)
        Of the features themselves: whether they are normal.
    """

    names: tuple[str, ...]
    r_squared: Floats
    r_squared_held_out: Floats
    skewness: Floats
    kurtosis: Floats


def has_truth(images: Path, n_rows: int) -> bool:
    """Return whether the features behind ``n_rows`` images are stored."""
    info = read_array_info(images / _NAME)
    return info is not None and len(info.shape) == 2 and info.shape[0] == n_rows  # noqa: PLR2004


class TruthSweep:
    """Sums for the linear map from the whitened rows to the features."""

    def __init__(
        self,
        reader: RowReader,
        *,
        frame: ComponentFrame,
        is_kept: Callable[[Floats], NDArray[np.bool_]],
    ) -> None:
        self._reader, self._frame, self._is_kept = reader, frame, is_kept
        n_features = reader.shape[1]
        self.names = _names(reader, n_features)
        self._fit = LinearFit.empty(frame.centre.size, n_features)

    def add(self, start: int, block: Floats) -> None:
        """Take in the rows from ``start``."""
        is_kept = self._is_kept(block)
        features = self._reader.read(start, start + len(block)).astype(np.float64)
        white = self._frame.standardised(block[is_kept])
        number = np.arange(start, start + len(block))[is_kept]
        is_held_out = number % _FOLDS == _FOLDS - 1
        self._fit = self._fit.updated(white, features[is_kept], is_held_out)

    def arrays(self) -> Arrays:
        """Return the sums."""
        return self._fit.arrays()

    def restore(self, arrays: Arrays) -> None:
        """Take up the sums."""
        self._fit = LinearFit.from_arrays(arrays)

    def flush(self) -> None:
        """Do nothing: there is nothing to make durable."""

    def recovery(self, arrays: Arrays) -> Recovery:
        """Return what follows from the sums of all rows."""
        fit = LinearFit.from_arrays(arrays)
        d, everything = fit.n_features, fit.everything
        return Recovery(
            names=self.names,
            r_squared=fit.r_squared,
            r_squared_held_out=fit.r_squared_held_out,
            skewness=everything.skewness[d:],
            kurtosis=everything.kurtosis[d:],
        )


def open_truth(images: Path) -> RowReader:
    """Open the features behind the images."""
    return RowReader.open(images, _NAME)


def _names(reader: RowReader, n_features: int) -> tuple[str, ...]:
    names = reader.attributes.get("names")
    if isinstance(names, list) and len(names) == n_features:
        return tuple(str(name) for name in names)
    return tuple(f"feature {k}" for k in range(n_features))

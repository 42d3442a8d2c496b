"""Read the distribution that job `analyze` fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowmem.base import DataError
from lowmem.stores import RowReader
from lowmem_jobs.stats.frame import PrincipalFrame

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def read_frame(store: Path) -> PrincipalFrame:
    """Return mean and principal axes from ``analysis.zarr``.

    Raises
    ------
    DataError
        If an array is missing, has another shape, or holds values that are not finite.
    """
    mean = _read(store, "mean", dimensions=1)
    d = len(mean)
    frame = PrincipalFrame(
        mean=mean,
        eigenvalues=_read(store, "eigenvalues", dimensions=1),
        components=_read(store, "components", dimensions=2),
    )
    found = (frame.eigenvalues.shape, frame.components.shape)
    if found != ((d,), (d, d)):
        raise DataError(
            thing=store,
            problem=f"holds eigenvalues and components of shapes {found}",
            expected=f"({d},) and ({d}, {d}), as the mean has {d} values",
            todo="Run `lowmem run analyze` again.",
        )
    return frame


def _read(store: Path, name: str, *, dimensions: int) -> NDArray[np.float64]:
    with RowReader.open(store, name) as reader:
        values = np.asarray(reader.read(0, reader.shape[0]), np.float64)
    if values.ndim != dimensions or not np.isfinite(values).all():
        raise DataError(
            thing=store / name,
            problem=f"has {values.ndim} axes, or values that are not finite",
            expected=f"finite numbers along {dimensions} axes",
            todo="Run `lowmem run analyze` again.",
        )
    return values

"""The few numbers of a study by which it is held against another.

Both studies are read from the same document, `summary.json`, so a measure cannot mean
one thing here and another there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from lowmem import Workspace
from lowmem.base import DataError, read_json
from lowmem.stores import RowReader
from lowmem_jobs.analyze.job import refuse_unless_analyzed, summary_path
from lowmem_jobs.analyze.vectors import MAX_FEATURES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_REMEDY = "Run `lowmem run analyze` there with this version."


class SpreadDigest(msgspec.Struct, frozen=True):
    """Extremes and median of a measure; None where it is undefined throughout."""

    minimum: float | None
    median: float | None
    maximum: float | None


class Radius(msgspec.Struct, frozen=True):
    """Distribution of the Mahalanobis distance."""

    kolmogorov: float | None
    mardia_kurtosis: float | None
    mardia_kurtosis_gaussian: float
    mardia_kurtosis_standard_error: float
    quantile_shares: list[float]
    quantiles: list[float | None]
    quantiles_gaussian: list[float]

    def __post_init__(self) -> None:
        n_shares = len(self.quantile_shares)
        if not n_shares == len(self.quantiles) == len(self.quantiles_gaussian):
            raise ValueError("quantiles of other numbers than their shares")
        if not all(0 < share < 1 for share in self.quantile_shares):
            raise ValueError("shares outside 0 to 1")
        if not (
            self.mardia_kurtosis_gaussian > 0 < self.mardia_kurtosis_standard_error
        ):
            raise ValueError("a kurtosis or an error of it that is not above 0")


class Components(msgspec.Struct, frozen=True):
    """Measures by component."""

    kolmogorov: list[float | None]
    skewness: list[float | None]
    excess_kurtosis: list[float | None]


class Projections(msgspec.Struct, frozen=True):
    """Distribution along random directions."""

    kolmogorov: SpreadDigest


class TrimmingDigest(msgspec.Struct, frozen=True):
    """The cut that was made."""

    factor: float | None


class PairDigest(msgspec.Struct, frozen=True):
    """What was measured of the pairs."""

    frame: Literal["raw", "pca"]
    selection: str
    n_measured: int
    abs_rho: SpreadDigest
    mardia_skewness: SpreadDigest
    mardia_kurtosis: SpreadDigest
    coverage: dict[str, SpreadDigest]
    contour_iou: SpreadDigest
    contour_offset: SpreadDigest
    total_variation: SpreadDigest


class Features(msgspec.Struct, frozen=True):
    """What z holds of the features behind the images."""

    r_squared: list[float | None]
    r_squared_held_out: list[float | None]


class Digest(msgspec.Struct, frozen=True):
    """What of a ``summary.json`` is compared; its other keys are left alone."""

    n_rows_kept: int
    n_features: int
    effective_dimension: float
    components_for_variance: dict[str, int]
    largest_correlation_raw: float | None
    standardise: bool
    trimming: TrimmingDigest
    components_raw: Components
    components_pca: Components
    radius: Radius
    projections: Projections
    pairs: PairDigest
    features: Features | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.n_features <= MAX_FEATURES:
            raise ValueError(f"{self.n_features} components")
        if (
            not 0
            <= self.pairs.n_measured
            <= self.n_features * (self.n_features - 1) // 2
        ):
            raise ValueError(f"{self.pairs.n_measured} pairs of {self.n_features}")


class Portrait(msgspec.Struct, frozen=True, eq=False):
    """A study as far as it is compared.

    Attributes
    ----------
    name
        Of its workspace.
    digest
        Its numbers.
    importance : shape (d,)
        Share of each principal axis in the variance, descending.
    overlaps : shape (n_pairs,)
        Overlap of contour and ellipse of each pair, NaN where undefined.
    """

    name: str
    digest: Digest
    importance: Floats
    overlaps: Floats


def digest_of(document: bytes) -> Digest:
    """Return the digest of a ``summary.json``.

    Raises
    ------
    msgspec.DecodeError
        If it is none, or lacks what is compared.
    """
    return msgspec.json.decode(document, type=Digest)


def read_portrait(root: Path) -> Portrait:
    """Return the study in the workspace ``root``.

    Raises
    ------
    DataError
        If there is none, or an older version made it.
    """
    workspace = Workspace.at(root)
    refuse_unless_analyzed(workspace)
    path = summary_path(workspace)
    try:
        digest = msgspec.convert(read_json(path), Digest)
    except msgspec.ValidationError as error:
        raise DataError(
            thing=path,
            problem=f"lacks what is compared ({error})",
            expected="the summary of an analysis by this version of lowmem",
            todo=_REMEDY,
        ) from error
    store = workspace.analysis
    return Portrait(
        name=workspace.root.name,
        digest=digest,
        importance=_read(store, "explained_variance_ratio", digest.n_features),
        overlaps=_read(store / "pairs", "contour_iou", digest.pairs.n_measured),
    )


def _read(store: Path, name: str, n_values: int) -> Floats:
    with RowReader.open(store, name) as reader:
        if reader.shape != (n_values,) or reader.dtype.kind != "f":
            raise DataError(
                thing=store / name,
                problem=f"has the shape {reader.shape} and the type {reader.dtype}",
                expected=f"{n_values} numbers, as its summary says",
                todo=_REMEDY,
            )
        return np.asarray(reader.read(0, n_values), np.float64)

"""Two studies side by side, as a table of measures."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from lowmem_jobs.stats.ellipses import mass_within
from lowmem_jobs.stats.plane import COVERAGE_SIGMAS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lowmem_jobs.analyze.digest import Components, Digest, Portrait

    Measures = Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measure of both studies.

    Attributes
    ----------
    measure
        Its name.
    here, there
        Its value in this study and in the other; None where undefined.
    gaussian
        What a Gaussian of unlimited rows has; None where it has no value of its own.
    """

    measure: str
    here: float | None
    there: float | None
    gaussian: float | None

    @property
    def difference(self) -> float | None:
        """Here less there."""
        if self.here is None or self.there is None:
            return None
        return self.here - self.there


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two studies.

    Attributes
    ----------
    here, there
        This study and the other.
    """

    here: Portrait
    there: Portrait

    @property
    def names(self) -> tuple[str, str]:
        """What both are called; told apart where their workspaces have one name."""
        names = (self.here.name, self.there.name)
        return names if names[0] != names[1] else (f"{names[0]} (here)", names[1])

    @property
    def rows(self) -> list[Row]:
        """The measures of both."""
        here, there = measures_of(self.here.digest), measures_of(self.there.digest)
        return [
            Row(
                measure=name,
                here=value,
                there=there.get(name),
                gaussian=_GAUSSIAN.get(name),
            )
            for name, value in here.items()
        ]

    @property
    def unlike(self) -> list[str]:
        """Ways in which the studies were made differently, not what they found."""
        here, there = _making(self.here.digest), _making(self.there.digest)
        return [name for name, value in here.items() if there[name] != value]

    def table(self) -> dict[str, list[Any]]:
        """Return the columns of comparison.csv."""
        names = ("measure", "here", "there", "difference", "gaussian")
        return {name: [getattr(row, name) for row in self.rows] for name in names}

    def lines(self) -> list[str]:
        """Return the table as text, for the screen."""
        head = f"{'':<36}{self.names[0]:>14}{self.names[1]:>14}{'Gaussian':>12}"
        body = [
            f"{row.measure:<36}{_text(row.here):>14}{_text(row.there):>14}"
            f"{_text(row.gaussian):>12}"
            for row in self.rows
        ]
        made = f"made differently: {', '.join(self.unlike)}" if self.unlike else ""
        return [head, *body, *([made] if made else [])]

    def summary(self) -> dict[str, Any]:
        """Return what ``summary.json`` says of it."""
        columns = ("here", "there", "difference", "gaussian")
        return {
            "workspace": self.there.name,
            "unlike": self.unlike,
            "measures": {
                row.measure: {name: getattr(row, name) for name in columns}
                for row in self.rows
            },
        }


_GAUSSIAN = {
    "radius_kolmogorov": 0.0,
    "radius_mardia_ratio": 1.0,
    "radius_mardia_errors": 0.0,
    "projections_kolmogorov": 0.0,
    **{
        f"components_{frame}_{name}": 0.0
        for frame in ("raw", "pca")
        for name in ("kolmogorov", "abs_skewness", "abs_excess_kurtosis")
    },
    "pairs_mardia_skewness": 0.0,
    "pairs_mardia_kurtosis": 8.0,
    **{f"pairs_coverage_{k:g}sigma": mass_within(k) for k in COVERAGE_SIGMAS},
    "pairs_contour_iou": 1.0,
    "pairs_contour_offset": 0.0,
    "pairs_total_variation": 0.0,
}


def measures_of(digest: Digest) -> Measures:
    """Return the measures of one study that need no common unit with the other's."""
    return dict(_measures(digest))


def _measures(digest: Digest) -> Iterator[tuple[str, float | None]]:
    yield "n_rows_kept", digest.n_rows_kept
    yield "n_features", digest.n_features
    yield "effective_dimension", digest.effective_dimension
    yield "effective_share", digest.effective_dimension / digest.n_features
    for share, number in digest.components_for_variance.items():
        yield f"components_for_{share}", number
    yield "largest_correlation_raw", digest.largest_correlation_raw
    yield from _radius_measures(digest)
    yield "projections_kolmogorov", digest.projections.kolmogorov.median
    yield from _component_measures("raw", digest.components_raw)
    yield from _component_measures("pca", digest.components_pca)
    yield from _pair_measures(digest)
    features = digest.features
    yield "features_r_squared", _median(features.r_squared) if features else None
    unseen = _median(features.r_squared_held_out) if features else None
    yield "features_r_squared_held_out", unseen


def _radius_measures(digest: Digest) -> Iterator[tuple[str, float | None]]:
    radius = digest.radius
    found, expected = radius.mardia_kurtosis, radius.mardia_kurtosis_gaussian
    yield "radius_kolmogorov", radius.kolmogorov
    yield "radius_mardia_ratio", None if found is None else found / expected
    error = radius.mardia_kurtosis_standard_error
    yield "radius_mardia_errors", None if found is None else (found - expected) / error


def _component_measures(
    frame: str, components: Components
) -> Iterator[tuple[str, float | None]]:
    yield f"components_{frame}_kolmogorov", _median(components.kolmogorov)
    yield f"components_{frame}_abs_skewness", _magnitude(components.skewness)
    kurtosis = components.excess_kurtosis
    yield f"components_{frame}_abs_excess_kurtosis", _magnitude(kurtosis)


def _pair_measures(digest: Digest) -> Iterator[tuple[str, float | None]]:
    pairs = digest.pairs
    for name in ("abs_rho", "mardia_skewness", "mardia_kurtosis"):
        yield f"pairs_{name}", getattr(pairs, name).median
    for sigma, share in pairs.coverage.items():
        yield f"pairs_coverage_{sigma}", share.median
    for name in ("contour_iou", "contour_offset", "total_variation"):
        yield f"pairs_{name}", getattr(pairs, name).median


def _median(values: list[float | None]) -> float | None:
    """Return the median of the values that are defined."""
    defined = [value for value in values if value is not None]
    return median(defined) if defined else None


def _magnitude(values: list[float | None]) -> float | None:
    """Return the median of the magnitudes that are defined."""
    return _median([value if value is None else abs(value) for value in values])


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _making(digest: Digest) -> dict[str, object]:
    return {
        "n_rows_kept": digest.n_rows_kept,
        "n_features": digest.n_features,
        "trim_fwhm": digest.trimming.factor,
        "standardise": digest.standardise,
        "frame": digest.pairs.frame,
        "pairs": digest.pairs.selection,
    }

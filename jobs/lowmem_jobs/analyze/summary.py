"""The numbers of an analysis by name, for summary.json and for the report."""

from __future__ import annotations

import json
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import chi2

from lowmem_jobs.analyze.counting import SCORES
from lowmem_jobs.stats.density import Smoother
from lowmem_jobs.stats.ellipses import mass_within
from lowmem_jobs.stats.plane import COVERAGE_SIGMAS
from lowmem_jobs.stats.principal import principal_axes
from lowmem_jobs.stats.projections import N_DIRECTIONS
from lowmem_jobs.stats.trimming import expected_survival

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowmem_jobs.analyze.axis_rotation import Turning
    from lowmem_jobs.analyze.core import Core
    from lowmem_jobs.analyze.study import Before, Study, View
    from lowmem_jobs.stats.principal import PrincipalAxes
    from lowmem_jobs.stats.radius import RadiusSample

    Floats = NDArray[np.float64]

_SHARES = (0.8, 0.9, 0.95, 0.99)
_QUANTILES = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
_N_RANKED = 10
_SCALARS = (
    "n_rows",
    "n_rows_kept",
    "n_features",
    "solver",
    "effective_dimension",
    "largest_correlation_raw",
    "largest_correlation_pca",
)


def summary_of(study: Study) -> dict[str, Any]:
    """Return every number of the study that is not an array of its own."""
    return {
        "n_rows": study.n_rows,
        "n_rows_kept": study.moments.n_samples,
        "n_features": study.n_features,
        "constant_components": _constant(study),
        "trimming": _trimming(study),
        "before_trimming": study.before and _before(study.before),
        "turning": study.turning and _turning(study.turning),
        "standardise": study.solved.is_standardised,
        "solver": study.solved.solver,
        "solver_eigenvalue_difference": study.solved.difference,
        "rank": study.axes.rank,
        "effective_dimension": study.axes.effective_dimension,
        "components_for_variance": _components_for_variance(study.axes),
        "largest_correlation_raw": _largest_off_diagonal(study.raw.rho),
        "largest_correlation_pca": _largest_off_diagonal(study.pca.rho),
        "components_raw": _components(
            study.raw, study.moments.skewness, study.moments.kurtosis
        ),
        "components_pca": _components(
            study.pca, study.pca_skewness, study.pca_kurtosis
        ),
        "correlation_axes": _correlation_axes(study),
        "radius": _radius(study.radius),
        "radius_of_all_rows": _radius(study.radius_of_all or study.radius),
        "core": study.core and _core(study.core),
        "projections": {
            "n_directions": N_DIRECTIONS,
            "kolmogorov": _spread(study.projections.kolmogorov),
        },
        "pairs": _pairs(study),
        "features": _features(study),
        "against": None,
    }


def to_json(summary: dict[str, Any]) -> bytes:
    """Return ``summary`` as JSON; what is undefined becomes null."""
    text = json.dumps(plain(summary), indent=2, allow_nan=False, ensure_ascii=False)
    return text.encode() + b"\n"


def headline(summary: dict[str, Any]) -> dict[str, Any]:
    """Return the few numbers that the report shows."""
    numbers: dict[str, Any] = plain({name: summary[name] for name in _SCALARS})
    numbers["radius_kolmogorov"] = plain(summary["radius"]["kolmogorov"])
    numbers["pairs_measured"] = summary["pairs"]["n_measured"]
    numbers["median_contour_iou"] = plain(summary["pairs"]["contour_iou"]["median"])
    if summary["against"]:
        numbers["against"] = summary["against"]["workspace"]
    return numbers


def plain(value: Any) -> Any:  # noqa: ANN401 - JSON values
    """Return numbers and arrays as JSON can hold them: None for what is not finite."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    is_undefined = isinstance(value, float) and not isfinite(value)
    return None if is_undefined else value


def _constant(study: Study) -> list[int]:
    return [int(index) for index in np.flatnonzero(study.moments.deviation == 0)]


def _trimming(study: Study) -> dict[str, Any]:
    trimming, d = study.trimming, study.n_features
    table = [
        {
            "factor": cut,
            "survivors": int(kept),
            "expected_if_independent_gaussian": study.n_rows
            * expected_survival(cut, d),
        }
        for cut, kept in zip(trimming.cuts, trimming.survivors, strict=True)
    ]
    return {
        "factor": trimming.chosen,
        "n_before": study.n_rows,
        "n_after": study.moments.n_samples,
        "statistics_are_of": "all rows"
        if trimming.chosen is None
        else "surviving rows",
        "survivors": table,
    }


def _before(before: Before) -> dict[str, Any]:
    """Return what all rows were like, of which not all are kept."""
    moments, axes = before.moments, principal_axes(before.moments.covariance)
    return {
        "effective_dimension": axes.effective_dimension,
        "components_for_variance": _components_for_variance(axes),
        "largest_correlation_raw": _largest_off_diagonal(before.view.rho),
        "components_raw": _components(before.view, moments.skewness, moments.kurtosis),
    }


def _turning(turning: Turning) -> list[dict[str, Any]]:
    """Return how the axes 2 and 3 turned from those of all rows, for each cut."""
    return [_turned(turning, number) for number in range(len(turning.planes))]


def _turned(turning: Turning, number: int) -> dict[str, Any]:
    plane, counts = turning.planes[number], turning.counts[number]
    turn, tilt = turning.turn(number)
    smoother = Smoother(n_samples=plane.n_rows)
    scores = smoother.scores(smoother.density(counts), 0.0)
    return {
        "factor": plane.factor,
        "survivors": plane.n_rows,
        "variances": np.square(plane.deviation),
        "turn": turn,
        "tilt": tilt,
        "contour_iou": scores.contour_iou,
    }


def _largest_off_diagonal(rho: Floats) -> float | None:
    off = np.abs(rho)
    np.fill_diagonal(off, np.nan)
    return None if np.isnan(off).all() else float(np.nanmax(off))


def _components(view: View, skewness: Floats, kurtosis: Floats) -> dict[str, Any]:
    """Return one list for each measure, in the order of the components."""
    n = view.histograms.counts[0].sum()
    return {
        "gaussian_mean": view.fits.mean * view.frame.deviation,
        "gaussian_sigma": view.fits.sigma * view.frame.deviation,
        "fwhm": view.fits.fwhm * view.frame.deviation,
        "is_fitted": view.fits.is_fitted,
        "kolmogorov": view.fits.kolmogorov,
        "skewness": skewness,
        "excess_kurtosis": kurtosis,
        "jarque_bera": n / 6 * (np.square(skewness) + np.square(kurtosis) / 4),
        "means_are_relative_to": "the mean of the component",
    }


def _components_for_variance(axes: PrincipalAxes) -> dict[str, int]:
    return {f"{share:g}": axes.n_components_for(share) for share in _SHARES}


def _correlation_axes(study: Study) -> dict[str, Any]:
    """Return what the axes of standardised components would be like."""
    is_varied = study.moments.deviation > 0
    if not is_varied.any():
        return {"effective_dimension": None, "components_for_variance": None}
    axes = principal_axes(study.raw.rho[np.ix_(is_varied, is_varied)])
    return {
        "effective_dimension": axes.effective_dimension,
        "components_for_variance": _components_for_variance(axes),
    }


def _core(core: Core) -> dict[str, Any]:
    return {
        "quantile": core.quantile,
        "n_iterations": core.n_iterations,
        "is_settled": core.is_settled,
        "n_inside": core.n_inside,
        "variance_ratio": core.variance_ratio,
        "radius_from_core": _radius(core.radius),
    }


def _radius(radius: RadiusSample) -> dict[str, Any]:
    shares = np.array(_QUANTILES)
    return {
        "n_dimensions": radius.n_dimensions,
        "kolmogorov": radius.kolmogorov,
        "mardia_kurtosis": radius.mardia_kurtosis,
        "mardia_kurtosis_gaussian": radius.mardia_expected,
        "mardia_kurtosis_standard_error": radius.mardia_standard_error,
        "quantile_shares": shares,
        "quantiles": np.sqrt(radius.quantiles(shares)),
        "quantiles_gaussian": np.sqrt(chi2.ppf(shares, radius.n_dimensions)),
    }


def _features(study: Study) -> dict[str, Any] | None:
    recovery = study.recovery
    if recovery is None:
        return None
    return {
        "name": recovery.names,
        "r_squared": recovery.r_squared,
        "r_squared_held_out": recovery.r_squared_held_out,
        "skewness": recovery.skewness,
        "excess_kurtosis": recovery.kurtosis,
        "r_squared_by_chance": study.axes.rank / study.moments.n_samples,
    }


def _pairs(study: Study) -> dict[str, Any]:
    selection, measures = study.selection, study.measures
    return {
        "frame": study.frame,
        "selection": selection.rule,
        "n_measured": selection.i.size,
        "n_left_out": selection.n_possible - selection.i.size,
        "n_undefined": int(np.isnan(study.iou).sum()),
        "abs_rho": _spread(np.abs(measures.rho)),
        "mardia_skewness": _spread(measures.skewness),
        "mardia_kurtosis": _spread(measures.kurtosis),
        "coverage": {
            f"{k:g}sigma": {
                **_spread(study.coverage[:, column]),
                "gaussian": mass_within(k),
            }
            for column, k in enumerate(COVERAGE_SIGMAS)
        },
        **{name: _spread(study.scores[:, k]) for k, name in enumerate(SCORES)},
        "best": _ranked(study, -study.iou),
        "worst": _ranked(study, study.iou),
    }


def _spread(values: Floats) -> dict[str, float | None]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return {"minimum": None, "median": None, "maximum": None}
    return {
        "minimum": float(finite.min()),
        "median": float(np.median(finite)),
        "maximum": float(finite.max()),
    }


def _ranked(study: Study, key: Floats) -> list[dict[str, Any]]:
    """Return the first pairs in the order of ``key``; undefined ones come last."""
    order = np.argsort(key, kind="stable")[:_N_RANKED]
    return [
        {
            "i": study.selection.i[k],
            "j": study.selection.j[k],
            "rho": study.measures.rho[k],
            "contour_iou": study.iou[k],
        }
        for k in order
        if np.isfinite(study.iou[k])
    ]

"""The principal axes: of which matrix, by which solver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem_jobs.analyze.component_frames import SolvedAxes, raw_frame
from lowmem_jobs.stats.principal import PrincipalAxes, principal_axes

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from numpy.typing import NDArray

    from lowmem import CommitPoint
    from lowmem_jobs.analyze.retained_rows import RetainedRows
    from lowmem_jobs.analyze.stages import AnalysisState, Arrays
    from lowmem_jobs.analyze.vectors import Latents
    from lowmem_jobs.stats.moments import Moments

    Floats = NDArray[np.float64]


def solve_axes(
    state: AnalysisState,
    latents: Latents,
    kept: RetainedRows,
    options: Mapping[str, Any],
) -> Generator[CommitPoint, None, SolvedAxes]:
    """Find the axes; compare the solvers where both were used."""
    is_standardised: bool = options["standardise"]
    moments = kept.moments
    if state.is_done("axes"):
        found = state.outcome("axes")
    else:
        exact = principal_axes(_matrix(moments, is_standardised=is_standardised))
        axes = exact
        if options["pca"] == "incremental":
            axes = yield from _incremental(
                state, latents, kept, is_standardised=is_standardised
            )
        found = yield from state.end("axes", _arrays(axes, exact))
    frame = PrincipalAxes(
        eigenvalues=np.asarray(found["eigenvalues"]),
        components=np.asarray(found["components"]),
    )
    return SolvedAxes(
        covariance=principal_axes(moments.covariance) if is_standardised else frame,
        frame=frame,
        is_standardised=is_standardised,
        solver="incremental" if options["pca"] == "incremental" else "covariance",
        difference=float(found["difference"]),
    )


def _matrix(moments: Moments, *, is_standardised: bool) -> Floats:
    """Return the matrix whose axes are wanted; a constant has no correlation at all."""
    if not is_standardised:
        return moments.covariance
    return np.nan_to_num(moments.correlation, nan=0.0)


def _incremental(
    state: AnalysisState,
    latents: Latents,
    kept: RetainedRows,
    *,
    is_standardised: bool,
) -> Generator[CommitPoint, None, PrincipalAxes]:
    # scikit-learn takes some 60 MB, for a solver that is rarely asked for.
    from lowmem_jobs.analyze.incremental import (  # noqa: PLC0415
        IncrementalSweep,
        incremental_axes,
    )

    n, frame = kept.moments.n_samples, raw_frame(kept.moments)

    def keep(block: Floats) -> Floats:
        rows = kept.cut.keep(block)
        # The solver divides by n - 1, a correlation by n.
        shrunk = np.sqrt(1 - 1 / n)
        return shrunk * frame.standardised(rows) if is_standardised else rows

    sweep = IncrementalSweep(n_rows=n, n_features=latents.n_features, keep=keep)
    yield from state.passes("axes", latents, sweep)
    return incremental_axes(sweep.arrays())


def _arrays(axes: PrincipalAxes, exact: PrincipalAxes) -> Arrays:
    largest = max(float(exact.eigenvalues[0]), np.finfo(np.float64).tiny)
    difference = np.abs(axes.eigenvalues - exact.eigenvalues).max() / largest
    return {
        "eigenvalues": axes.eigenvalues,
        "components": axes.components,
        "difference": np.array(difference),
    }

"""The stages of an analysis, in order; each is cut and continued by its `AnalysisState`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from lowmem_jobs.analyze.axes import solve_axes
from lowmem_jobs.analyze.component_columns import Columns
from lowmem_jobs.analyze.component_frames import raw_frame
from lowmem_jobs.analyze.digest import read_portrait
from lowmem_jobs.analyze.figure_selection import pages
from lowmem_jobs.analyze.job import refuse_absent_pairs
from lowmem_jobs.analyze.known_features import TruthSweep, has_truth, open_truth
from lowmem_jobs.analyze.pair_selection import (
    PAIRS_PER_TILE,
    measure_pairs,
    select_pairs,
)
from lowmem_jobs.analyze.results import Results
from lowmem_jobs.analyze.retained_rows import keep_rows
from lowmem_jobs.analyze.stages import AnalysisState
from lowmem_jobs.analyze.study import Study, View
from lowmem_jobs.analyze.sweeps import (
    ShapeSweep,
    histograms_from,
    projections_from,
    radius_from,
)
from lowmem_jobs.analyze.vectors import open_latents
from lowmem_jobs.model.latents_origin import origin_of
from lowmem_jobs.stats.gaussian import fit_gaussians
from lowmem_jobs.stats.pairs import PairSums, pair_measures

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from lowmem import CommitPoint, Context, Result
    from lowmem_jobs.analyze.component_frames import ComponentFrame, SolvedAxes
    from lowmem_jobs.analyze.known_features import Recovery
    from lowmem_jobs.analyze.retained_rows import RetainedRows
    from lowmem_jobs.analyze.stages import Arrays
    from lowmem_jobs.analyze.vectors import Latents
    from lowmem_jobs.model.latents_origin import LatentsOrigin
    from lowmem_jobs.stats.moments import Moments

    Floats = NDArray[np.float64]

_N_SWEEPS = 8
_N_FIGURES = 20  # beside the pages of components


def work(context: Context) -> Generator[CommitPoint, None, Result]:
    """Analyze the latent vectors; see the package for the stages."""
    given = context.options["latents"]
    path = context.workspace.latents if given is None else Path(given)
    # How a product is shared out among threads changes its last bits, and the result is
    # not to depend on the machine's number of cores.
    with (
        threadpool_limits(limits=1, user_api="blas"),
        open_latents(path, is_given=given is not None) as latents,
    ):
        return (yield from _Analysis(context, latents, origin_of(path)).run())


class _Analysis:
    """One run of the job, from its last commit."""

    def __init__(
        self, context: Context, latents: Latents, origin: LatentsOrigin | None
    ) -> None:
        self._context, self._origin = context, origin
        self._options = context.options
        self._latents = latents
        refuse_absent_pairs(self._options["show_pairs"], latents.n_features)
        against: str | None = self._options["against"]
        # Read first: what cannot be compared with is refused before the work, not after.
        self._other = None if against is None else read_portrait(Path(against))
        n_tiles = latents.n_features * (latents.n_features - 1) // 2 // PAIRS_PER_TILE
        n_pages = 2 * len(list(pages(latents.n_features)))
        n_figures = (_N_FIGURES + n_pages) * self._options["figures"]
        n_steps = _N_SWEEPS * latents.n_blocks + n_tiles + n_figures
        self._course = AnalysisState(context, n_steps=n_steps)

    def run(self) -> Generator[CommitPoint, None, Result]:
        """Go through all stages."""
        kept = yield from keep_rows(self._course, self._latents, self._options)
        solved = yield from solve_axes(self._course, self._latents, kept, self._options)
        pca = solved.pca_frame(kept.moments)
        frames = {"raw": raw_frame(kept.moments), "pca": pca}
        columns = Columns(
            self._context.staging / "columns.f32",
            n_rows=kept.moments.n_samples,
            n_columns=self._latents.n_features,
        )
        shape = yield from self._shape(kept, frames, columns)
        recovery = yield from self._recovery(kept, frames["pca"])
        study = yield from self._study(kept, solved, frames, (shape, columns))
        study = replace(
            study,
            recovery=recovery,
            radius_of_all=kept.radius_of_all,
            core=kept.core,
            before=kept.before,
            turning=kept.turning,
        )
        results = Results(
            self._context,
            self._course,
            self._latents,
            kept=kept,
            columns=columns,
            origin=self._origin,
        )
        return (yield from results.of(study, self._other))

    def _shape(
        self, kept: RetainedRows, frames: dict[str, ComponentFrame], columns: Columns
    ) -> Generator[CommitPoint, None, Arrays]:
        sweep = ShapeSweep(
            raw=frames["raw"],
            pca=frames["pca"],
            chosen=frames[self._options["frame"]],
            keep=kept.cut.keep,
            columns=columns,
            seed=self._context.seed,
        )
        return (yield from self._course.sweep("shape", self._latents, sweep))

    def _recovery(
        self, kept: RetainedRows, frame: ComponentFrame
    ) -> Generator[CommitPoint, None, Recovery | None]:
        """Compare with the features behind the images, where these are z's own."""
        images = self._context.workspace.images
        is_own = self._options["latents"] is None and (
            self._origin is None or self._origin.is_of(images)
        )
        if not (is_own and has_truth(images, self._latents.n_rows)):
            yield from self._course.skip_to("truth")
            return None
        with open_truth(images) as reader:
            sweep = TruthSweep(reader, frame=frame, is_kept=kept.cut.is_kept)
            sums = yield from self._course.sweep("truth", self._latents, sweep)
            return sweep.recovery(sums)

    def _study(
        self,
        kept: RetainedRows,
        solved: SolvedAxes,
        frames: dict[str, ComponentFrame],
        shaped: tuple[Arrays, Columns],
    ) -> Generator[CommitPoint, None, Study]:
        """Measure the pairs and put everything together."""
        shape, columns = shaped
        name: str = self._options["frame"]
        sums = PairSums.from_arrays(shape)
        views = _views(kept.moments, frames, shape)
        selection = select_pairs(self._options["pairs"], name, views["raw"].rho)
        measures = pair_measures(sums, selection.i, selection.j)
        found = yield from measure_pairs(
            self._course,
            selection,
            rho=measures.rho,
            columns=columns,
            settings=self._context.settings,
        )
        n, has_spread = sums.n_samples, frames["pca"].deviation > 0
        powers = np.where(has_spread, shape["powers"] / n, np.nan)
        return Study(
            n_rows=self._latents.n_rows,
            moments=kept.moments,
            trimming=kept.trimming,
            solved=solved,
            raw=views["raw"],
            pca=views["pca"],
            pca_skewness=powers[0],
            pca_kurtosis=powers[1] - 3.0,
            radius=radius_from(shape, max(int(has_spread.sum()), 1)),
            projections=projections_from(shape),
            frame=name,
            selection=selection,
            measures=measures,
            coverage=np.asarray(found["coverage"]),
            scores=np.asarray(found["scores"]),
        )


def _views(
    moments: Moments, frames: dict[str, ComponentFrame], shape: Arrays
) -> dict[str, View]:
    """Return the components of both frames."""
    products = np.asarray(shape.get("products", shape["p11"]))
    rho = {"raw": moments.correlation, "pca": _normalised(products)}
    histograms = {name: histograms_from(shape[f"histogram_{name}"]) for name in frames}
    return {
        name: View(
            frame=frames[name],
            histograms=histograms[name],
            fits=fit_gaussians(histograms[name]),
            rho=rho[name],
        )
        for name in frames
    }


def _normalised(products: Floats) -> Floats:
    """Return the correlation of sums of products; NaN for components without spread."""
    power = np.diagonal(products)
    scale = np.sqrt(np.where(power > 0, power, np.nan))
    return np.clip(products / scale / scale[:, None], -1.0, 1.0)

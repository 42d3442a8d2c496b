"""The stages of an analysis, in order; each is cut and continued by its `Course`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from lowmem.base.errors import DataError
from lowmem.base.files import make_folder, sync_tree, write_file
from lowmem.protocol.job import Result
from lowmem.stats.gaussian import fit_gaussians
from lowmem.stats.moments import Moments
from lowmem.stats.pairs import PairSums, pair_measures
from lowmem.stats.principal import PrincipalAxes, principal_axes
from lowmem.stats.trimming import STUDY_FACTORS
from lowmem_jobs.analyze.columns import Columns
from lowmem_jobs.analyze.core import measure_core, measure_radius
from lowmem_jobs.analyze.course import CORE_STAGES, Course
from lowmem_jobs.analyze.frames import pca_frame, raw_frame
from lowmem_jobs.analyze.gallery import figures_of
from lowmem_jobs.analyze.pairs import PAIRS_PER_TILE, measure_pairs, select_pairs
from lowmem_jobs.analyze.portraits import Source, choose_portraits
from lowmem_jobs.analyze.source import open_latents
from lowmem_jobs.analyze.store import pair_table, write_store
from lowmem_jobs.analyze.study import Study, Trimming, View
from lowmem_jobs.analyze.summary import headline, summary_of, to_csv, to_json
from lowmem_jobs.analyze.sweeps import (
    ColumnsSweep,
    HistogramSweep,
    MomentsSweep,
    ShapeSweep,
    SurvivorsSweep,
    histograms_from,
    projections_from,
    radius_from,
)
from lowmem_jobs.analyze.truth import TruthSweep, has_truth, open_truth

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from lowmem.protocol.job import CommitPoint, Context
    from lowmem.stats.radius import RadiusSample
    from lowmem_jobs.analyze.core import Core
    from lowmem_jobs.analyze.course import Arrays
    from lowmem_jobs.analyze.frames import Frame
    from lowmem_jobs.analyze.portraits import Pair
    from lowmem_jobs.analyze.source import Latents
    from lowmem_jobs.analyze.truth import Recovery

    Floats = NDArray[np.float64]

_N_SWEEPS = 7
_N_FIGURES = 17


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
        return (yield from _Analysis(context, latents).run())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """The rows that survive: how to pick them, and their moments."""

    keep: Callable[[Floats], Floats]
    is_kept: Callable[[Floats], NDArray[np.bool_]]
    moments: Moments
    trimming: Trimming
    radius_of_all: RadiusSample | None
    core: Core | None


class _Analysis:
    """One run of the job, from its last commit."""

    def __init__(self, context: Context, latents: Latents) -> None:
        self._context = context
        self._options = context.options
        self._latents = latents
        n_tiles = latents.n_features * (latents.n_features - 1) // 2 // PAIRS_PER_TILE
        n_steps = _N_SWEEPS * latents.n_blocks + n_tiles + _N_FIGURES
        self._course = Course(context, n_steps=n_steps)

    def run(self) -> Generator[CommitPoint, None, Result]:
        """Go through all stages."""
        kept = yield from self._kept_rows()
        axes, solver, difference = yield from self._axes(kept)
        frames = {"raw": raw_frame(kept.moments), "pca": pca_frame(kept.moments, axes)}
        columns = self._columns("columns", kept, self._latents.n_features)
        shape = yield from self._shape(kept, frames, columns)
        recovery = yield from self._recovery(kept, frames["pca"])
        study = yield from self._study(
            kept, (axes, solver, difference), frames, (shape, columns)
        )
        study = replace(
            study, recovery=recovery, radius_of_all=kept.radius_of_all, core=kept.core
        )
        return (yield from self._results(study, kept, columns))

    def _kept_rows(self) -> Generator[CommitPoint, None, _Kept]:
        """Measure all rows, fit every component, and trim."""
        latents, course = self._latents, self._course
        sweep = MomentsSweep(latents.n_features, latents.refuse_unless_usable)
        everything = Moments.from_arrays(
            (yield from course.sweep("moments", latents, sweep))
        )
        frame = raw_frame(everything)
        counted = yield from course.sweep("histograms", latents, HistogramSweep(frame))
        fits = fit_gaussians(histograms_from(counted["counts"]))
        chosen: float | None = self._options["trim_fwhm"]
        cuts = tuple(sorted({*STUDY_FACTORS, *([chosen] if chosen else [])}))
        survivors = SurvivorsSweep(
            centre=frame.centre + fits.mean * frame.deviation,
            fwhm=fits.fwhm * frame.deviation,
            cuts=cuts,
            chosen=chosen,
        )
        found = yield from course.sweep("survivors", latents, survivors)
        moments = everything if chosen is None else Moments.from_arrays(found)
        self._refuse_too_few(moments, chosen)
        radius, core = yield from self._inner_core(everything)
        return _Kept(
            radius_of_all=radius,
            core=core,
            keep=survivors.keep,
            is_kept=survivors.is_kept,
            moments=moments,
            trimming=Trimming(
                chosen=chosen, cuts=cuts, survivors=np.asarray(found["survivors"])
            ),
        )

    def _inner_core(
        self, everything: Moments
    ) -> Generator[CommitPoint, None, tuple[RadiusSample | None, Core | None]]:
        """Look at all rows, where those that are kept are others or a core is wanted."""
        quantile: float | None = self._options["core"]
        stages = (self._course, self._latents, everything)
        if quantile is not None:
            return (yield from measure_core(*stages, quantile))
        if self._options["trim_fwhm"] is not None:
            return (yield from measure_radius(*stages)), None
        yield from self._course.skip_to(CORE_STAGES[-1])
        return None, None

    def _refuse_too_few(self, moments: Moments, chosen: float | None) -> None:
        if moments.n_samples < 2:  # noqa: PLR2004 - no spread without two
            raise DataError(
                thing=f"--trim-fwhm {chosen}",
                problem=f"keeps {moments.n_samples} of {self._latents.n_rows} rows",
                expected="2 rows or more",
                todo="Give a larger factor: the reference study took 1.25 to 1.8.",
            )

    def _axes(
        self, kept: _Kept
    ) -> Generator[CommitPoint, None, tuple[PrincipalAxes, str, float]]:
        """Find the principal axes; compare the solvers where both were used."""
        course, moments = self._course, kept.moments
        if course.is_done("axes"):
            found = course.outcome("axes")
        else:
            exact = principal_axes(moments.covariance)
            axes = exact
            if self._options["pca"] == "incremental":
                axes = yield from self._incremental_axes(kept)
            found = yield from course.end("axes", _axes_arrays(axes, exact))
        axes = PrincipalAxes(
            eigenvalues=np.asarray(found["eigenvalues"]),
            components=np.asarray(found["components"]),
        )
        is_exact = self._options["pca"] != "incremental"
        solver = "covariance" if is_exact else "incremental"
        return axes, solver, float(found["difference"])

    def _incremental_axes(
        self, kept: _Kept
    ) -> Generator[CommitPoint, None, PrincipalAxes]:
        # scikit-learn takes some 60 MB, for a solver that is rarely asked for.
        from lowmem_jobs.analyze.incremental import (  # noqa: PLC0415
            IncrementalSweep,
            incremental_axes,
        )

        sweep = IncrementalSweep(
            n_rows=kept.moments.n_samples,
            n_features=self._latents.n_features,
            keep=kept.keep,
        )
        yield from self._course.passes("axes", self._latents, sweep)
        return incremental_axes(sweep.arrays())

    def _columns(self, name: str, kept: _Kept, n_columns: int) -> Columns:
        path = self._context.staging / f"{name}.f32"
        return Columns(path, n_rows=kept.moments.n_samples, n_columns=n_columns)

    def _shape(
        self, kept: _Kept, frames: dict[str, Frame], columns: Columns
    ) -> Generator[CommitPoint, None, Arrays]:
        sweep = ShapeSweep(
            raw=frames["raw"],
            pca=frames["pca"],
            chosen=frames[self._options["frame"]],
            keep=kept.keep,
            columns=columns,
            seed=self._context.seed,
        )
        return (yield from self._course.sweep("shape", self._latents, sweep))

    def _recovery(
        self, kept: _Kept, frame: Frame
    ) -> Generator[CommitPoint, None, Recovery | None]:
        """Compare with the features behind the images, where these are z's own."""
        images = self._context.workspace.images
        is_own = self._options["latents"] is None
        if not (is_own and has_truth(images, self._latents.n_rows)):
            yield from self._course.skip_to("truth")
            return None
        with open_truth(images) as reader:
            sweep = TruthSweep(reader, frame=frame, is_kept=kept.is_kept)
            sums = yield from self._course.sweep("truth", self._latents, sweep)
            return sweep.recovery(sums)

    def _study(
        self,
        kept: _Kept,
        solved: tuple[PrincipalAxes, str, float],
        frames: dict[str, Frame],
        shaped: tuple[Arrays, Columns],
    ) -> Generator[CommitPoint, None, Study]:
        """Measure the pairs and put everything together."""
        shape, columns = shaped
        axes, solver, difference = solved
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
            n_rows=sums.n_samples,
            block_rows=self._context.settings["pair_rows"],
        )
        n, has_spread = sums.n_samples, frames["pca"].deviation > 0
        powers = np.where(has_spread, shape["powers"] / n, np.nan)
        return Study(
            n_rows=self._latents.n_rows,
            moments=kept.moments,
            trimming=kept.trimming,
            solver=solver,
            axes=axes,
            solver_difference=difference,
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

    def _results(
        self, study: Study, kept: _Kept, columns: Columns
    ) -> Generator[CommitPoint, None, Result]:
        staging = self._context.staging
        folder = staging / "analysis"
        make_folder(folder / "figures")
        yield from self._figures(study, kept, columns)
        summary = summary_of(study)
        write_file(folder / "summary.json", to_json(summary))
        write_file(folder / "pairs.csv", to_csv(pair_table(study)))
        write_store(staging / "analysis.zarr", study)
        return Result(publish=["analysis.zarr", "analysis"], summary=headline(summary))

    def _figures(
        self, study: Study, kept: _Kept, columns: Columns
    ) -> Generator[CommitPoint, None, None]:
        """Draw all figures; the pairs shown are looked up in the other frame too."""
        if not self._options["figures"]:
            return
        portraits = choose_portraits(
            n_features=study.n_features,
            rho=study.raw.rho,
            i=study.selection.i,
            j=study.selection.j,
            iou=study.iou,
        )
        sources = yield from self._sources(study, portraits, kept, columns)
        folder = self._context.staging / "analysis" / "figures"
        figures = figures_of(study, portraits, sources)
        n_drawn, _ = self._course.resumed()
        for number, (name, draw) in enumerate(figures.items(), start=1):
            if number <= n_drawn:
                continue
            draw(folder / f"{name}.png")
            synced = partial(sync_tree, folder)
            yield from self._course.step("results", number, dict, synced)

    def _sources(
        self,
        study: Study,
        portraits: dict[str, list[Pair]],
        kept: _Kept,
        columns: Columns,
    ) -> Generator[CommitPoint, None, list[Source]]:
        """Return the columns of both frames, raw first."""
        everything = {k: k for k in range(study.n_features)}
        here = Source(view=study.view(study.frame), columns=columns, place=everything)
        shown = sorted({k for pairs in portraits.values() for p in pairs for k in p})
        if not shown:
            return []
        other = study.pca if study.frame == "raw" else study.raw
        some = self._columns("portraits", kept, len(shown))
        sweep = ColumnsSweep(
            frame=other.frame, chosen=np.array(shown), keep=kept.keep, columns=some
        )
        yield from self._course.sweep("portraits", self._latents, sweep)
        place = {component: k for k, component in enumerate(shown)}
        there = Source(view=other, columns=some, place=place)
        return [here, there] if study.frame == "raw" else [there, here]


def _axes_arrays(axes: PrincipalAxes, exact: PrincipalAxes) -> Arrays:
    largest = max(float(exact.eigenvalues[0]), np.finfo(np.float64).tiny)
    difference = np.abs(axes.eigenvalues - exact.eigenvalues).max() / largest
    return {
        "eigenvalues": axes.eigenvalues,
        "components": axes.components,
        "difference": np.array(difference),
    }


def _views(
    moments: Moments, frames: dict[str, Frame], shape: Arrays
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

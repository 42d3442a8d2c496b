"""Which rows are kept, and what all of them look like before any is dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowmem.base import DataError
from lowmem_jobs.analyze.axis_rotation import (
    PAIR,
    Turning,
    TurningSweep,
    counts_from,
    planes_of,
    within,
)
from lowmem_jobs.analyze.component_frames import raw_frame
from lowmem_jobs.analyze.core import measure_core, measure_radius
from lowmem_jobs.analyze.job import MOST_TURNING
from lowmem_jobs.analyze.stages import CORE_STAGES
from lowmem_jobs.analyze.study import Before, Trimming, View
from lowmem_jobs.analyze.sweeps import (
    HistogramSweep,
    MomentsSweep,
    SurvivorsSweep,
    histograms_from,
    shells_from,
)
from lowmem_jobs.stats.gaussian import fit_gaussians
from lowmem_jobs.stats.moments import Moments
from lowmem_jobs.stats.trimming import STUDY_FACTORS, Cut

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from typing import Any

    from lowmem import CommitPoint
    from lowmem_jobs.analyze.axis_rotation import Plane
    from lowmem_jobs.analyze.core import Core
    from lowmem_jobs.analyze.stages import AnalysisState
    from lowmem_jobs.analyze.vectors import Latents
    from lowmem_jobs.stats.radius import RadiusSample


@dataclass(frozen=True, slots=True, kw_only=True)
class RetainedRows:
    """The rows that survive: how to pick them, and their moments.

    Attributes
    ----------
    cut
        Tells which rows survive.
    moments
        Of the rows that survive.
    trimming
        How many survive which cut.
    before
        All rows, where not all survive.
    turning
        How the axes 2 and 3 turn with the cut, if there are such.
    radius_of_all
        Of all rows, where that is another radius.
    core
        The inner core of all rows, if asked for.
    """

    cut: Cut
    moments: Moments
    trimming: Trimming
    before: Before | None
    turning: Turning | None
    radius_of_all: RadiusSample | None
    core: Core | None


def keep_rows(
    state: AnalysisState, latents: Latents, options: Mapping[str, Any]
) -> Generator[CommitPoint, None, RetainedRows]:
    """Measure all rows, fit every component, and trim."""
    sweep = MomentsSweep(latents.n_features, latents.refuse_unless_usable)
    everything = Moments.from_arrays(
        (yield from state.sweep("moments", latents, sweep))
    )
    frame = raw_frame(everything)
    counted = yield from state.sweep("histograms", latents, HistogramSweep(frame))
    histograms = histograms_from(counted["counts"])
    view = View(
        frame=frame,
        histograms=histograms,
        fits=fit_gaussians(histograms),
        rho=everything.correlation,
    )
    cut = Cut(
        centre=frame.centre + view.fits.mean * frame.deviation,
        fwhm=view.fits.fwhm * frame.deviation,
        factor=options["trim_fwhm"],
    )
    moments, trimming, planes = yield from _trim(state, latents, cut, everything)
    turning = yield from _turning(state, latents, cut, planes)
    radius, core = yield from _inner_core(state, latents, everything, options)
    return RetainedRows(
        cut=cut,
        moments=moments,
        trimming=trimming,
        before=None if cut.factor is None else Before(moments=everything, view=view),
        turning=turning,
        radius_of_all=radius,
        core=core,
    )


def _trim(
    state: AnalysisState, latents: Latents, cut: Cut, everything: Moments
) -> Generator[CommitPoint, None, tuple[Moments, Trimming, tuple[Plane, ...]]]:
    """Count survivors; return the moments of the chosen and the planes of all cuts."""
    chosen = cut.factor
    own = () if chosen is None else (chosen,)
    cuts = tuple(sorted({*STUDY_FACTORS, *own}))
    shell_cuts = cuts if latents.n_features <= MOST_TURNING else own
    sweep = SurvivorsSweep(cut=cut, cuts=cuts, shell_cuts=shell_cuts)
    found = yield from state.sweep("survivors", latents, sweep)
    shells = tuple(shells_from(found, len(shell_cuts)))
    moments = everything
    if chosen is not None:
        moments = next(m for f, m in within(shells, shell_cuts) if f == chosen)
    _refuse_too_few(moments, chosen, latents.n_rows)
    is_turning = max(PAIR) < latents.n_features <= MOST_TURNING
    planes = planes_of(within(shells, shell_cuts), everything) if is_turning else ()
    survivors = np.asarray(found["survivors"])
    return moments, Trimming(chosen=chosen, cuts=cuts, survivors=survivors), planes


def _turning(
    state: AnalysisState, latents: Latents, cut: Cut, planes: tuple[Plane, ...]
) -> Generator[CommitPoint, None, Turning | None]:
    """Count the survivors of every cut in the plane of their axes 2 and 3."""
    if not planes:
        yield from state.skip_to("turning")
        return None
    sweep = TurningSweep(cut, planes)
    found = yield from state.sweep("turning", latents, sweep)
    return Turning(planes=planes, counts=tuple(counts_from(found)))


def _inner_core(
    state: AnalysisState,
    latents: Latents,
    everything: Moments,
    options: Mapping[str, Any],
) -> Generator[CommitPoint, None, tuple[RadiusSample | None, Core | None]]:
    """Look at all rows, where those that are kept are others or a core is wanted."""
    quantile: float | None = options["core"]
    if quantile is not None:
        return (yield from measure_core(state, latents, everything, quantile))
    if options["trim_fwhm"] is not None:
        return (yield from measure_radius(state, latents, everything)), None
    yield from state.skip_to(CORE_STAGES[-1])
    return None, None


def _refuse_too_few(moments: Moments, chosen: float | None, n_rows: int) -> None:
    if moments.n_samples < 2:  # noqa: PLR2004 - no spread without two
        raise DataError(
            thing=f"--trim-fwhm {chosen}",
            problem=f"keeps {moments.n_samples} of {n_rows} rows",
            expected="2 rows or more",
            todo="Give a larger factor: the reference study took 1.25 to 1.8.",
        )

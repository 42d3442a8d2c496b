"""Which rows are kept, and what all of them look like before any is dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowmem.base.errors import DataError
from lowmem.stats.gaussian import fit_gaussians
from lowmem.stats.moments import Moments
from lowmem.stats.trimming import STUDY_FACTORS
from lowmem_jobs.analyze.core import measure_core, measure_radius
from lowmem_jobs.analyze.course import CORE_STAGES
from lowmem_jobs.analyze.frames import raw_frame
from lowmem_jobs.analyze.study import Trimming
from lowmem_jobs.analyze.sweeps import (
    HistogramSweep,
    MomentsSweep,
    SurvivorsSweep,
    histograms_from,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from typing import Any

    from numpy.typing import NDArray

    from lowmem.protocol.job import CommitPoint
    from lowmem.stats.radius import RadiusSample
    from lowmem_jobs.analyze.core import Core
    from lowmem_jobs.analyze.course import Course
    from lowmem_jobs.analyze.source import Latents

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The rows that survive: how to pick them, and their moments.

    Attributes
    ----------
    keep
        Returns the rows of a block that survive.
    is_kept
        Returns which they are.
    moments
        Of the rows that survive.
    trimming
        How many survive which cut.
    radius_of_all
        Of all rows, where that is another radius.
    core
        The inner core of all rows, if asked for.
    """

    keep: Callable[[Floats], Floats]
    is_kept: Callable[[Floats], NDArray[np.bool_]]
    moments: Moments
    trimming: Trimming
    radius_of_all: RadiusSample | None
    core: Core | None


def keep_rows(
    course: Course, latents: Latents, options: Mapping[str, Any]
) -> Generator[CommitPoint, None, Kept]:
    """Measure all rows, fit every component, and trim."""
    sweep = MomentsSweep(latents.n_features, latents.refuse_unless_usable)
    everything = Moments.from_arrays(
        (yield from course.sweep("moments", latents, sweep))
    )
    frame = raw_frame(everything)
    counted = yield from course.sweep("histograms", latents, HistogramSweep(frame))
    fits = fit_gaussians(histograms_from(counted["counts"]))
    chosen: float | None = options["trim_fwhm"]
    cuts = tuple(sorted({*STUDY_FACTORS, *([chosen] if chosen else [])}))
    survivors = SurvivorsSweep(
        centre=frame.centre + fits.mean * frame.deviation,
        fwhm=fits.fwhm * frame.deviation,
        cuts=cuts,
        chosen=chosen,
    )
    found = yield from course.sweep("survivors", latents, survivors)
    moments = everything if chosen is None else Moments.from_arrays(found)
    _refuse_too_few(moments, chosen, latents.n_rows)
    radius, core = yield from _inner_core(course, latents, everything, options)
    return Kept(
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
    course: Course, latents: Latents, everything: Moments, options: Mapping[str, Any]
) -> Generator[CommitPoint, None, tuple[RadiusSample | None, Core | None]]:
    """Look at all rows, where those that are kept are others or a core is wanted."""
    quantile: float | None = options["core"]
    if quantile is not None:
        return (yield from measure_core(course, latents, everything, quantile))
    if options["trim_fwhm"] is not None:
        return (yield from measure_radius(course, latents, everything)), None
    yield from course.skip_to(CORE_STAGES[-1])
    return None, None


def _refuse_too_few(moments: Moments, chosen: float | None, n_rows: int) -> None:
    if moments.n_samples < 2:  # noqa: PLR2004 - no spread without two
        raise DataError(
            thing=f"--trim-fwhm {chosen}",
            problem=f"keeps {moments.n_samples} of {n_rows} rows",
            expected="2 rows or more",
            todo="Give a larger factor: the reference study took 1.25 to 1.8.",
        )

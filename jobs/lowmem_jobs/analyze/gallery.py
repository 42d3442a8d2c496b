"""Which figures an analysis has, by file name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lowmem_jobs.analyze.clouds import draw_ranked, draw_scatter
from lowmem_jobs.analyze.figures import (
    draw_components,
    draw_correlation,
    draw_cumulative,
    draw_features,
    draw_radius,
    draw_survivors,
    draw_variance,
)
from lowmem_jobs.analyze.portraits import draw_overlaps, draw_portraits
from lowmem_jobs.analyze.side_by_side import draw_comparison

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lowmem_jobs.analyze.comparison import Comparison
    from lowmem_jobs.analyze.portraits import Pair, Source
    from lowmem_jobs.analyze.study import Study


def figures_of(
    study: Study,
    portraits: Mapping[str, list[Pair]],
    sources: list[Source],
    comparison: Comparison | None,
) -> dict[str, Callable[[Path], None]]:
    """Return a function for each figure that draws it to a path."""
    figures: dict[str, Callable[[Path], None]] = {
        "components-raw": partial(draw_components, study=study, name="raw"),
        "components-pca": partial(draw_components, study=study, name="pca"),
        "explained-variance": partial(draw_variance, study=study),
        "cumulative-importance": partial(draw_cumulative, study=study),
        "correlation": partial(draw_correlation, study=study),
        "radius": partial(draw_radius, study=study),
        "survivors": partial(draw_survivors, study=study),
    }
    if study.recovery is not None:
        figures["features"] = partial(draw_features, recovery=study.recovery)
    if study.selection.i.size:
        figures["overlap"] = partial(draw_overlaps, study=study)
    for name, pairs in portraits.items():
        figures[f"pairs-{name}"] = partial(
            draw_portraits, name=name, pairs=pairs, study=study, sources=sources
        )
    by_frame = {source.view.frame.name: source for source in sources}
    for name, source in by_frame.items():
        figures[f"scatter-{name}"] = partial(
            draw_scatter, pairs=portraits["leading"], study=study, source=source
        )
    for name in ("best", "worst"):
        if name in portraits:
            figures[f"ten-{name}"] = partial(
                draw_ranked, name=name, study=study, source=by_frame[study.frame]
            )
    if comparison is not None:
        figures["comparison"] = partial(draw_comparison, comparison=comparison)
    return figures

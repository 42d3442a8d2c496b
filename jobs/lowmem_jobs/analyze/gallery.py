"""Which figures an analysis has, by file name."""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from lowmem_jobs.analyze.clouds import draw_ranked, draw_scatter
from lowmem_jobs.analyze.cuts import draw_survivors, draw_turning
from lowmem_jobs.analyze.densities import draw_overview, draw_page
from lowmem_jobs.analyze.figures import (
    draw_correlation,
    draw_cumulative,
    draw_features,
    draw_radius,
    draw_variance,
)
from lowmem_jobs.analyze.portraits import draw_overlaps, draw_portraits
from lowmem_jobs.analyze.shown import pages
from lowmem_jobs.analyze.side_by_side import draw_comparison

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from lowmem_jobs.analyze.comparison import Comparison
    from lowmem_jobs.analyze.shown import Pair, Source
    from lowmem_jobs.analyze.study import Study

    Draw = Callable[[Path], None]


def figures_of(
    study: Study,
    portraits: Mapping[str, list[Pair]],
    sources: list[Source],
    comparison: Comparison | None,
) -> dict[str, Draw]:
    """Return a function for each figure that draws it to a path."""
    figures = dict(
        chain(_components(study), _whole(study), _pairs(study, portraits, sources))
    )
    if comparison is not None:
        figures["comparison"] = partial(draw_comparison, comparison=comparison)
    return figures


def _whole(study: Study) -> Iterator[tuple[str, Draw]]:
    """Yield the figures of the whole distribution."""
    yield "explained-variance", partial(draw_variance, study=study)
    yield "cumulative-importance", partial(draw_cumulative, study=study)
    yield "correlation", partial(draw_correlation, study=study)
    yield "radius", partial(draw_radius, study=study)
    yield "survivors", partial(draw_survivors, study=study)
    if study.turning is not None:
        yield "pair-2-3", partial(draw_turning, turning=study.turning)
    if study.recovery is not None:
        yield "features", partial(draw_features, recovery=study.recovery)


def _pairs(
    study: Study, portraits: Mapping[str, list[Pair]], sources: list[Source]
) -> Iterator[tuple[str, Draw]]:
    """Yield the figures of pairs."""
    if study.selection.i.size:
        yield "overlap", partial(draw_overlaps, study=study)
    for name, pairs in portraits.items():
        draw = partial(draw_portraits, name=name, pairs=pairs)
        yield f"pairs-{name}", partial(draw, study=study, sources=sources)
    by_frame = {source.view.frame.name: source for source in sources}
    for name, source in by_frame.items():
        shown = portraits.get("chosen") or portraits["leading"]
        draw = partial(draw_scatter, pairs=shown)
        yield f"scatter-{name}", partial(draw, study=study, source=source)
    for name in ("best", "worst"):
        if name in portraits:
            draw = partial(draw_ranked, name=name, study=study)
            yield f"ten-{name}", partial(draw, source=by_frame[study.frame])


def _components(study: Study) -> Iterator[tuple[str, Draw]]:
    """Yield the first page, the overview, and every page in a folder of its own."""
    for name in ("raw", "pca"):
        draw = partial(draw_page, study=study, name=name)
        numbers = list(pages(study.n_features))
        first, last = numbers[0]
        yield f"components-{name}", partial(draw, first=first, last=last)
        if len(numbers) == 1:
            continue
        yield (
            f"components-{name}-all",
            partial(draw_overview, study=study, name=name),
        )
        for first, last in numbers:
            place = f"components/{name}-{first:04}-{last:04}"
            yield place, partial(draw, first=first, last=last)

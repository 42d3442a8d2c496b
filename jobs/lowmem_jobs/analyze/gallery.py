"""The figures of an analysis: one table.

To add one, add its entry here: under the name of its file, or as a function that yields
several. Where they belong together, and what draws them, is for the entry to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lowmem_jobs.analyze.density_figures import draw_overview, draw_page
from lowmem_jobs.analyze.figure_selection import pages
from lowmem_jobs.analyze.overview_figures import (
    draw_correlation,
    draw_cumulative,
    draw_features,
    draw_radius,
    draw_variance,
)
from lowmem_jobs.analyze.pair_figures import draw_overlaps, draw_portraits
from lowmem_jobs.analyze.scatter_figures import draw_ranked, draw_scatter
from lowmem_jobs.analyze.side_by_side import draw_comparison
from lowmem_jobs.analyze.trimming_figures import draw_survivors, draw_turning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from lowmem_jobs.analyze.comparison import Comparison
    from lowmem_jobs.analyze.figure_selection import Pair, ShownColumns
    from lowmem_jobs.analyze.study import Study

    Draw = Callable[[Path], None]
    Figures = Callable[["Shown"], Iterator[tuple[str, Draw]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What figures are drawn of.

    Attributes
    ----------
    portraits
        Chosen pairs, by the name of their choice.
    sources
        Columns of both frames, raw first; none where no pair is shown.
    comparison
        With another study; None where there is none.
    """

    study: Study
    portraits: Mapping[str, list[Pair]]
    sources: list[ShownColumns]
    comparison: Comparison | None

    @property
    def by_frame(self) -> dict[str, ShownColumns]:
        """Columns by the name of their frame."""
        return {source.view.frame.name: source for source in self.sources}


def figures_of(shown: Shown) -> dict[str, Draw]:
    """Return a function for each figure that draws it to a path, by file name."""
    return dict(figure for family in FIGURES.values() for figure in family(shown))


def _of_study(name: str, draw: Callable[..., None]) -> Figures:
    """Return the one figure of a function that takes a path and the study."""
    return lambda shown: iter([(name, partial(draw, study=shown.study))])


def _turning(shown: Shown) -> Iterator[tuple[str, Draw]]:
    if shown.study.turning is not None:
        yield "pair-2-3", partial(draw_turning, turning=shown.study.turning)


def _features(shown: Shown) -> Iterator[tuple[str, Draw]]:
    if shown.study.recovery is not None:
        yield "features", partial(draw_features, recovery=shown.study.recovery)


def _overlap(shown: Shown) -> Iterator[tuple[str, Draw]]:
    if shown.study.selection.i.size:
        yield "overlap", partial(draw_overlaps, study=shown.study)


def _portraits(shown: Shown) -> Iterator[tuple[str, Draw]]:
    for name, pairs in shown.portraits.items():
        draw = partial(draw_portraits, name=name, pairs=pairs)
        yield f"pairs-{name}", partial(draw, study=shown.study, sources=shown.sources)


def _scatter(shown: Shown) -> Iterator[tuple[str, Draw]]:
    for name, source in shown.by_frame.items():
        pairs = shown.portraits.get("chosen") or shown.portraits["leading"]
        draw = partial(draw_scatter, pairs=pairs)
        yield f"scatter-{name}", partial(draw, study=shown.study, source=source)


def _ranked(shown: Shown) -> Iterator[tuple[str, Draw]]:
    for name in ("best", "worst"):
        if name in shown.portraits:
            draw = partial(draw_ranked, name=name, study=shown.study)
            source = shown.by_frame[shown.study.frame]
            yield f"ten-{name}", partial(draw, source=source)


def _comparison(shown: Shown) -> Iterator[tuple[str, Draw]]:
    if shown.comparison is not None:
        yield "comparison", partial(draw_comparison, comparison=shown.comparison)


def _components(shown: Shown) -> Iterator[tuple[str, Draw]]:
    """Yield the first page, the overview, and every page in a folder of its own."""
    study = shown.study
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


# In the order in which they are drawn, which a run that goes on has to find again.
FIGURES = {
    "components": _components,
    "explained-variance": _of_study("explained-variance", draw_variance),
    "cumulative-importance": _of_study("cumulative-importance", draw_cumulative),
    "correlation": _of_study("correlation", draw_correlation),
    "radius": _of_study("radius", draw_radius),
    "survivors": _of_study("survivors", draw_survivors),
    "pair-2-3": _turning,
    "features": _features,
    "overlap": _overlap,
    "pairs": _portraits,
    "scatter": _scatter,
    "ten": _ranked,
    "comparison": _comparison,
}

"""Points of leading pairs with their ellipses, and the ten best and worst pairs."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from lowmem_jobs.analyze.canvas import BLUE, drawing, panels
from lowmem_jobs.analyze.figure_selection import WORDS
from lowmem_jobs.analyze.pair_figures import (
    PairPlace,
    draw_ellipses,
    draw_pair,
    limit_to,
    number,
)
from lowmem_jobs.analyze.pair_selection import is_drawable
from lowmem_jobs.stats.ellipses import mass_within
from lowmem_jobs.stats.plane import COVERAGE_SIGMAS

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from lowmem_jobs.analyze.figure_selection import Pair, ShownColumns
    from lowmem_jobs.analyze.study import Study

# As many points as the reference study showed.
_N_POINTS = (10_000, 50_000)
_MANY = 5_000
_N_COLUMNS = 5
_TITLES = {"best": "most", "worst": "least"}


def draw_scatter(
    path: Path, pairs: list[Pair], study: Study, source: ShownColumns
) -> None:
    """Draw points of each pair with its ellipses: few points above, many below."""
    n = study.moments.n_samples
    numbers = sorted({min(n, shown) for shown in _N_POINTS})
    size = (2.35 * len(pairs) + 0.2, 2.3 * len(numbers) + 0.7)
    with drawing(path, width=size[0], height=size[1]) as figure:
        figure.suptitle(f"Vectors {WORDS[source.view.frame.name]}, ellipses at 2, 2.5 "
                        "and 3\N{GREEK SMALL LETTER SIGMA}")  # fmt: skip
        grid = panels(figure, len(numbers), len(pairs))
        for row, n_shown in zip(grid, numbers, strict=True):
            for panel, pair in zip(row, pairs, strict=True):
                _draw_points(panel, pair, n_shown, study, source)
        masses = ", ".join(f"{100 * mass_within(k):.1f}" for k in COVERAGE_SIGMAS)
        figure.supxlabel(f"a Gaussian has {masses} % inside", fontsize=8)


def _draw_points(
    panel: Axes, pair: Pair, n_shown: int, study: Study, source: ShownColumns
) -> None:
    i, j = pair
    panel.set_xlabel(source.label(i))
    panel.set_ylabel(source.label(j), labelpad=1)
    place = PairPlace.of(pair, study, source)
    if not is_drawable(place.rho):
        panel.set_axis_off()
        return
    # Evenly spaced rows: which are shown depends on their number alone.
    rows = np.linspace(0, study.moments.n_samples - 1, n_shown).astype(np.int64)
    x, y = (source.columns[source.place[component]][rows] for component in pair)
    panel.plot(
        place.centre[0] + place.scale[0] * x,
        place.centre[1] + place.scale[1] * y,
        # Single dots of the screen are too faint unless there are many.
        "," if n_shown >= _MANY else ".",
        markersize=1.5,
        color=BLUE,
        alpha=0.5,
        rasterized=True,
    )
    draw_ellipses(panel, place, widened=1.0)
    limit_to(panel, place)
    panel.set_title(f"{n_shown:,} vectors, "
                    f"\N{GREEK SMALL LETTER RHO} = {number(place.rho)}")  # fmt: skip


def draw_ranked(path: Path, name: str, study: Study, source: ShownColumns) -> None:
    """Draw the ten pairs whose contours are the most or the least elliptic."""
    pairs = ranked_pairs(name, study)
    n_columns = min(len(pairs), _N_COLUMNS)
    n_rows = -(-len(pairs) // _N_COLUMNS)
    size = (max(2.1 * n_columns, 3.4) + 0.2, 2.4 * n_rows + 0.4)
    with drawing(path, width=size[0], height=size[1]) as figure:
        figure.suptitle(f"The {len(pairs)} {_TITLES[name]} elliptic pairs, "
                        f"measured {WORDS[study.frame]}")  # fmt: skip
        for k, panel in enumerate(chain(*panels(figure, n_rows, n_columns))):
            if k < len(pairs):
                draw_pair(panel, pairs[k], study, source)
            else:
                panel.set_axis_off()


def ranked_pairs(name: str, study: Study) -> list[Pair]:
    """Return the first ten pairs by overlap: the largest first for "best"."""
    sign = -1 if name == "best" else 1
    order = np.argsort(sign * study.iou, kind="stable")[: 2 * _N_COLUMNS]
    selection = study.selection
    return [
        (int(selection.i[k]), int(selection.j[k]))
        for k in order
        if np.isfinite(study.iou[k])
    ]

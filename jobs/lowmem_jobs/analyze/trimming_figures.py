"""Figures of trimming: how many rows survive, and how a pair turns with the cut."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from lowmem_jobs.analyze.axis_rotation import PAIR
from lowmem_jobs.analyze.canvas import BLUE, GREEN, YELLOW, drawing, panels
from lowmem_jobs.analyze.figure_selection import SYMBOLS
from lowmem_jobs.analyze.pair_figures import (
    PairPlace,
    draw_density,
    draw_ellipses,
    limit_to,
)
from lowmem_jobs.stats.density import Smoother
from lowmem_jobs.stats.trimming import expected_survival

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from lowmem_jobs.analyze.axis_rotation import Turning
    from lowmem_jobs.analyze.study import Study

_COLUMNS = 4


def draw_survivors(path: Path, study: Study) -> None:
    """Draw how many rows survive each cut, beside what independence would give."""
    trimming, n = study.trimming, study.n_rows
    expected = [n * expected_survival(cut, study.n_features) for cut in trimming.cuts]
    labels = [f"{cut:g}" for cut in trimming.cuts]
    with drawing(path, width=6.4, height=4.2) as figure:
        panel, below = figure.subplots(2, 1, height_ratios=[2.3, 1])
        x = np.arange(len(labels))
        panel.bar(
            x - 0.2, 100 * trimming.survivors / n, 0.38, color=BLUE, label="observed"
        )
        panel.bar(
            x + 0.2,
            100 * np.array(expected) / n,
            0.38,
            color=YELLOW,
            label="independent Gaussians",
        )
        panel.set_xticks(x, labels)
        panel.set_xlabel("cut, in full widths at half maximum")
        panel.set_ylabel("surviving vectors (%)")
        panel.set_ylim(0, 118)
        panel.set_title(f"Vectors with every component within the cut (of {n:,})")
        panel.legend(loc="upper left", ncols=2)
        panel.grid(axis="y", color="#dddddd", linewidth=0.5)
        below.set_axis_off()
        rows = [[f"{k:,}" for k in trimming.survivors], [f"{e:,.0f}" for e in expected]]
        table = below.table(
            cellText=rows,
            rowLabels=["observed", "independent"],
            colLabels=labels,
            loc="center",
            cellLoc="right",
        )
        table.auto_set_font_size(False)  # noqa: FBT003 - Matplotlib's signature
        table.set_fontsize(7.5)
        for cell in table.get_celld().values():
            cell.set_linewidth(0.4)
            cell.set_edgecolor("#bbbbbb")


def draw_turning(path: Path, turning: Turning) -> None:
    """Draw the axes 2 and 3 of the survivors of each cut, side by side."""
    n = len(turning.planes)
    columns = min(n, _COLUMNS)
    rows = -(-n // columns)
    size = (max(2.35 * columns, 4.6) + 0.2, 2.6 * rows + 0.7)
    with drawing(path, width=size[0], height=size[1]) as figure:
        figure.suptitle(
            f"Principal components {PAIR[0]} and {PAIR[1]} of what each cut leaves"
        )
        for k, panel in enumerate(chain(*panels(figure, rows, columns))):
            if k < n:
                _draw_plane(panel, turning, k)
            else:
                panel.set_axis_off()
        figure.supxlabel(
            "contours of the density, ellipses at 2, 2.5 and 3"
            "\N{GREEK SMALL LETTER SIGMA} (dashed); green: where the first of the two "
            "axes lay with all vectors",
            fontsize=8,
        )


def _draw_plane(panel: Axes, turning: Turning, number: int) -> None:
    plane, counts = turning.planes[number], turning.counts[number]
    place = PairPlace(
        centre=(0.0, 0.0),
        scale=(float(plane.deviation[0]), float(plane.deviation[1])),
        rho=0.0,
    )
    smoother = Smoother(n_samples=plane.n_rows)
    density = smoother.density(counts)
    draw_density(panel, density, place, smoother)
    draw_ellipses(panel, place, widened=1 + smoother.bandwidth**2)
    _draw_former_axis(panel, turning, number)
    limit_to(panel, place)
    # Rounded to whole degrees, and never to -0.
    turn, tilt = (round(angle) for angle in turning.turn(number))
    cut = "all" if plane.factor is None else f"{plane.factor:g} FWHM"
    panel.set_title(
        f"{cut}: {plane.n_rows:,}\nturn {turn}\N{DEGREE SIGN}, "
        f"tilt {tilt}\N{DEGREE SIGN}"
    )
    panel.set_xlabel(f"{SYMBOLS['pca']} {PAIR[0]}")
    panel.set_ylabel(f"{SYMBOLS['pca']} {PAIR[1]}", labelpad=1)


def _draw_former_axis(panel: Axes, turning: Turning, number: int) -> None:
    """Draw the first of the axes of all rows, as far as it lies in this plane."""
    plane = turning.planes[number]
    x, y = plane.axes @ turning.planes[-1].axes[0]
    reach = 3 * float(turning.planes[-1].deviation[0])
    panel.plot(
        [-reach * x, reach * x], [-reach * y, reach * y], color=GREEN, linewidth=1.2
    )

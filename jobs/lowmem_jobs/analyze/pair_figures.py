"""Portraits of pairs: density contours with ellipses, before and after PCA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lowmem_jobs.analyze.canvas import BLUE, GREY, ORANGE, drawing, panels
from lowmem_jobs.analyze.figure_selection import NOUNS, WORDS
from lowmem_jobs.analyze.overview_figures import matrix_extent
from lowmem_jobs.analyze.pair_selection import is_drawable
from lowmem_jobs.stats.density import Smoother, level_of_mass
from lowmem_jobs.stats.ellipses import ellipse_from_covariance, mass_within
from lowmem_jobs.stats.plane import COVERAGE_SIGMAS, PlaneCounts, unwhitened

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from lowmem_jobs.analyze.figure_selection import Pair, ShownColumns
    from lowmem_jobs.analyze.study import Study

    Floats = NDArray[np.float64]

_REACH = 4.0  # half width of a panel, in standard deviations
_BLOCK_ROWS = 2**14
_N_CELLS = 512  # of the matrix of overlaps, along each side
_TITLES = {
    "leading": "the leading components",
    "strongest": "the strongest correlations before PCA",
    "best": "the most elliptic pairs",
    "worst": "the least elliptic pairs",
    "chosen": "the chosen pairs",
}


def draw_portraits(
    path: Path, name: str, pairs: list[Pair], study: Study, sources: list[ShownColumns]
) -> None:
    """Draw pairs in columns, each frame in a row."""
    with drawing(path, width=2.35 * len(pairs) + 0.2, height=5.4) as figure:
        measured = (
            f", measured {WORDS[study.frame]}" if name in ("best", "worst") else ""
        )
        title = f"Density contours and ellipses of {_TITLES[name]}{measured}"
        # A narrow figure of one or two pairs needs its title on two lines.
        figure.suptitle(title if len(pairs) > 2 else title.replace(" of ", "\nof "))  # noqa: PLR2004
        grid = panels(figure, len(sources), len(pairs))
        for row, source in zip(grid, sources, strict=True):
            for panel, pair in zip(row, pairs, strict=True):
                draw_pair(panel, pair, study, source)
        figure.legend(
            handles=[
                Line2D([], [], color=BLUE, label="contours of the density"),
                Line2D(
                    [], [], color=ORANGE, linestyle="--", label="ellipses of equal mass"
                ),
            ],
            loc="outside lower center",
            ncols=2 if len(pairs) > 1 else 1,
            title=", ".join(
                f"{k:g}\N{GREEK SMALL LETTER SIGMA}: {100 * mass_within(k):.1f} %"
                for k in COVERAGE_SIGMAS
            ),
            title_fontsize=8,
        )


def draw_pair(panel: Axes, pair: Pair, study: Study, source: ShownColumns) -> None:
    """Draw the density of one pair with its contours and ellipses."""
    i, j = pair
    panel.set_xlabel(source.label(i))
    panel.set_ylabel(source.label(j), labelpad=1)
    rho = float(source.view.rho[i, j])
    if not is_drawable(rho):
        panel.set_title("constant or duplicate", color=GREY)
        panel.set_xticks([])
        panel.set_yticks([])
        return
    smoother = Smoother(n_samples=study.moments.n_samples)
    density = smoother.density(_counts(source, pair, rho))
    place = PairPlace.of(pair, study, source)
    draw_density(panel, density, place, smoother)
    # Smoothing widens the covariance, and with it the ellipses.
    draw_ellipses(panel, place, widened=1 + smoother.bandwidth**2)
    limit_to(panel, place)
    iou = smoother.scores(density, rho).contour_iou
    panel.set_title(f"\N{GREEK SMALL LETTER RHO} = {number(rho)}   IoU = {iou:.2f}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPlace:
    """Where a pair lies, in the units of the data."""

    centre: tuple[float, float]
    scale: tuple[float, float]
    rho: float

    @classmethod
    def of(cls, pair: Pair, study: Study, source: ShownColumns) -> PairPlace:
        """Return the place of a pair of components of ``source``."""
        i, j = pair
        frame = source.view.frame
        # Scores along the axes are relative to the mean.
        mean = study.moments.mean if frame.axes is None else np.zeros(study.n_features)
        return cls(
            centre=(float(mean[i]), float(mean[j])),
            scale=(float(frame.deviation[i]), float(frame.deviation[j])),
            rho=float(source.view.rho[i, j]),
        )


def _counts(source: ShownColumns, pair: Pair, rho: float) -> PlaneCounts:
    x, y = (source.columns[source.place[component]] for component in pair)
    return PlaneCounts.of(x, y, rho, block_rows=_BLOCK_ROWS)


def draw_density(
    panel: Axes, density: NDArray[np.float32], place: PairPlace, smoother: Smoother
) -> None:
    """Draw a density with its contours of the masses of all ellipses."""
    u, v = np.meshgrid(smoother.centres, smoother.centres, indexing="ij")
    x, y = unwhitened(u, v, place.rho)
    x = place.centre[0] + place.scale[0] * x
    y = place.centre[1] + place.scale[1] * y
    shades = np.linspace(0, density.max(), 9)[1:]
    panel.contourf(x, y, density, levels=shades, cmap="Blues", alpha=0.6, extend="max")
    levels = sorted({level_of_mass(density, mass_within(k)) for k in COVERAGE_SIGMAS})
    panel.contour(x, y, density, levels=levels, colors=BLUE, linewidths=1.0)


def draw_ellipses(panel: Axes, place: PairPlace, *, widened: float) -> None:
    """Draw the ellipses of the covariance times ``widened``."""
    spread = np.outer(place.scale, place.scale)
    spread *= [[1.0, place.rho], [place.rho, 1.0]]
    spread *= widened
    for k in COVERAGE_SIGMAS:
        x, y = ellipse_from_covariance(place.centre, spread, k).points().T
        panel.plot(x, y, color=ORANGE, linestyle="--", linewidth=1.0)


def limit_to(panel: Axes, place: PairPlace) -> None:
    """Show as many standard deviations to every side in all panels."""
    for axis, end in ((panel.xaxis, 0), (panel.yaxis, 1)):
        axis.set_major_locator(MaxNLocator(4))
        reach = _REACH * place.scale[end]
        axis.set_view_interval(
            place.centre[end] - reach, place.centre[end] + reach, ignore=True
        )


def number(rho: float) -> str:
    """Return ``rho`` with two digits and a true minus sign; never "-0.00"."""
    return f"{round(rho, 2) + 0.0:.2f}".replace("-", "\N{MINUS SIGN}")


def draw_overlaps(path: Path, study: Study) -> None:
    """Draw how elliptic each measured pair is, as a matrix."""
    noun = NOUNS[study.frame]
    with drawing(path, width=5.4, height=4.6) as figure:
        panel = figure.subplots()
        panel.set_facecolor("#eeeeee")
        image = panel.imshow(
            _overlap_matrix(study),
            cmap="viridis",
            interpolation="nearest",
            extent=matrix_extent(study.n_features),
        )
        panel.set_xlabel(noun)
        panel.set_ylabel(noun)
        panel.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        panel.yaxis.set_major_locator(MaxNLocator(8, integer=True))
        panel.set_title(
            f"Overlap of contour and ellipse at 2\N{GREEK SMALL LETTER SIGMA}, "
            f"{WORDS[study.frame]} ({study.iou.size:,} pairs)"
        )
        figure.colorbar(image, ax=panel, label="intersection over union")


def _overlap_matrix(study: Study) -> Floats:
    """Return the mean overlap of the pairs in each cell; NaN where there is none."""
    side = min(study.n_features, _N_CELLS)
    defined = np.flatnonzero(np.isfinite(study.iou))
    i = study.selection.i[defined] * side // study.n_features
    j = study.selection.j[defined] * side // study.n_features
    cells = np.concatenate([i * side + j, j * side + i])
    overlap = np.tile(study.iou[defined], 2)
    total = np.bincount(cells, weights=overlap, minlength=side * side)
    number = np.bincount(cells, minlength=side * side)
    mean = np.divide(total, number, out=np.full(side * side, np.nan), where=number > 0)
    return np.asarray(mean.reshape(side, side))

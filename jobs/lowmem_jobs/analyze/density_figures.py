"""Densities of components with the Gaussians fitted to them: each, and all at a glance."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.ticker import MaxNLocator

from lowmem_jobs.analyze.canvas import BLUE, GREY, ORANGE, drawing, panels
from lowmem_jobs.analyze.figure_selection import NOUNS, SYMBOLS, WORDS
from lowmem_jobs.stats.gaussian import gaussian

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from lowmem_jobs.analyze.study import Study, View

    Floats = NDArray[np.float64]

_COLUMNS = 4
# Of a page, in inches: above and below the panels, and a row of them.
_TOP, _BOTTOM, _ROW = 0.55, 0.85, 1.65
# Of more components the overview shows the first.
MOST_IN_OVERVIEW = 1024
_REACH = 4.5  # half width of a density, in standard deviations


def draw_page(path: Path, study: Study, name: str, first: int, last: int) -> None:
    """Draw the densities of some components with the Gaussians fitted to them."""
    view = study.view(name)
    n_shown = last - first + 1
    rows = -(-n_shown // _COLUMNS)
    height = _TOP + _ROW * rows + _BOTTOM
    with drawing(path, width=8.6, height=height, is_arranged=False) as figure:
        figure.suptitle(
            f"Density of components {WORDS[name]}, with Gaussian fits "
            f"({study.moments.n_samples:,} vectors)",
            y=1 - 0.1 / height,
        )
        figure.subplots_adjust(
            left=0.075,
            right=0.985,
            bottom=_BOTTOM / height,
            top=1 - _TOP / height,
            hspace=0.45,
            wspace=0.3,
        )
        for k, panel in enumerate(chain(*panels(figure, rows, _COLUMNS))):
            if k < n_shown:
                _draw_component(panel, study, view, first + k)
            else:
                panel.set_axis_off()
        figure.supylabel("density", fontsize=8.5)
        _legend(figure, NOUNS[name])


def _legend(figure: Figure, noun: str) -> None:
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(
            handles,
            labels,
            loc="lower center",
            ncols=2,
            title=f"horizontal: value of the {noun}.   "
            "D: Kolmogorov distance to the fitted Gaussian",
            title_fontsize=8,
        )


def _draw_component(panel: Axes, study: Study, view: View, k: int) -> None:
    symbol = SYMBOLS[view.frame.name]
    panel.set_title(f"{symbol} {k}", loc="left", fontweight="bold")
    deviation = view.frame.deviation[k]
    if deviation == 0:
        panel.text(0.5, 0.5, "constant", ha="center", transform=panel.transAxes)
        panel.set_xticks([])
        panel.set_yticks([])
        return
    counts = view.histograms.inside[k]
    per_unit = counts.sum() * view.histograms.width * deviation
    origin = study.moments.mean[k] if view.frame.axes is None else 0.0
    edges = origin + deviation * view.histograms.edges
    panel.stairs(
        counts / per_unit, edges, fill=True, color=BLUE, alpha=0.35, label="observed"
    )
    x = np.linspace(-_REACH, _REACH, 181)
    fit = view.fits
    sigma = _fitted_sigma(view, k)
    curve = gaussian(x, float(fit.amplitude[k]), float(fit.mean[k]), sigma) / per_unit
    panel.plot(origin + deviation * x, curve, color=ORANGE, label="Gaussian fit")
    panel.set_xlim(origin - _REACH * deviation, origin + _REACH * deviation)
    panel.set_ylim(0, None)
    panel.yaxis.set_major_locator(MaxNLocator(3))
    panel.xaxis.set_major_locator(MaxNLocator(4))
    panel.text(
        0.98,
        0.96,
        f"D = {fit.kolmogorov[k]:.3f}",
        transform=panel.transAxes,
        ha="right",
        va="top",
        fontsize=7,
        color=GREY,
    )


def draw_overview(path: Path, study: Study, name: str) -> None:
    """Draw the densities of all components, small, coloured by their distance."""
    view = study.view(name)
    n_shown = min(study.n_features, MOST_IN_OVERVIEW)
    side = int(np.ceil(np.sqrt(n_shown)))
    rows = -(-n_shown // side)
    with drawing(path, width=7.2, height=1.3 + 6.0 * rows / side) as figure:
        panel = figure.subplots()
        shapes = PolyCollection(
            [_silhouette(view, k, side) for k in range(n_shown)],
            array=view.fits.kolmogorov[:n_shown],
            cmap="viridis",
            linewidths=0,
        )
        panel.add_collection(shapes)
        for k in range(n_shown):
            panel.plot(*_fitted_curve(view, k, side), color=ORANGE, linewidth=0.5)
            x, y = _corner(k, side)
            panel.text(x + 0.04, y - 0.06, str(k), fontsize=50 / side, va="top")
        panel.set_xlim(0, side)
        panel.set_ylim(-rows, 0)
        panel.set_axis_off()
        figure.colorbar(shapes, ax=panel, label="Kolmogorov distance to the fit")
        figure.suptitle(
            f"Components {WORDS[name]}: density (filled) and Gaussian fit, "
            f"{n_shown} of {study.n_features}"
        )


def _corner(k: int, side: int) -> tuple[int, int]:
    """Return the upper left corner of a cell: the first is on top."""
    return k % side, -(k // side)


def _silhouette(view: View, k: int, side: int) -> Floats:
    """Return the outline of one density within its cell, shape (n_points, 2)."""
    edges, counts = view.histograms.edges, view.histograms.inside[k]
    shown = np.abs(view.histograms.centres) < _REACH
    left, right = edges[:-1][shown], edges[1:][shown]
    x = np.stack([left, right], axis=1).ravel()
    heights = counts[shown] / _highest(view, k)
    y = np.repeat(np.minimum(heights, 1.1), 2)
    closed = np.concatenate([x[:1], x, x[-1:]]), np.concatenate([[0], y, [0]])
    return np.stack(_placed(*closed, k, side), axis=1)


def _fitted_curve(view: View, k: int, side: int) -> tuple[Floats, Floats]:
    x = np.linspace(-_REACH, _REACH, 61)
    curve = gaussian(
        x, 1.0, float(view.fits.mean[k]), max(_fitted_sigma(view, k), 1e-9)
    )
    return _placed(x, curve, k, side)


def _fitted_sigma(view: View, k: int) -> float:
    """Return the sigma of the counts' curve: it includes the spread of the bin."""
    return float(np.sqrt(view.fits.sigma[k] ** 2 + view.histograms.width**2 / 12))


def _highest(view: View, k: int) -> float:
    return max(float(view.fits.amplitude[k]), 1.0)


def _placed(x: Floats, y: Floats, k: int, side: int) -> tuple[Floats, Floats]:
    """Return where points of a density, of height 1 or so, lie in the overview."""
    left, top = _corner(k, side)
    return left + 0.5 + x / (2.1 * _REACH), top - 0.95 + 0.8 * y

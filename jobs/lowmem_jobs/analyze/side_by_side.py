"""The figure of two studies side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from scipy.special import ndtri

from lowmem_jobs.analyze.canvas import BLUE, GREY, ORANGE, drawing, light_grid

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from lowmem_jobs.analyze.comparison import Comparison
    from lowmem_jobs.analyze.digest import Portrait

    Floats = NDArray[np.float64]

_COLOURS = (BLUE, ORANGE)
_ENOUGH = 0.99  # of the variance: axes beyond it are not shown


def draw_comparison(path: Path, comparison: Comparison) -> None:
    """Draw importance, radius, overlaps and components of both studies."""
    draws = (_draw_importance, _draw_radius, _draw_overlaps, _draw_components)
    both = list(zip((comparison.here, comparison.there), _COLOURS, strict=True))
    with drawing(path, width=7.6, height=6.4) as figure:
        for panel, draw in zip(figure.subplots(2, 2).flat, draws, strict=True):
            for portrait, colour in both:
                draw(panel, portrait, colour)
            light_grid(panel)
            if draw is _draw_overlaps:
                panel.set_title(f"Pairs ({_frames(comparison)})")
        handles = [Line2D([], [], color=colour) for colour in _COLOURS]
        labels = [
            f"{name}: {portrait.digest.n_rows_kept:,} vectors of "
            f"{portrait.digest.n_features}"
            for name, (portrait, _) in zip(comparison.names, both, strict=True)
        ]
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
        figure.suptitle("Two studies side by side")


def _frames(comparison: Comparison) -> str:
    """Return in which frames the pairs of both studies were measured."""
    here, there = (
        portrait.digest.pairs.frame for portrait in (comparison.here, comparison.there)
    )
    return here if here == there else f"{here}, the other {there}"


def _draw_importance(panel: Axes, portrait: Portrait, colour: str) -> None:
    reached = np.cumsum(portrait.importance)
    n_shown = min(int(np.searchsorted(reached, _ENOUGH)) + 1, reached.size)
    effective = portrait.digest.effective_dimension
    panel.plot(range(n_shown + 1), [0, *100 * reached[:n_shown]], color=colour)
    panel.axvline(effective, color=colour, linestyle=":", linewidth=1.0)
    panel.set_xlabel("number of principal components")
    panel.set_ylabel("cumulative variance (%)")
    panel.set_title("Importance (dotted: effective dimension)")
    _begin_at_zero(panel)
    panel.set_ylim(0, 102)


def _draw_radius(panel: Axes, portrait: Portrait, colour: str) -> None:
    radius = portrait.digest.radius
    shares = np.array(radius.quantile_shares)
    observed = np.array(radius.quantiles, np.float64)
    expected = np.array(radius.quantiles_gaussian)
    ratio = np.divide(
        observed, expected, out=np.full_like(expected, np.nan), where=expected > 0
    )
    panel.axhline(1.0, color=GREY, linewidth=1.0)
    panel.plot(ndtri(shares), ratio, ".-", color=colour)
    shown = shares[::2]
    panel.set_xticks(ndtri(shown), [f"{100 * share:g}" for share in shown])
    panel.set_xlabel("share of the vectors within (%)")
    panel.set_ylabel("radius, observed / of a Gaussian")
    panel.set_title("Mahalanobis radius")


def _draw_overlaps(panel: Axes, portrait: Portrait, colour: str) -> None:
    _draw_shares(panel, portrait.overlaps, colour)
    panel.set_xlabel("overlap of contour and ellipse (IoU)")
    panel.set_ylabel("share of the pairs below (%)")


def _draw_components(panel: Axes, portrait: Portrait, colour: str) -> None:
    digest = portrait.digest
    for components, style in (
        (digest.components_raw, "-"),
        (digest.components_pca, "--"),
    ):
        distances = np.array(components.kolmogorov, np.float64)
        _draw_shares(panel, distances, colour, style)
    panel.set_xlabel("Kolmogorov distance to the fitted Gaussian")
    panel.set_ylabel("share of the components below (%)")
    panel.set_title("Components (dashed: after PCA)")
    _begin_at_zero(panel)


def _begin_at_zero(panel: Axes) -> None:
    """Set the left end alone: the study that is drawn next may reach further."""
    panel.set_xlim(0, None, auto=True)


def _draw_shares(panel: Axes, values: Floats, colour: str, style: str = "-") -> None:
    """Draw which share of the defined values lies below each of them."""
    rising = np.sort(values[np.isfinite(values)])
    shares = 100 * np.arange(1, rising.size + 1) / max(rising.size, 1)
    panel.plot(rising, shares, style, color=colour, drawstyle="steps-post")

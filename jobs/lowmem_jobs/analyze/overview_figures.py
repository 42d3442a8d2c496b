"""Figures of axes, correlation, radius and known features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator
from scipy.special import ndtr, ndtri
from scipy.stats import chi2

from lowmem_jobs.analyze.canvas import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    YELLOW,
    drawing,
    light_grid,
)
from lowmem_jobs.analyze.figure_selection import NOUNS, WORDS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lowmem_jobs.analyze.known_features import Recovery
    from lowmem_jobs.analyze.study import Study

    Floats = NDArray[np.float64]

_N_VARIANCES = 40  # as many as the reference study showed
_N_CUMULATIVE = 120
_N_DOTS = 512  # of a matrix, along each side
_FAINTEST = 0.2  # correlation that always has the full colour
_SHARES = ((0.8, GREEN), (0.9, YELLOW), (0.95, ORANGE), (0.99, PURPLE))


def draw_variance(path: Path, study: Study) -> None:
    """Draw the share of the variance along each of the first axes."""
    ratio = study.solved.frame.explained_variance_ratio[:_N_VARIANCES]
    with drawing(path, width=6.0, height=3.4) as figure:
        panel = figure.subplots()
        panel.bar(np.arange(ratio.size), 100 * ratio, color=BLUE, width=0.8)
        panel.set_xlabel(NOUNS["pca"])
        panel.set_ylabel("explained variance (%)")
        panel.set_title(
            f"Variance of the first {ratio.size} principal components{_of_what(study)}"
        )
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(axis="y", color="#dddddd", linewidth=0.5)
        panel.set_xlim(-0.7, ratio.size - 0.3)


def draw_cumulative(path: Path, study: Study) -> None:
    """Draw how much of the variance the first axes hold together."""
    reached = 100 * np.cumsum(study.solved.frame.explained_variance_ratio)
    n_shown = min(
        reached.size, max(_N_CUMULATIVE, study.solved.frame.n_components_for(0.99))
    )
    with drawing(path, width=6.0, height=3.6) as figure:
        panel = figure.subplots()
        number = np.arange(n_shown + 1)
        panel.plot(number, [0, *reached[:n_shown]], color=BLUE, linewidth=1.8)
        for share, colour in _SHARES:
            needed = study.solved.frame.n_components_for(share)
            label = f"{100 * share:.0f} % with {needed} of {study.n_features}"
            panel.plot(
                [0, needed, needed],
                [100 * share, 100 * share, 0],
                color=colour,
                linestyle="--",
                linewidth=1.0,
                label=label,
            )
        panel.set_xlabel("number of principal components")
        panel.set_ylabel("cumulative variance (%)")
        panel.set_title(
            f"Cumulative importance{_of_what(study)} (effective dimension "
            f"{study.solved.frame.effective_dimension:.1f})"
        )
        panel.set_xlim(0, n_shown)
        panel.set_ylim(0, 102)
        light_grid(panel)
        # The lines that it explains run through its place.
        panel.legend(loc="lower right", frameon=True, facecolor="white", framealpha=1)


def _of_what(study: Study) -> str:
    """Return what the variance is of, where it is not the components as they are."""
    return ", standardised" if study.solved.is_standardised else ""


def draw_correlation(path: Path, study: Study) -> None:
    """Draw the correlation matrix before and after PCA."""
    with drawing(path, width=8.4, height=4.1) as figure:
        left, right = figure.subplots(1, 2)
        # Many weak correlations would be white on a scale up to 1.
        limit = float(np.clip(_largest_off_diagonal(study.raw.rho), _FAINTEST, 1))
        image = None
        for panel, view in ((left, study.raw), (right, study.pca)):
            name = view.frame.name
            largest = _largest_off_diagonal(view.rho)
            # Smoothing would average neighbours of opposite sign away. No more entries
            # are handed over than there are dots to show them: Matplotlib copies.
            step = -(-study.n_features // _N_DOTS)
            image = panel.imshow(
                view.rho[::step, ::step].astype(np.float32),
                cmap="RdBu_r",
                vmin=-limit,
                vmax=limit,
                interpolation="nearest",
                extent=matrix_extent(study.n_features),
            )
            panel.set_title(f"{WORDS[name]}: largest |\N{GREEK SMALL LETTER RHO}| "
                            f"off the diagonal {largest:.2g}")  # fmt: skip
            panel.set_xlabel(NOUNS[name])
            panel.set_ylabel(NOUNS[name])
            panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            panel.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        if image is not None:
            figure.colorbar(
                image,
                ax=[left, right],
                shrink=0.85,
                extend="neither" if limit == 1 else "both",
                label="Pearson correlation",
            )


def matrix_extent(n_features: int) -> tuple[float, float, float, float]:
    """Return where the picture of a matrix lies: the first row is on top."""
    return -0.5, n_features - 0.5, n_features - 0.5, -0.5


def _largest_off_diagonal(rho: Floats) -> float:
    off = np.abs(rho)
    np.fill_diagonal(off, 0)
    return float(np.max(off, initial=0, where=np.isfinite(off)))


def draw_radius(path: Path, study: Study) -> None:
    """Draw the quantiles of the Mahalanobis distance against the chi-squared law."""
    radius = study.radius
    n = radius.n_samples
    # Equal steps on a normal scale, so that the tails are shown as far as rows reach.
    tail = min(0.5 / n, 0.25)
    shares = _normal_steps(tail)
    expected = np.sqrt(chi2.ppf(shares, radius.n_dimensions))
    observed = np.sqrt(radius.quantiles(shares))
    with drawing(path, width=4.6, height=4.6) as figure:
        panel = figure.subplots()
        ends = [min(expected[0], observed[0]), max(expected[-1], observed[-1])]
        panel.plot(ends, ends, color=GREY, linewidth=1.0, label="Gaussian")
        panel.plot(expected, observed, color=BLUE, linewidth=1.8, label="observed")
        for share, marker in ((0.5, "o"), (0.9, "s"), (0.99, "^"), (0.999, "D")):
            x = np.sqrt(chi2.ppf(share, radius.n_dimensions))
            y = np.sqrt(radius.quantiles(np.array([share])))
            panel.plot(
                [x], y, marker, color=ORANGE, markersize=5, label=f"{100 * share:g} %"
            )
        panel.set_xlabel(f"expected radius, \N{GREEK SMALL LETTER CHI} with "
                         f"{radius.n_dimensions} degrees of freedom")  # fmt: skip
        panel.set_ylabel("observed Mahalanobis radius")
        panel.set_title(
            f"Radius of {n:,} vectors (Kolmogorov distance {radius.kolmogorov:.3f})"
        )
        light_grid(panel)
        panel.legend(loc="upper left")


def _normal_steps(tail: float) -> Floats:
    return np.asarray(ndtr(np.linspace(ndtri(tail), -ndtri(tail), 400)))


def draw_features(path: Path, recovery: Recovery) -> None:
    """Draw how much of each feature behind the images a linear map of z recovers."""
    order = np.argsort(-np.nan_to_num(recovery.r_squared), kind="stable")
    place = np.arange(order.size)
    with drawing(path, width=6.4, height=1.4 + 0.17 * order.size) as figure:
        panel = figure.subplots()
        panel.barh(
            place,
            np.maximum(recovery.r_squared_held_out[order], 0),
            color=BLUE,
            height=0.7,
            label="of every fifth image, fitted to the others",
        )
        panel.plot(
            recovery.r_squared[order],
            place,
            "|",
            color=ORANGE,
            label="of all images, fitted to all",
        )
        panel.legend(loc="lower right")
        panel.set_yticks(np.arange(order.size), [recovery.names[k] for k in order])
        panel.invert_yaxis()
        panel.set_xlim(0, 1)
        panel.set_xlabel("share of the variance recovered, R\N{SUPERSCRIPT TWO}")
        panel.set_title("Features behind the images, by a linear map from z")
        panel.grid(axis="x", color="#dddddd", linewidth=0.5)

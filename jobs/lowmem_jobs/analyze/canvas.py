"""One look for all figures: colours, sizes, and a file that is the same every time."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lowmem.base import make_folder, storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.axes import Axes

# Okabe & Ito (2008), told apart by colour-blind readers too.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
YELLOW, PURPLE, GREY = "#E69F00", "#CC79A7", "#666666"

_STYLE: Any = {
    "figure.dpi": 150,
    "savefig.dpi": 150,
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.axisbelow": True,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "path.simplify": True,
    # Names within an SVG are made of it, and of a random number otherwise.
    "svg.hashsalt": "lowmem",
}
# What a format writes of the program and the moment: without it, equal figures are equal
# files.
_UNSAID: dict[str, dict[str, None]] = {
    ".png": {"Software": None},
    ".svg": {"Creator": None, "Date": None},
    ".pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}


@contextmanager
def drawing(
    path: Path, *, width: float, height: float, is_arranged: bool = True
) -> Iterator[Figure]:
    """Give an empty figure of so many inches; write it to ``path`` afterwards.

    As PNG, SVG or PDF, as its suffix says.

    ``is_arranged``: panels are moved until no text overlaps, which draws everything
    twice over; where there are many like figures their places are better given.

    The figure belongs to no window and no global state, so it is gone when its last
    reference is.
    """
    make_folder(path.parent)
    with mpl.rc_context(_STYLE):
        figure = Figure(
            figsize=(width, height), layout="constrained" if is_arranged else None
        )
        FigureCanvasAgg(figure)
        yield figure
        with storage_errors(path):
            figure.savefig(path, metadata=_UNSAID[path.suffix])
        figure.clear()


def panels(figure: Figure, rows: int, columns: int) -> list[list[Axes]]:
    """Return a grid of panels, row by row."""
    grid = figure.subplots(rows, columns, squeeze=False)
    return [list(row) for row in grid]


def light_grid(panel: Axes) -> None:
    """Draw faint lines at the ticks."""
    panel.grid(color="#dddddd", linewidth=0.5)

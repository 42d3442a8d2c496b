"""What the figures show: which components and pairs, and where their columns are.

It draws nothing, so that an analysis without figures does without Matplotlib.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lowmem_jobs.analyze.component_columns import Columns
    from lowmem_jobs.analyze.study import View

    Floats = NDArray[np.float64]
    Indices = NDArray[np.int64]
    Pair = tuple[int, int]

WORDS = {"raw": "before PCA", "pca": "after PCA"}
SYMBOLS = {"raw": "z", "pca": "PC"}
NOUNS = {"raw": "latent component", "pca": "principal component"}

N_PER_PAGE = 16
# Of more components, pages show the first.
MOST_PAGED = 256
N_PER_FIGURE = 4
_LEADING = ((0, 1), (0, 2), (1, 2), (2, 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownColumns:
    """Columns of one frame, and where each component lies in them.

    Attributes
    ----------
    view
        The components.
    columns
        Some of them, or all.
    place
        Column of each component that is there.
    """

    view: View
    columns: Columns
    place: Mapping[int, int]

    def label(self, component: int) -> str:
        """Return what an axis of this component is called."""
        return f"{SYMBOLS[self.view.frame.name]} {component}"


def pages(n_features: int) -> Iterator[tuple[int, int]]:
    """Yield first and last component of each page."""
    shown = min(n_features, MOST_PAGED)
    for first in range(0, shown, N_PER_PAGE):
        yield first, min(first + N_PER_PAGE, shown) - 1


def choose_portraits(
    *,
    n_features: int,
    rho: Floats,
    i: Indices,
    j: Indices,
    iou: Floats,
    chosen: Sequence[Pair] = (),
) -> dict[str, list[Pair]]:
    """Return the pairs of each figure, by its name.

    Parameters
    ----------
    rho : shape (d, d)
        Correlation of the raw components.
    i, j, iou : shape (n_pairs,)
        The measured pairs and how elliptic they are.
    chosen
        Pairs that the user wants to see.
    """
    defined = np.flatnonzero(np.isfinite(iou))
    strength = np.nan_to_num(np.abs(rho[i, j]), nan=-1.0)
    orders = {
        "strongest": np.argsort(-strength, kind="stable"),
        "best": defined[np.argsort(-iou[defined], kind="stable")],
        "worst": defined[np.argsort(iou[defined], kind="stable")],
    }
    ranked = {
        name: [(int(i[k]), int(j[k])) for k in order[:N_PER_FIGURE]]
        for name, order in orders.items()
    }
    leading = [pair for pair in _LEADING if pair[1] < n_features]
    named = {"leading": leading, **ranked, "chosen": list(chosen)}
    return {name: pairs for name, pairs in named.items() if pairs}

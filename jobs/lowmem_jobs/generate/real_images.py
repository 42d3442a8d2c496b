"""Which real images the generated ones are compared with: those that training held out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowmem.base import DataError
from lowmem.stores import read_array_info, split_rows
from lowmem_jobs.generate.option_values import n_scored

if TYPE_CHECKING:
    from pathlib import Path

    from lowmem import Context

    RowNumbers = np.ndarray[tuple[int], np.dtype[np.int64]]

# Real images compared however few vectors are drawn, so that their scores are steady.
FEWEST_REAL_ROWS = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RealImages:
    """Images of the store to compare with.

    Attributes
    ----------
    rows : shape (n,)
        Their rows, ascending; may be empty.
    training_rows : shape (m,)
        Rows that the model learned from, ascending.
    are_held_out
        Whether training saw none of ``rows``.
    why_not
        Why they are not held out, or none there; empty where they are.
    """

    rows: RowNumbers
    training_rows: RowNumbers
    are_held_out: bool = False
    why_not: str = ""


def choose_real_images(ctx: Context, image_shape: tuple[int, ...]) -> RealImages:
    """Return twice as many images as vectors of a method are scored, 256 at least.

    Training holds out the samples whose names have the smallest hashes. They are taken
    from those alone where there are any, else from all, the smallest hashes first: so
    they are held-out ones as far as there are some, even where nobody knows how many.

    Raises
    ------
    DataError
        If what training wrote about itself cannot be read.
    """
    store = ctx.workspace.images
    info = read_array_info(store / "images")
    if info is None or info.shape[1:] != image_shape:
        problem = f"there are no images of shape {image_shape} to compare with"
        ctx.log(f"{problem}: baselines are null")
        return RealImages(rows=_none(), training_rows=_none(), why_not=problem)
    n_rows = info.shape[0]
    wanted = max(2 * n_scored(ctx.options), FEWEST_REAL_ROWS)
    share = held_out_share(ctx.workspace.model)
    if share is None:
        why = "the model does not tell which images its training held out"
        rows = _of_smallest_hashes(store, n_rows, wanted)
        return RealImages(rows=rows, training_rows=np.arange(n_rows), why_not=why)
    split = split_rows(store, n_rows=n_rows, fraction=share)
    if not len(split.validation):
        why = f"training held out none of {n_rows} images (--validation-split {share})"
        rows = _of_smallest_hashes(store, n_rows, wanted)
        return RealImages(rows=rows, training_rows=split.training, why_not=why)
    rows = split.validation
    if wanted < len(rows):
        fraction = min(share, wanted / n_rows)
        rows = split_rows(store, n_rows=n_rows, fraction=fraction).validation
    return RealImages(rows=rows, training_rows=split.training, are_held_out=True)


def held_out_share(model: Path) -> float | None:
    """Return the share of images that training held out; None where it is not known.

    Raises
    ------
    DataError
        If the file that tells cannot be read.
    """
    path = model / "training.json"
    if not path.exists():
        return None
    try:
        share = float(json.loads(path.read_bytes())["validation_split"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            thing=path,
            problem=f"cannot be read ({error!r})",
            expected="a JSON object with a number validation_split",
            todo="Run `lowmem run train` again.",
        ) from error
    return share


def _of_smallest_hashes(store: Path, n_rows: int, wanted: int) -> RowNumbers:
    if wanted >= n_rows:
        return np.arange(n_rows)
    return split_rows(store, n_rows=n_rows, fraction=wanted / n_rows).validation


def _none() -> RowNumbers:
    return np.empty(0, np.int64)

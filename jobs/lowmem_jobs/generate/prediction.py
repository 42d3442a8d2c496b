"""Predict what `generate` takes of memory."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from lowmem import Calibration, Rung, Trial
from lowmem.stores import read_array_info
from lowmem_jobs.generate.option_values import (
    SCORED_ROWS,
    STEP_ROWS,
    batch_size_of,
    methods_of,
    n_scored,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lowmem import PlanContext, Settings

_TRIAL_COUNT = 64

# bytes; measured: anonymous memory of a worker with the backend, Keras, SciPy and Zarr.
# JAX and PyTorch: 245 and 340 MB for a small model in all.
_BARE_BYTES = {
    "tensorflow": 300 * 10**6,
    "jax": 265 * 10**6,
    "torch": 345 * 10**6,
}
# Of both files' sizes: the files read, their arrays, the variables; measured.
_WEIGHT_COPIES = 4
# bytes per pixel and image of a batch; measured with 64 filters at half the size.
_BYTES_PER_PIXEL = 400
# Images at hand: read or decoded, joined, sent through both halves, written.
_ROW_COPIES = 6
# Copies in float64 of the scored vectors, and of their covariance, at the end.
_VECTOR_COPIES, _COVARIANCE_COPIES = 12, 10
# bytes: tiles of distances, at the end, when the images at hand have gone.
SEARCH_BYTES = 32 * 2**20
_USUAL_SHAPE, _USUAL_DIMENSION = (96, 96, 3), 256


def ladder(_: PlanContext) -> Sequence[Settings]:
    """Return how many images to hold at once; how many are computed at once is fixed.

    Another batch would change the last digits of a result.
    """
    return tuple({"rows": rows} for rows in (STEP_ROWS, STEP_ROWS // 4))


def calibrate(plan: PlanContext) -> Calibration:
    """Return a trial of a few images, drawn and real, at either rung."""
    # A point for each method ends its drawing, the others are of real images.
    points = len(methods_of(plan.options)) + 2
    return Calibration(
        trials=[
            Trial(settings=rung, options={"count": _TRIAL_COUNT}, points=points)
            for rung in reversed(ladder(plan))
        ],
        terms=lambda _, settings: (float(settings["rows"]),),
    )


def predict(plan: PlanContext, settings: Settings) -> Rung:
    """Return the memory of both models, one batch of images and the scored vectors."""
    images = read_array_info(plan.workspace.images / "images")
    image_shape = images.shape[1:] if images else _USUAL_SHAPE
    n_at_once = batch_size_of(plan.options, image_shape)
    mean = read_array_info(plan.workspace.analysis / "mean")
    dimension = mean.shape[0] if mean else _USUAL_DIMENSION
    batch = n_at_once * image_shape[0] * image_shape[1] * _BYTES_PER_PIXEL
    held = _ROW_COPIES * settings["rows"] * prod(image_shape)
    n_vectors = n_scored(plan.options)
    values = dimension * (_VECTOR_COPIES * n_vectors + _COVARIANCE_COPIES * dimension)
    files = (path for path in models(plan).values() if path.exists())
    weights = _WEIGHT_COPIES * sum(path.stat().st_size for path in files)
    bare = _BARE_BYTES.get(plan.backend or "", _BARE_BYTES["tensorflow"])
    at_the_end = SEARCH_BYTES * n_vectors // SCORED_ROWS
    return Rung(
        settings=settings,
        ram_bytes=bare + weights + batch + held + 8 * values + at_the_end,
    )


def models(plan: PlanContext) -> dict[str, Path]:
    """Return the files of both halves of the model, by name."""
    folder = plan.workspace.model
    return {half: folder / f"{half}.keras" for half in ("decoder", "encoder")}

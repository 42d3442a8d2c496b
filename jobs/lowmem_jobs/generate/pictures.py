"""The pictures of what was made: small, and read a row of images at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowmem.base import write_file
from lowmem.stores import CachedReader, RowReader
from lowmem_jobs.generate.option_values import ALL, PATH, method_of
from lowmem_jobs.generate.search import N_NEAREST, nearest_images
from lowmem_jobs.generate.sheets import GRID_IMAGES, Sheet, grid
from lowmem_jobs.generate.vector_sources import AlongPath

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from lowmem import Context
    from lowmem_jobs.generate.committed_state import GenerationState
    from lowmem_jobs.generate.generation_task import Drawn, GenerationTask
    from lowmem_jobs.generate.interpolation import Ends

    Images = NDArray[np.uint8]

COLUMNS = 10
_N_PAIRS = 3
_N_AXES = 10
_STEPS_OF_AXIS = (-3, -2, -1, 0, 1, 2, 3)


def write_pictures(
    ctx: Context, task: GenerationTask, state: GenerationState, ends: Ends | None
) -> None:
    """Write every picture that there is something to show in."""
    folder = ctx.staging / "generated"
    is_path = method_of(ctx.options) == PATH and ends is not None
    sheets = {
        "grid": _strips(ctx, task, ends) if is_path and ends else _grid(task),
        "axes": _axes(task),
        "reconstructions": _reconstructions(ctx, task),
        "nearest": _nearest(ctx, task, state),
        "methods": _methods(ctx, task) if method_of(ctx.options) == ALL else None,
    }
    for name, sheet in sheets.items():
        if sheet is not None:
            write_file(folder / f"{name}.png", sheet.png())


def _grid(task: GenerationTask) -> Sheet:
    return grid(_first_images(task.main, min(task.n_decoded, GRID_IMAGES)))


def _axes(task: GenerationTask) -> Sheet:
    """Return the first principal axes, a row each, from -3 to 3 sigma."""
    frame = task.frame
    n_axes = min(_N_AXES, frame.n_axes)
    sheet = Sheet(
        task.image_shape,
        n_axes,
        len(_STEPS_OF_AXIS),
        labels=[f"axis {axis + 1}" for axis in range(n_axes)],
        heads=[f"{step:+d} sigma" if step else "mean" for step in _STEPS_OF_AXIS],
    )
    white = np.zeros((n_axes, len(_STEPS_OF_AXIS), frame.n_axes))
    for axis in range(n_axes):
        white[axis, :, axis] = _STEPS_OF_AXIS
    z = frame.vectors(white.reshape(-1, frame.n_axes)).astype(np.float32)
    for axis, images in enumerate(_decoded(task, z, len(_STEPS_OF_AXIS))):
        sheet.place_row(axis, images)
    return sheet


def _strips(ctx: Context, task: GenerationTask, ends: Ends) -> Sheet:
    """Return both paths, a row each, between the images as they are in the store."""
    heads = [f"{at:.0%}" for at in np.linspace(0, 1, COLUMNS)]
    first, last = _real_images(ctx, ends.rows) if ends.rows else (None, None)
    if ends.rows:
        heads = ["image", *heads, "image"]
    labels = list(ends.paths)
    sheet = Sheet(task.image_shape, len(labels), len(heads), labels=labels, heads=heads)
    for row, vectors_at in enumerate(ends.paths.values()):
        z = AlongPath(vectors_at=vectors_at, n_vectors=COLUMNS).block(0)
        images = [first, *task.decoder.images(z), last]
        sheet.place_row(row, (image for image in images if image is not None))
    return sheet


def _reconstructions(ctx: Context, task: GenerationTask) -> Sheet | None:
    """Return real images, each over its reconstruction."""
    rows = task.compared.rows[: _N_PAIRS * COLUMNS]
    if not len(rows):
        return None
    z = task.real.read(len(rows))
    n_pairs = -(-len(rows) // COLUMNS)
    labels = ["original", "decoded"] * n_pairs
    sheet = Sheet(task.image_shape, len(labels), COLUMNS, labels=labels)
    for pair, images in enumerate(_decoded(task, z, COLUMNS)):
        part = rows[pair * COLUMNS : (pair + 1) * COLUMNS]
        sheet.place_row(2 * pair, _real_images(ctx, part))
        sheet.place_row(2 * pair + 1, images)
    return sheet


def _nearest(
    ctx: Context, task: GenerationTask, state: GenerationState
) -> Sheet | None:
    """Return drawn images, each over the training images nearest to it."""
    found = nearest_images(state, task, task.main.name)
    if found is None:
        return None
    n = min(len(found), COLUMNS)
    labels = ["drawn", "nearest", *(f"{place + 2}." for place in range(N_NEAREST - 1))]
    sheet = Sheet(task.image_shape, len(labels), n, labels=labels)
    sheet.place_row(0, _first_images(task.main, n))
    for place in range(N_NEAREST):
        rows = found[:n, place]
        shown = np.unique(rows[rows >= 0])
        images = dict(zip(shown, _real_images(ctx, shown), strict=True))
        for column, row in enumerate(rows):
            if row >= 0:
                sheet.place(1 + place, column, images[row])
    return sheet


def _methods(ctx: Context, task: GenerationTask) -> Sheet:
    """Return real images, their reconstructions, and a row of each method."""
    rows = task.compared.rows[:COLUMNS]
    names = [drawn.name for drawn in task.drawn]
    above = ["real", "decoded"] if len(rows) else []
    labels = above + names
    sheet = Sheet(task.image_shape, len(labels), COLUMNS, labels=labels)
    if len(rows):
        sheet.place_row(0, _real_images(ctx, rows))
        sheet.place_row(1, task.decoder.images(task.real.read(len(rows))))
    for row, drawn in enumerate(task.drawn, start=len(above)):
        sheet.place_row(row, _first_images(drawn, min(task.n_decoded, COLUMNS)))
    return sheet


def _decoded(
    task: GenerationTask, z: NDArray[np.float32], columns: int
) -> Iterator[Images]:
    """Yield the images of vectors in rows, as many rows at a time as fill a batch."""
    n_at_once = max(task.batch_size // columns, 1) * columns
    for start in range(0, len(z), n_at_once):
        images = task.decoder.images(z[start : start + n_at_once])
        for at in range(0, len(images), columns):
            yield images[at : at + columns]


def _first_images(drawn: Drawn, n_images: int) -> Images:
    with RowReader.open(drawn.folder / "images.zarr", "images") as reader:
        images: Images = reader.read(0, n_images)
    return images


def _real_images(ctx: Context, rows: Iterable[int]) -> Images:
    """Return images of the store, in this order, one chunk at a time."""
    images = RowReader.open(ctx.workspace.images, "images")
    with CachedReader(images, cache_bytes=0) as reader:
        found: Images = reader.read(np.fromiter(rows, np.int64))
    return found

"""Find the images of the training nearest to drawn vectors, and to held-out ones."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lowmem.stores import RowReader, read_array_info
from lowmem_jobs.generate.option_values import SCORED_ROWS
from lowmem_jobs.generate.prediction import SEARCH_BYTES
from lowmem_jobs.model.latents_origin import origin_of
from lowmem_jobs.stats.neighbours import Neighbours

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from numpy.typing import NDArray

    from lowmem import CommitPoint, Context
    from lowmem_jobs.generate.committed_state import GenerationState
    from lowmem_jobs.generate.generation_task import GenerationTask

HELD_OUT = "held-out"
# Of each vector, as many as the picture shows.
N_NEAREST = 3
_BLOCK_ROWS = SCORED_ROWS


def why_no_search(ctx: Context, task: GenerationTask) -> str:
    """Return why no nearest images can be found; empty where they can."""
    if not len(task.compared.training_rows):
        return task.compared.why_not
    images = read_array_info(ctx.workspace.images / "images")
    latents = read_array_info(ctx.workspace.latents / "z")
    if latents is None:
        return "there is no latents.zarr: `lowmem run encode` makes it"
    wanted = (images.shape[0] if images else 0, task.frame.dimension)
    if latents.shape != wanted:
        return f"latents.zarr has shape {latents.shape}, not {wanted} as the images"
    return _why_of_others(ctx)


def _why_of_others(ctx: Context) -> str:
    origin, space = origin_of(ctx.workspace.latents), ctx.workspace
    if origin is None:
        return ""
    if not origin.is_of(space.images):
        return f"latents.zarr is of {origin.rows}, not of the workspace's images"
    if not origin.is_by(space.model / "encoder.keras"):
        return f"another encoder made latents.zarr ({origin.encoder})"
    return ""


def search(
    ctx: Context, task: GenerationTask, state: GenerationState
) -> Generator[CommitPoint, None, None]:
    """Go over the vectors of all training images once, a block a step.

    Notes
    -----
    Time: about 10 ns for each pair of a scored vector and a training image.
    """
    if why_no_search(ctx, task):
        return
    rows = task.compared.training_rows
    groups = _groups(task)
    with RowReader.open(ctx.workspace.latents, "z") as latents:
        for start in range(state.n_searched, latents.shape[0], _BLOCK_ROWS):
            stop = min(start + _BLOCK_ROWS, latents.shape[0])
            first, last = np.searchsorted(rows, (start, stop))
            block = latents.read(start, stop)[rows[first:last] - start]
            white = task.white(block)
            for name, read in groups.items():
                vectors = task.white(read())
                found = _found(state, name, len(vectors)).updated(
                    vectors, white, first_row=int(first), memory_bytes=SEARCH_BYTES
                )
                state.arrays |= {
                    f"{name}-squares": found.squares,
                    f"{name}-rows": found.rows,
                }
            ctx.progress(task.n_steps, task.n_steps, "nearest training images")
            yield state.point(searched=stop)


def distances(state: GenerationState, name: str) -> NDArray[np.float64] | None:
    """Return each vector's distance to the nearest training image, shape (n,)."""
    squares = state.arrays.get(f"{name}-squares")
    return None if squares is None else np.sqrt(squares[:, 0])


def nearest_images(
    state: GenerationState, task: GenerationTask, name: str
) -> NDArray[np.int64] | None:
    """Return rows of the store, shape (n, N_NEAREST), the nearest first; -1 for none."""
    found = state.arrays.get(f"{name}-rows")
    if found is None:
        return None
    rows: NDArray[np.int64] = np.where(
        found < 0, -1, task.compared.training_rows[found]
    )
    return rows


def _groups(task: GenerationTask) -> Mapping[str, Callable[[], NDArray[np.float32]]]:
    """Return how to read the vectors that are searched for, by name."""
    groups = {one.name: partial(one.z.read, task.n_scored) for one in task.drawn}
    if task.compared.are_held_out:
        groups[HELD_OUT] = partial(task.real.read, len(task.compared.rows))
    return groups


def _found(state: GenerationState, name: str, n_vectors: int) -> Neighbours:
    squares = state.arrays.get(f"{name}-squares")
    if squares is None:
        return Neighbours.none(n_vectors, n_neighbours=N_NEAREST)
    return Neighbours(squares=squares, rows=state.arrays[f"{name}-rows"])

"""The passes over images: those of drawn vectors, then real ones for comparison.

Both go in steps of fixed size, each writing at its own place in files that have their
full size from the start, so a step that is done again leaves the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowmem.stores import CachedReader, RowReader, RowWriter
from lowmem_jobs.generate.generation_task import folder_of
from lowmem_jobs.generate.option_values import STEP_ROWS
from lowmem_jobs.generate.reused_images import ReusedImages
from lowmem_jobs.stats.samplers import BLOCK_ROWS
from lowmem_jobs.stats.scores_images import squared_errors, structural_similarity

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray

    from lowmem import CommitPoint, Context
    from lowmem_jobs.generate.committed_state import GenerationState
    from lowmem_jobs.generate.generation_task import Drawn, GenerationTask


def draw(
    ctx: Context, task: GenerationTask, state: GenerationState
) -> Generator[CommitPoint, None, None]:
    """Draw the vectors of each method, one after another."""
    before = 0
    for drawn in task.drawn:
        done = min(max(state.n_drawn - before, 0), task.n_vectors)
        if done < task.n_vectors:
            yield from _draw_method(ctx, task, state, drawn, before=before, done=done)
        before += task.n_vectors


def _draw_method(
    ctx: Context,
    task: GenerationTask,
    state: GenerationState,
    drawn: Drawn,
    *,
    before: int,
    done: int,
) -> Generator[CommitPoint, None, None]:
    """Draw one block of vectors a step; decode the first, and encode them again."""
    writer = _open_images(ctx, task, drawn, n_rows=min(done, task.n_decoded))
    state.is_flushed_by(writer.flush)
    with ReusedImages(ctx, folder_of(ctx, drawn.name)) as former:
        for start in range(done, task.n_vectors, BLOCK_ROWS):
            z = drawn.source.block(start // BLOCK_ROWS)[: task.n_vectors - start]
            violations = dict(state.violations)
            n_broken = int(drawn.source.breaks_promise(z).sum())
            violations[drawn.name] = violations.get(drawn.name, 0) + n_broken
            drawn.z.write(start, z)
            shown = z[: max(task.n_decoded - start, 0)]
            for at in range(0, len(shown), STEP_ROWS):
                step = shown[at : at + STEP_ROWS]
                # The store takes whole chunks.
                writer.append(_decoded(ctx, task, drawn, step, start + at, former))
            reached = before + start + len(z)
            ctx.progress(reached, task.n_steps, drawn.name)
            yield state.point(items=len(z), drawn=reached, violations=violations)


def _open_images(
    ctx: Context, task: GenerationTask, drawn: Drawn, *, n_rows: int
) -> RowWriter:
    """Return the writer of the images, behind those that were committed."""
    return RowWriter.open(
        drawn.folder / "images.zarr",
        "images",
        row_shape=task.image_shape,
        dtype=np.uint8,
        chunk_rows=STEP_ROWS,
        n_rows=n_rows,
        attributes={"method": drawn.name, "seed": ctx.seed},
    )


def _pieces(ctx: Context, task: GenerationTask, n_rows: int) -> Iterator[slice]:
    """Yield slices of a step's rows, whole batches each, to go through a model together.

    Which images share a batch is the same at every rung, so every result is too.
    """
    size = -(-ctx.settings.get("rows", STEP_ROWS) // task.batch_size) * task.batch_size
    for at in range(0, n_rows, size):
        yield slice(at, min(at + size, n_rows))


def _decoded(
    ctx: Context,
    task: GenerationTask,
    drawn: Drawn,
    step: NDArray[np.float32],
    start: int,
    former: ReusedImages,
) -> NDArray[np.uint8]:
    """Return the images of a step of vectors that begins at row ``start``; write E(D(z))."""
    kept = former.images(start, step)
    images = (
        np.empty((len(step), *task.image_shape), np.uint8) if kept is None else kept
    )
    for piece in _pieces(ctx, task, len(step)):
        if kept is None:
            images[piece] = task.decoder.images(step[piece])
        if start < task.n_scored:
            z_again = task.encoder.encode(images[piece])
            drawn.z_again.write(start + piece.start, z_again)
    return images


def revisit(
    ctx: Context, task: GenerationTask, state: GenerationState
) -> Generator[CommitPoint, None, None]:
    """Send real images through encoder, decoder and encoder again."""
    real_rows = task.compared.rows
    if not len(real_rows):
        return
    # Ascending rows: whole chunks, each decoded and verified once.
    images = RowReader.open(ctx.workspace.images, "images")
    with CachedReader(images, cache_bytes=0) as reader:
        for start in range(state.n_revisited, len(real_rows), STEP_ROWS):
            rows = real_rows[start : start + STEP_ROWS]
            for piece in _pieces(ctx, task, len(rows)):
                _compare(task, reader.read(rows[piece]), start + piece.start)
            reached = start + len(rows)
            done = task.n_vectors * len(task.drawn) + reached
            ctx.progress(done, task.n_steps, "real images")
            yield state.point(revisited=reached)


def _compare(task: GenerationTask, images: NDArray[np.uint8], start: int) -> None:
    z = task.encoder.encode(images)
    reconstructed = task.decoder.images(z)
    task.real.write(start, z)
    task.real_again.write(start, task.encoder.encode(reconstructed))
    errors = (
        squared_errors(images, reconstructed),
        structural_similarity(images, reconstructed),
    )
    task.errors.write(start, np.stack(errors, axis=1))

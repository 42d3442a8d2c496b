"""The two passes: over drawn vectors, and over real images for comparison.

Both go in steps of fixed size, each writing at its own place in files that have their
full size from the start, so a step that is done again leaves the same bytes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lowmem.base.files import sync_file
from lowmem.protocol.job import CommitPoint, Context
from lowmem.stats.samplers import BLOCK_ROWS, draw_block
from lowmem.stats.scores_images import squared_errors, structural_similarity
from lowmem.stores.cache import CachedReader
from lowmem.stores.read import RowReader
from lowmem.stores.write import RowWriter
from lowmem_jobs.generate.job import STEP_ROWS

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray

    from lowmem_jobs.generate.task import Task


def open_images(ctx: Context, task: Task) -> RowWriter:
    """Return the writer of the images, behind those that were committed."""
    return RowWriter.open(
        ctx.staging / "generated" / "images.zarr",
        "images",
        row_shape=task.image_shape,
        dtype=np.uint8,
        chunk_rows=STEP_ROWS,
        n_rows=ctx.state.get("drawn", 0),
        attributes={"method": ctx.options["method"], "seed": ctx.seed},
    )


def draw(
    ctx: Context, task: Task, writer: RowWriter
) -> Generator[CommitPoint, None, int]:
    """Draw one block of vectors a step, decode it, and encode the images again.

    Returns
    -------
    n_violations
        Vectors that break the promise of their method.
    """
    done: int = ctx.state.get("drawn", 0)
    n_violations: int = ctx.state.get("violations", 0)
    method = ctx.options["method"]
    flush = partial(_flush, ctx, task, writer)
    for start in range(done, task.n_vectors, BLOCK_ROWS):
        block = start // BLOCK_ROWS
        z = draw_block(task.source, method=method, seed=ctx.seed, block=block)
        z = z[: task.n_vectors - start]
        n_violations += int(task.source.breaks_promise(z).sum())
        _decode(ctx, task, z, start, writer)
        ctx.progress(start + len(z), task.n_steps, method)
        state = {"drawn": start + len(z), "violations": n_violations}
        yield CommitPoint(items=len(z), state=state, flush=flush)
    return n_violations


def _pieces(ctx: Context, task: Task, n_rows: int) -> Iterator[slice]:
    """Yield slices of a step's rows, whole batches each, to go through a model together.

    Which images share a batch is the same at every rung, so every result is too.
    """
    size = -(-ctx.settings.get("rows", STEP_ROWS) // task.batch_size) * task.batch_size
    for at in range(0, n_rows, size):
        yield slice(at, min(at + size, n_rows))


def _decode(
    ctx: Context, task: Task, z: NDArray[np.float32], start: int, writer: RowWriter
) -> None:
    """Write vectors that begin at row ``start``, their images, and E(D(z))."""
    task.z.write(start, z)
    for at in range(0, len(z), STEP_ROWS):
        step = z[at : at + STEP_ROWS]
        # The store takes whole chunks.
        images = np.empty((len(step), *task.image_shape), np.uint8)
        for piece in _pieces(ctx, task, len(step)):
            images[piece] = task.decoder.images(step[piece])
            if start + at < task.n_scored:
                z_again = task.encoder.encode(images[piece])
                task.z_again.write(start + at + piece.start, z_again)
        writer.append(images)


def revisit(
    ctx: Context, task: Task, writer: RowWriter, n_violations: int
) -> Generator[CommitPoint, None, None]:
    """Send real images through encoder, decoder and encoder again."""
    if not len(task.real_rows):
        return
    flush = partial(_flush, ctx, task, writer)
    state = {"drawn": task.n_vectors, "violations": n_violations}
    # Ascending rows: whole chunks, each decoded and verified once.
    images = RowReader.open(ctx.workspace.images, "images")
    with CachedReader(images, cache_bytes=0) as reader:
        for start in range(
            ctx.state.get("revisited", 0), len(task.real_rows), STEP_ROWS
        ):
            rows = task.real_rows[start : start + STEP_ROWS]
            for piece in _pieces(ctx, task, len(rows)):
                _compare(task, reader.read(rows[piece]), start + piece.start)
            reached = state | {"revisited": start + len(rows)}
            done = task.n_vectors + start + len(rows)
            ctx.progress(done, task.n_steps, "real images")
            yield CommitPoint(state=reached, flush=flush)


def _flush(ctx: Context, task: Task, writer: RowWriter) -> None:
    """Wait until the files of both passes are on the disk.

    A commit counts on all of them: the last steps of the first pass may go without one
    of their own.
    """
    writer.flush()
    for file in (task.z, task.z_again, task.real, task.real_again, task.errors):
        file.flush()
    sync_file(ctx.staging)


def _compare(task: Task, images: NDArray[np.uint8], start: int) -> None:
    z = task.encoder.encode(images)
    reconstructed = task.decoder.images(z)
    task.real.write(start, z)
    task.real_again.write(start, task.encoder.encode(reconstructed))
    errors = (
        squared_errors(images, reconstructed),
        structural_similarity(images, reconstructed),
    )
    task.errors.write(start, np.stack(errors, axis=1))

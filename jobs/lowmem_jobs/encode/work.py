"""Encode the images block by block into ``latents.zarr``."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lowmem import RowBlocks
from lowmem.base import DataError
from lowmem.stores import RowReader, images_to_use, write_blocks
from lowmem.training import keras_session
from lowmem_jobs.encode.job import BLOCK_ROWS, batch_size_of, model_file
from lowmem_jobs.model.encoder import Encoder, load_encoder

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import Any

    from numpy.typing import NDArray

    from lowmem import CommitPoint, Context, Result

_STORE = "latents.zarr"
_DRAWS = (
    "a layer of the encoder draws at random: each vector is one draw, which follows from "
    "--seed and the image's row"
)


@contextmanager
def blocks(ctx: Context) -> Iterator[RowBlocks]:
    """Open the images and the encoder: any block of latents is encoded by itself."""
    images = images_to_use(ctx.options, ctx.workspace)
    with (
        keras_session(
            seed=ctx.seed, device=ctx.device, vram_budget_bytes=ctx.vram_budget_bytes
        ),
        RowReader.open(images.store, images.name) as reader,
    ):
        model = load_encoder(
            model_file(ctx),
            image_shape=images.image_shape,
            word=ctx.options["code"],
        )
        encoder = Encoder(model, batch_size=batch_size_of(ctx), seed=ctx.seed)
        yield RowBlocks(
            store=_STORE,
            array="z",
            n_rows=images.n_images,
            block_rows=BLOCK_ROWS,
            row_shape=(encoder.latent_dim,),
            dtype="float32",
            make=partial(_encode, ctx, encoder, reader),
            notes=(_DRAWS,) if encoder.draws(reader.read(0, 1)) else (),
            summary={"n": images.n_images, "latent_dim": encoder.latent_dim},
        )


def work(ctx: Context) -> Generator[CommitPoint, None, Result]:
    """Encode, offering a commit after each chunk of the latents."""
    with blocks(ctx) as latents:
        return (yield from write_blocks(ctx, latents))


def _encode(
    ctx: Context, encoder: Encoder, reader: RowReader, start: int, stop: int
) -> NDArray[np.float32]:
    """Return the vectors of some rows, few images being held at a time."""
    batch_size = batch_size_of(ctx)
    # Whole batches: the images that share one are the same whatever is read at once.
    step = -(-ctx.settings.get("read_rows", BLOCK_ROWS) // batch_size) * batch_size
    parts: list[NDArray[Any]] = []
    for at in range(start, stop, step):
        z = encoder.encode(reader.read(at, min(at + step, stop)), row=at)
        _refuse_non_finite(z, at)
        parts.append(z)
    return np.concatenate(parts)


def _refuse_non_finite(z: NDArray[np.float32], start: int) -> None:
    bad = np.flatnonzero(~np.isfinite(z).all(axis=1))
    if len(bad):
        raise DataError(
            thing=f"the latent vector of sample {start + bad[0]}",
            problem="is not finite",
            expected="numbers",
            todo="The model is damaged or diverged: train it again.",
        )

"""What the passes share: the sampler, the models, and the files that they fill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowmem.stats.samplers import Sampler, sampler
from lowmem.stores.metadata import read_array_info
from lowmem.stores.split import split_rows
from lowmem_jobs.generate.job import SCORED_ROWS
from lowmem_jobs.generate.rows import RowFile

if TYPE_CHECKING:
    from lowmem.protocol.job import Context
    from lowmem.stats.frame import Frame
    from lowmem.training.encoder import Encoder
    from lowmem_jobs.generate.decoder import Decoder

    RowNumbers = np.ndarray[tuple[int], np.dtype[np.int64]]

# Real images compared however few vectors are drawn, so that their scores are steady.
FEWEST_REAL_ROWS = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """Derived from recipe and inputs alone, so equal in every attempt.

    Attributes
    ----------
    frame
        The fitted distribution, d dimensions.
    source
        Where vectors come from.
    decoder, encoder
        Both halves of the model.
    image_shape
        Of a decoded image: height, width, channels.
    n_vectors, n_scored
        Vectors to draw; how many of the first of them are scored.
    real_rows : shape (n_real,)
        Rows of the image store to compare with.
    z
        The drawn vectors.
    z_again
        Vectors of their images, of the scored ones.
    real, real_again
        Vectors of real images, and of their reconstructions.
    errors
        Squared error and similarity of each reconstruction.
    """

    frame: Frame
    source: Sampler
    decoder: Decoder
    encoder: Encoder
    image_shape: tuple[int, ...]
    n_vectors: int
    n_scored: int
    real_rows: RowNumbers
    z: RowFile
    z_again: RowFile
    real: RowFile
    real_again: RowFile
    errors: RowFile

    @property
    def batch_size(self) -> int:
        """Images that go through a model at once."""
        return self.decoder.batch_size

    @property
    def n_steps(self) -> int:
        """Images that both passes go over."""
        return self.n_vectors + len(self.real_rows)

    @classmethod
    def open(
        cls,
        ctx: Context,
        frame: Frame,
        *,
        decoder: Decoder,
        encoder: Encoder,
        image_shape: tuple[int, ...],
    ) -> Task:
        """Open the files: anew if nothing was committed, else as they are."""
        real_rows = _real_rows(ctx, image_shape)
        make = RowFile.reopen if ctx.state else RowFile.create
        n_vectors, d, n_real = ctx.options["count"], frame.dimension, len(real_rows)
        n_scored = min(n_vectors, SCORED_ROWS)
        scratch = ctx.staging / "scratch"
        return cls(
            frame=frame,
            source=sampler(
                ctx.options["method"],
                frame,
                sigma=ctx.options["sigma"],
                quantile=ctx.options["quantile"],
            ),
            decoder=decoder,
            encoder=encoder,
            image_shape=image_shape,
            n_vectors=n_vectors,
            n_scored=n_scored,
            real_rows=real_rows,
            z=make(ctx.staging / "generated" / "z.npy", (n_vectors, d), "<f4"),
            z_again=make(scratch / "z_again.npy", (n_scored, d), "<f4"),
            real=make(scratch / "real.npy", (n_real, d), "<f4"),
            real_again=make(scratch / "real_again.npy", (n_real, d), "<f4"),
            errors=make(scratch / "errors.npy", (n_real, 2), "<f8"),
        )


def _real_rows(ctx: Context, image_shape: tuple[int, ...]) -> RowNumbers:
    """Return twice as many rows as vectors are scored, if the store has them.

    Training holds out the samples whose names have the smallest hashes, however large
    their share. Those are taken first, so all are held-out images where there are
    enough of them.
    """
    info = read_array_info(ctx.workspace.images / "images")
    if info is None or info.shape[1:] != image_shape:
        ctx.log(f"no images of shape {image_shape} to compare with: baselines are null")
        return np.empty(0, np.int64)
    n_rows = info.shape[0]
    wanted = max(2 * min(ctx.options["count"], SCORED_ROWS), FEWEST_REAL_ROWS)
    if wanted >= n_rows:
        return np.arange(n_rows)
    split = split_rows(ctx.workspace.images, n_rows=n_rows, fraction=wanted / n_rows)
    return split.validation

"""A Keras file as the encoder, in a session of Keras."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lowmem.training import keras_session
from lowmem_jobs.encode.job import batch_size_of
from lowmem_jobs.model.encoder import Encoder, load_encoder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowmem import Context
    from lowmem_jobs.encode.encoder_choice import EncoderChoice
    from lowmem_jobs.encode.row_source import RowSource


@contextmanager
def opened_keras(
    ctx: Context, choice: EncoderChoice, source: RowSource
) -> Iterator[Encoder]:
    """Begin a session and load the encoder."""
    with keras_session(
        seed=ctx.seed, device=ctx.device, vram_budget_bytes=ctx.vram_budget_bytes
    ):
        model = load_encoder(
            choice.file, image_shape=source.row_shape, word=ctx.options["code"]
        )
        yield Encoder(model, batch_size=batch_size_of(ctx), seed=ctx.seed)

"""Draw vectors, decode them, and score the images; run by the worker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from lowmem import CommitPoint, Context, Result
from lowmem.base import DataError, write_file
from lowmem.training import keras_session
from lowmem_jobs.generate.committed_state import GenerationState
from lowmem_jobs.generate.decoder import LatentDecoder
from lowmem_jobs.generate.fitted_distribution import read_frame
from lowmem_jobs.generate.generation_task import GenerationTask
from lowmem_jobs.generate.interpolation import Ends, anchors
from lowmem_jobs.generate.option_values import (
    ALL,
    OF_PRINCIPAL_AXES,
    PATH,
    batch_size_of,
    method_of,
    methods_of,
    sigma_of,
)
from lowmem_jobs.generate.passes import draw, revisit
from lowmem_jobs.generate.pictures import write_pictures
from lowmem_jobs.generate.real_images import choose_real_images
from lowmem_jobs.generate.result_documents import (
    document,
    summary,
    table_csv,
    table_lines,
)
from lowmem_jobs.generate.reused_images import keep_former
from lowmem_jobs.generate.scoring import score
from lowmem_jobs.generate.search import search
from lowmem_jobs.generate.vector_sources import AlongPath, AtRandom, VectorSource
from lowmem_jobs.model.encoder import Encoder, load_encoder, read_model
from lowmem_jobs.model.latents_origin import refuse_other_encoder
from lowmem_jobs.stats.methods import NEAR
from lowmem_jobs.stats.samplers import sampler
from lowmem_jobs.stats.samplers_free import Near

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    import keras

    from lowmem_jobs.stats.frame import PrincipalFrame


def work(ctx: Context) -> Generator[CommitPoint, None, Result]:
    """Go through the stages, from where the last commit left them."""
    # How a product is shared out among threads changes its last bits, and no score is
    # to depend on the machine's number of cores.
    with (
        threadpool_limits(limits=1, user_api="blas"),
        keras_session(
            seed=ctx.seed, device=ctx.device, vram_budget_bytes=ctx.vram_budget_bytes
        ),
    ):
        refuse_other_encoder(
            ctx.workspace.analysis, ctx.workspace.model / "encoder.keras"
        )
        frame = read_frame(ctx.workspace.analysis)
        keep_former(ctx)
        decoder, encoder, image_shape = _models(ctx, frame)
        is_path = method_of(ctx.options) == PATH
        ends = Ends.of(ctx, encoder, frame) if is_path else None
        task = GenerationTask.open(
            ctx,
            frame,
            _sources(ctx, frame, encoder, ends),
            decoder=decoder,
            encoder=encoder,
            image_shape=image_shape,
            compared=choose_real_images(ctx, image_shape),
        )
        state = GenerationState(ctx, task)
        for stage in (draw, revisit, search, score):
            yield from stage(ctx, task, state)
        return _finish(ctx, task, state, ends)


def _models(
    ctx: Context, frame: PrincipalFrame
) -> tuple[LatentDecoder, Encoder, tuple[int, ...]]:
    """Return both halves of the model, and the shape of an image."""
    model = _load_decoder(
        ctx.workspace.model / "decoder.keras",
        frame.dimension,
        word=ctx.options["code"],
    )
    batch_size = batch_size_of(ctx.options, model.output_shape[1:])
    decoder = LatentDecoder(model, batch_size=batch_size)
    image_shape = decoder.images(frame.mean[None].astype(np.float32)).shape[1:]
    path = ctx.workspace.model / "encoder.keras"
    encoder = Encoder(
        load_encoder(path, image_shape=image_shape, word=ctx.options["code"]),
        batch_size=batch_size,
        seed=ctx.seed,
    )
    return decoder, encoder, image_shape


def _load_decoder(
    path: Path, dimension: int, *, word: str | None = None
) -> keras.Model:
    model = read_model(path, word=word, todo="Run `lowmem run train` again.")
    if model.input_shape != (None, dimension):
        raise DataError(
            thing=path,
            problem=f"takes vectors of shape {model.input_shape[1:]}",
            expected=f"({dimension},), as were analysed",
            todo="Run `lowmem run encode` and `lowmem run analyze` for this model.",
        )
    return model


def _sources(
    ctx: Context, frame: PrincipalFrame, encoder: Encoder, ends: Ends | None
) -> dict[str, VectorSource]:
    """Return where the vectors of each method come from."""
    if ends is not None:
        vectors_at = next(iter(ends.paths.values()))
        return {PATH: AlongPath(vectors_at=vectors_at, n_vectors=ctx.options["count"])}
    return {
        method: _at_random(ctx, method, frame, encoder)
        for method in methods_of(ctx.options)
    }


def _at_random(
    ctx: Context, method: str, frame: PrincipalFrame, encoder: Encoder
) -> VectorSource:
    sigma = sigma_of(ctx.options)
    if method == NEAR:
        (centre,) = anchors(ctx, encoder, frame)
        return AtRandom(sampler=Near(frame, centre, sigma), method=NEAR, seed=ctx.seed)
    kept = ctx.options["components"] if method in OF_PRINCIPAL_AXES else None
    quantile = ctx.options["quantile"]
    source = sampler(method, frame, sigma=sigma, quantile=quantile, n_axes=kept)
    return AtRandom(sampler=source, method=method, seed=ctx.seed)


def _finish(
    ctx: Context, task: GenerationTask, state: GenerationState, ends: Ends | None
) -> Result:
    folder = ctx.staging / "generated"
    found = state.scores
    told = document(ctx, task, found)
    text = json.dumps(told, indent=2, allow_nan=False)
    write_file(folder / "scores.json", text.encode() + b"\n")
    if method_of(ctx.options) == ALL:
        write_file(folder / "methods.csv", table_csv(found))
        for line in table_lines(found):
            ctx.log(line)
    write_pictures(ctx, task, state, ends)
    return Result(publish=["generated"], summary=summary(told, found))

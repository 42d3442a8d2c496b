"""Draw vectors, decode them, and score the images; run by the worker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from lowmem.base.errors import DataError
from lowmem.base.files import write_file
from lowmem.protocol.job import CommitPoint, Context, Result
from lowmem.stores.read import RowReader
from lowmem.training.encoder import Encoder, load_encoder
from lowmem.training.session import keras_session
from lowmem_jobs.generate.decoder import Decoder
from lowmem_jobs.generate.fitted import read_frame
from lowmem_jobs.generate.job import batch_size_of
from lowmem_jobs.generate.passes import draw, open_images, revisit
from lowmem_jobs.generate.picture import GRID_IMAGES, grid_png
from lowmem_jobs.generate.scoring import Measured, scores
from lowmem_jobs.generate.task import Task

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


def work(ctx: Context) -> Generator[CommitPoint, None, Result]:
    """Make both passes, from where the last commit left them, then score."""
    with keras_session(
        seed=ctx.seed, device=ctx.device, vram_budget_bytes=ctx.vram_budget_bytes
    ):
        task = _task(ctx)
        writer = open_images(ctx, task)
        n_violations = yield from draw(ctx, task, writer)
        yield from revisit(ctx, task, writer, n_violations)
        return _finish(ctx, task, n_violations)


def _task(ctx: Context) -> Task:
    frame = read_frame(ctx.workspace.analysis)
    model = _load_decoder(ctx.workspace.model / "decoder.keras", frame.dimension)
    batch_size = batch_size_of(ctx.options, model.output_shape[1:])
    decoder = Decoder(model, batch_size=batch_size)
    image_shape = decoder.images(frame.mean[None].astype(np.float32)).shape[1:]
    encoder = load_encoder(
        ctx.workspace.model / "encoder.keras", image_shape=image_shape
    )
    return Task.open(
        ctx,
        frame,
        decoder=decoder,
        encoder=Encoder(encoder, batch_size=batch_size),
        image_shape=image_shape,
    )


def _load_decoder(path: Path, dimension: int) -> keras.Model:
    try:
        model = keras.saving.load_model(path, compile=False)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise DataError(
            thing=path,
            problem=f"cannot be read ({str(error).splitlines()[0]})",
            expected="a model file of Keras",
            todo="Run `lowmem run train` again.",
        ) from error
    if model.input_shape != (None, dimension):
        raise DataError(
            thing=path,
            problem=f"takes vectors of shape {model.input_shape[1:]}",
            expected=f"({dimension},), as were analysed",
            todo="Run `lowmem run encode` and `lowmem run analyze` for this model.",
        )
    return model


def _finish(ctx: Context, task: Task, n_violations: int) -> Result:
    folder = ctx.staging / "generated"
    document = _recipe(ctx, task, n_violations) | scores(
        Measured(
            drawn=task.z.read(task.n_scored),
            drawn_again=task.z_again.read(task.n_scored),
            real=task.real.read(len(task.real_rows)),
            real_again=task.real_again.read(len(task.real_rows)),
            errors=task.errors.read(len(task.real_rows)),
        ),
        task.frame,
    )
    text = json.dumps(document, indent=2, allow_nan=False)
    write_file(folder / "scores.json", text.encode() + b"\n")
    with RowReader.open(folder / "images.zarr", "images") as reader:
        shown = reader.read(0, min(task.n_vectors, GRID_IMAGES))
    write_file(folder / "grid.png", grid_png(shown))
    return Result(publish=["generated"], summary=_summary(document))


def _recipe(ctx: Context, task: Task, n_violations: int) -> dict[str, Any]:
    promise = task.source.promise
    return {
        "method": ctx.options["method"],
        "count": task.n_vectors,
        "seed": ctx.seed,
        "promise": promise,
        "violations": None if promise is None else n_violations,
    }


def _summary(document: dict[str, Any]) -> dict[str, Any]:
    round_trip = document["round_trip"]
    return {
        "method": document["method"],
        "images": document["count"],
        "violations": document["violations"],
        "round_trip": round_trip["generated"]["median"],
        "round_trip_of_real": round_trip["real"] and round_trip["real"]["median"],
        "frechet": document["frechet"]["generated"],
        "frechet_of_real": document["frechet"]["real"],
    }

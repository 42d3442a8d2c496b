"""What the planner knows of `encode`; imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lowmem import Calibration, Job, Need, Option, Rung, Trial
from lowmem.base import DataError
from lowmem.stores import fingerprint, images_at_once, images_to_use
from lowmem_jobs.model.import_consent import CODE, check_model_code
from lowmem_jobs.model.model_source import code_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lowmem import Context, PlanContext, Settings

_OPTIONS = (
    Option(
        name="data",
        kind="path",
        help="Zarr store of images; the workspace's own by default.",
        is_shared=False,
    ),
    Option(
        name="model",
        kind="path",
        help="Keras model file, encoder or whole autoencoder with a layer named z; "
        "the trained encoder by default.",
        is_shared=False,
    ),
    Option(
        name="batch_size",
        kind="int",
        minimum=1,
        help="Images that go through the encoder at once; by default 32, fewer of more "
        "than 96 pixels.",
    ),
    CODE,
)

# Rows in one chunk of the latents, and in one block of work.
BLOCK_ROWS = 1024
_MOST_AT_ONCE = 32

# bytes; measured, see tests/memory/test_training_memory.py: the backend with a loaded
# encoder. JAX and PyTorch: 237 and 342 MB for a small encoder in all.
_BASE_BYTES = {
    "tensorflow": 285 * 10**6,
    "jax": 260 * 10**6,
    "torch": 335 * 10**6,
}
# Of the file's size: the file read, its arrays, the variables.
_WEIGHT_COPIES = 3
# Output of the first layer for one image, over the image's own bytes, with what
# convolutions need beside it: a float32 layer of 64 channels at half size is 21 times
# the bytes of its image.
_ACTIVATIONS_PER_BYTE = 64
_BLOCKS_HELD = 3


def model_file(ctx: PlanContext | Context) -> Path:
    """Return the file of the model to encode with."""
    return Path(ctx.options["model"] or ctx.workspace.model / "encoder.keras")


def batch_size_of(ctx: PlanContext | Context) -> int:
    """Return how many images go through the encoder at once.

    Part of the result, to its last digits, so no rung of the ladder changes it.
    """
    images = images_to_use(ctx.options, ctx.workspace)
    given: int | None = ctx.options["batch_size"]
    return given or images_at_once(images.image_bytes, most=_MOST_AT_ONCE)


def ladder(ctx: PlanContext) -> Sequence[Settings]:
    """Return ever smaller numbers of images read ahead of the encoder."""
    block = BLOCK_ROWS
    rungs = [{"read_rows": block}]
    if not ctx.options["data"] and not ctx.workspace.images.exists():
        return rungs  # Asked for its names, before there are images.
    least = batch_size_of(ctx)
    while block > least:
        block = max(block // 4, least)
        rungs.append({"read_rows": block})
    return rungs


def predict(ctx: PlanContext, settings: Settings) -> Rung:
    """Return the predicted peak of the worker."""
    images = images_to_use(ctx.options, ctx.workspace)
    activations = batch_size_of(ctx) * _ACTIVATIONS_PER_BYTE
    read = _BLOCKS_HELD * min(settings["read_rows"], images.n_images)
    return Rung(
        settings=settings,
        ram_bytes=_BASE_BYTES.get(ctx.backend or "", _BASE_BYTES["tensorflow"])
        + _WEIGHT_COPIES * model_file(ctx).stat().st_size
        + (activations + read) * images.image_bytes,
    )


def calibrate(ctx: PlanContext) -> Calibration:
    """Return trials at both ends of the ladder: each takes one block of rows."""
    images = images_to_use(ctx.options, ctx.workspace)
    rungs = ladder(ctx)
    return Calibration(
        trials=[
            Trial(settings=settings, points=1) for settings in (rungs[-1], rungs[0])
        ],
        terms=lambda _, settings: (float(min(settings["read_rows"], images.n_images)),),
        depends_on={
            "batch_size": batch_size_of(ctx),
            "image_shape": images.image_shape,
            "model": fingerprint(model_file(ctx)),
        },
    )


def check(ctx: PlanContext) -> None:
    """Refuse a model whose code the user has not given their word for.

    Raises
    ------
    DataError
        If there is no such word, or no such code.
    """
    check_model_code(ctx, "encode", model_file(ctx))


def needs(ctx: PlanContext) -> Sequence[Need]:
    """Ask for the images and the encoder, as far as they are not given."""
    wanted = []
    if not ctx.options["data"]:
        wanted.append(Need(path=ctx.workspace.images, job="ingest"))
    if not ctx.options["model"]:
        wanted.append(Need(path=model_file(ctx), job="train"))
    return wanted


def inputs(ctx: PlanContext) -> Mapping[str, str]:
    """Return the fingerprints of images and model."""
    images = images_to_use(ctx.options, ctx.workspace)
    model = model_file(ctx)
    if not model.is_file():
        raise DataError(
            thing=model, problem="is missing or no file", expected="a .keras file"
        )
    found = {"images": fingerprint(images.store), "model": fingerprint(model)}
    return found | code_inputs(model)


def resume_at(_: PlanContext, row: int) -> Mapping[str, object]:
    """Return the state in which the row is the next: every row is encoded by itself."""
    return {"rows": row}


JOB = Job(
    name="encode",
    work="lowmem_jobs.encode.work:work",
    blocks="lowmem_jobs.encode.work:blocks",
    summary="Encode every image into its latent vector.",
    unit="images",
    options=_OPTIONS,
    check=check,
    ladder=ladder,
    predict=predict,
    calibrate=calibrate,
    needs=needs,
    inputs=inputs,
    resume_at=resume_at,
    uses_keras=True,
)

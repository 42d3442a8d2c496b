"""What the planner knows of `encode`; imports nothing heavy."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from lowmem import Calibration, Job, Need, Option, Rung, Trial
from lowmem.base import DataError
from lowmem.stores import fingerprint
from lowmem_jobs.encode.encoder_choice import EncoderKind, encoder_choice
from lowmem_jobs.encode.row_source import row_source
from lowmem_jobs.model.import_consent import CODE, check_model_code, check_named_code
from lowmem_jobs.model.model_source import code_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lowmem import Context, PlanContext, Settings
    from lowmem_jobs.encode.encoder_choice import EncoderChoice

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
        name="encoder",
        kind="str",
        help="Encode with anything: MODULE:FUNCTION or FILE.py:FUNCTION of a block of "
        "rows, FILE.keras or FILE.onnx.",
        is_shared=False,
    ),
    Option(
        name="weights",
        kind="path",
        help="File or folder that a class or function of --encoder takes as `weights`.",
        is_shared=False,
    ),
    Option(
        name="source",
        kind="str",
        help="Rows to encode instead of images: a Zarr array, a .npy file, or the lines "
        "of a text file.",
        is_shared=False,
    ),
    Option(
        name="batch_size",
        kind="int",
        minimum=1,
        help="Images, or rows, that go through the encoder at once; by default 32, fewer "
        "of more than 96 pixels.",
    ),
    CODE,
)

# Rows in one chunk of the latents, and in one block of work.
BLOCK_ROWS = 1024

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
_ACTIVATIONS_PER_VALUE = 64
_BLOCKS_HELD = 3


def batch_size_of(ctx: PlanContext | Context) -> int:
    """Return how many rows go through the encoder at once.

    Part of the result, to its last digits, so no rung of the ladder changes it.
    """
    given: int | None = ctx.options["batch_size"]
    return given or row_source(ctx).at_once


def ladder(ctx: PlanContext) -> Sequence[Settings]:
    """Return ever smaller numbers of rows read ahead of the encoder."""
    block = BLOCK_ROWS
    rungs = [{"read_rows": block}]
    is_given = ctx.options["data"] or ctx.options["source"]
    if not is_given and not ctx.workspace.images.exists():
        return rungs  # Asked for its names, before there are images.
    least = batch_size_of(ctx)
    while block > least:
        block = max(block // 4, least)
        rungs.append({"read_rows": block})
    return rungs


def predict(ctx: PlanContext, settings: Settings) -> Rung:
    """Return the predicted peak of the worker; unknown but for a Keras file."""
    choice, source = encoder_choice(ctx.options, ctx.workspace), row_source(ctx)
    if choice.kind is not EncoderKind.KERAS or source.row_shape is None:
        return Rung(settings=settings)
    # Bytes of images, or as many values.
    activations = batch_size_of(ctx) * _ACTIVATIONS_PER_VALUE * prod(source.row_shape)
    read = _BLOCKS_HELD * min(settings["read_rows"], source.n_rows)
    return Rung(
        settings=settings,
        ram_bytes=_BASE_BYTES.get(ctx.backend or "", _BASE_BYTES["tensorflow"])
        + _WEIGHT_COPIES * choice.file.stat().st_size
        + activations
        + read * source.row_bytes,
    )


def calibrate(ctx: PlanContext) -> Calibration:
    """Return trials at both ends of the ladder: each takes one block of rows."""
    choice, source = encoder_choice(ctx.options, ctx.workspace), row_source(ctx)
    rungs = ladder(ctx)
    depends_on: dict[str, object] = {
        "batch_size": batch_size_of(ctx),
        "image_shape": source.row_shape,
    }
    if choice.kind is EncoderKind.KERAS:
        depends_on["model"] = fingerprint(choice.file)
    else:
        depends_on |= {"encoder": choice.text, "rows": source.row_bytes}
        depends_on |= _code_inputs(choice)
    if source.row_shape is None:
        # Lines are as long as they are.
        depends_on["text"] = fingerprint(source.path)
    return Calibration(
        trials=[
            Trial(settings=settings, points=1) for settings in (rungs[-1], rungs[0])
        ],
        terms=lambda _, settings: (float(min(settings["read_rows"], source.n_rows)),),
        depends_on=depends_on,
    )


def check(ctx: PlanContext) -> None:
    """Refuse an encoder whose code the user has not given their word for.

    Raises
    ------
    DataError
        If there is no such word, or no such code.
    UsageError
        If the options contradict each other, or name what cannot be an encoder.
    """
    choice = encoder_choice(ctx.options, ctx.workspace)
    if choice.kind is EncoderKind.FUNCTION:
        check_named_code(ctx, "encode", "encoder", choice.text, choice.file)
    elif choice.kind is EncoderKind.KERAS:
        check_model_code(ctx, "encode", choice.file)


def needs(ctx: PlanContext) -> Sequence[Need]:
    """Ask for the images and the encoder, as far as they are not given."""
    wanted = []
    if not ctx.options["data"] and not ctx.options["source"]:
        wanted.append(Need(path=ctx.workspace.images, job="ingest"))
    if not ctx.options["model"] and not ctx.options["encoder"]:
        choice = encoder_choice(ctx.options, ctx.workspace)
        wanted.append(Need(path=choice.file, job="train"))
    return wanted


def inputs(ctx: PlanContext) -> Mapping[str, str]:
    """Return the fingerprints of what is encoded, and of what encodes it."""
    choice, source = encoder_choice(ctx.options, ctx.workspace), row_source(ctx)
    name = "images" if ctx.options["source"] is None else "source"
    found = {name: fingerprint(source.path)}
    if not choice.file.is_file():
        expected = f"a {choice.file.suffix or '.keras'} file"
        raise DataError(
            thing=choice.file, problem="is missing or no file", expected=expected
        )
    if choice.kind is EncoderKind.KERAS:
        return found | {"model": fingerprint(choice.file)} | code_inputs(choice.file)
    return found | _code_inputs(choice)


def _code_inputs(choice: EncoderChoice) -> dict[str, str]:
    found = {"encoder": fingerprint(choice.file)}
    if choice.weights is not None:
        found["weights"] = fingerprint(choice.weights)
    return found


def resume_at(_: PlanContext, row: int) -> Mapping[str, object]:
    """Return the state in which the row is the next: every row is encoded by itself."""
    return {"rows": row}


JOB = Job(
    name="encode",
    work="lowmem_jobs.encode.work:work",
    blocks="lowmem_jobs.encode.work:blocks",
    summary="Encode every image into its latent vector.",
    unit="vectors",
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

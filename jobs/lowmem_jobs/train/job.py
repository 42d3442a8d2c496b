"""What the planner knows of `train`; imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lowmem import Job, Need, Option
from lowmem.base import OptionValueError
from lowmem.stores import fingerprint, images_to_use
from lowmem_jobs.model.import_consent import CODE, check_named_code
from lowmem_jobs.model.model_source import find_source
from lowmem_jobs.train.architecture import KL_WEIGHT, REDUCTION, VAE
from lowmem_jobs.train.memory import calibrate, predict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lowmem import PlanContext, Settings

OPTIONS = (
    Option(
        name="data",
        kind="path",
        help="Zarr store of images; the workspace's own by default.",
        is_shared=False,
    ),
    Option(
        name="epochs",
        kind="int",
        default=20,
        minimum=1,
        help="How often every image is seen; more than before continue from there.",
        is_extent=True,
    ),
    Option(
        name="batch_size",
        kind="int",
        default=32,
        minimum=1,
        help="Images in one optimiser step.",
    ),
    Option(
        name="latent_dim",
        kind="int",
        minimum=1,
        help="Length of the latent vector; chosen by image size by default.",
    ),
    Option(
        name="filters",
        kind="ints",
        help="Channels of the encoder's convolutions, such as 64,128,256,512.",
    ),
    Option(
        name="batch_norm",
        kind="flag",
        default=False,
        help="Normalise each convolution's output over the batch.",
    ),
    Option(
        name="learning_rate",
        kind="float",
        default=1e-3,
        minimum=1e-12,
        help="Step size of Adam.",
    ),
    Option(
        name="loss",
        kind="str",
        default="mse",
        choices=("mse", "mae", "bce"),
        help="How pixels are compared: squared, absolute or cross-entropy.",
    ),
    Option(
        name="validation_split",
        kind="float",
        default=0.1,
        minimum=0,
        help="Share of images held out to measure the loss on.",
    ),
    Option(
        name="early_stopping",
        kind="int",
        default=0,
        minimum=0,
        help="End after so many epochs without improvement, keep the best; 0: never.",
    ),
    # None where it is not given: a job that was begun without it goes on.
    Option(
        name="reduce_lr",
        kind="int",
        minimum=1,
        help="Reduce the learning rate after so many epochs without improvement.",
    ),
    Option(
        name="reduce_lr_factor",
        kind="float",
        minimum=1e-12,
        help=f"What --reduce-lr multiplies it by; {REDUCTION} by default.",
    ),
    Option(
        name="keep",
        kind="str",
        choices=("last", "best"),
        help="Whose weights are published; by default the best epoch's with "
        "--early-stopping, else the last's.",
    ),
    Option(
        name="run_length",
        kind="int",
        minimum=1,
        help="Neighbours that are shuffled together, which slow disks read faster; 1 by "
        "default: each image by itself.",
    ),
    # None where they are not given, as above.
    Option(
        name="autoencoder",
        kind="str",
        choices=("plain", VAE),
        help="Which model is built: plain by default; vae, a variational autoencoder.",
    ),
    Option(
        name="kl_weight",
        kind="float",
        minimum=0,
        help="With --autoencoder vae: what its divergence is multiplied by in the loss; "
        f"{KL_WEIGHT} by default.",
    ),
    Option(
        name="model",
        kind="str",
        help="Your own model: MODULE:FUNCTION that returns a Keras model.",
    ),
    CODE,
)


def check(ctx: PlanContext) -> None:
    """Refuse a split that leaves nothing to train on, and a model that is not there.

    Raises
    ------
    OptionValueError
        If an option cannot be meant.
    DataError
        If lowmem.toml names a model whose code the user has not given their word for.
    """
    split = ctx.options["validation_split"]
    if split >= 1:
        raise OptionValueError(
            option="--validation-split", value=split, expected="a share below 1"
        )
    factor = ctx.options["reduce_lr_factor"]
    if factor is not None and factor >= 1:
        raise OptionValueError(
            option="--reduce-lr-factor", value=factor, expected="a factor below 1"
        )
    if ctx.options["keep"] == "last" and ctx.options["early_stopping"]:
        raise OptionValueError(
            option="--keep",
            value="last",
            expected="best beside --early-stopping, which keeps the best epoch's weights",
        )
    _check_autoencoder(ctx.options)
    if ctx.options["model"]:
        reference = ctx.options["model"]
        check_named_code(ctx, "train", "model", reference, find_source(reference))


def _check_autoencoder(options: Mapping[str, Any]) -> None:
    """Refuse a kind beside a model of the user's own, and a weight that it has not."""
    kind, weight = options["autoencoder"], options["kl_weight"]
    if kind and options["model"]:
        raise OptionValueError(
            option="--autoencoder",
            value=kind,
            expected="none beside --model, which builds the model itself",
        )
    if weight is not None and kind != VAE:
        raise OptionValueError(
            option="--kl-weight",
            value=weight,
            expected=f"none without --autoencoder {VAE}: no other loss has that part",
        )


def ladder(ctx: PlanContext) -> Sequence[Settings]:
    """Return ever smaller micro-batches: gradients accumulate to the same batch."""
    rungs: list[Settings] = [{"micro_batch": ctx.options["batch_size"]}]
    if not ctx.options["data"] and not ctx.workspace.images.exists():
        return rungs  # Asked for its names, before there are images.
    least_bytes = predict(ctx, rungs[0]).ram_bytes
    for micro_batch in _halves(ctx.options["batch_size"]):
        rung = {"micro_batch": micro_batch}
        ram_bytes = predict(ctx, rung).ram_bytes
        # Accumulators cost memory too: of a large model, more than a few images.
        if least_bytes is None or ram_bytes is None or ram_bytes < least_bytes:
            rungs.append(rung)
            least_bytes = ram_bytes
    return rungs


def _halves(n: int) -> Iterator[int]:
    while n > 1:
        n = -(-n // 2)
        yield n


def needs(ctx: PlanContext) -> Sequence[Need]:
    """Ask for what `ingest` takes by itself, drawn faces, where the workspace holds no images."""
    if ctx.options["data"]:
        return ()
    return (Need(path=ctx.workspace.images, job="ingest", options={}),)


def inputs(ctx: PlanContext) -> Mapping[str, str]:
    """Return the fingerprints of the images, and of the source of the user's model."""
    images = images_to_use(ctx.options, ctx.workspace)
    found = {"images": fingerprint(images.store)}
    if ctx.options["model"]:
        found["model"] = fingerprint(find_source(ctx.options["model"]))
    return found


JOB = Job(
    name="train",
    work="lowmem_jobs.train.work:work",
    summary="Train a convolutional autoencoder on the images.",
    unit="images",
    options=OPTIONS,
    check=check,
    ladder=ladder,
    predict=predict,
    calibrate=calibrate,
    needs=needs,
    inputs=inputs,
    is_bare=True,
    uses_keras=True,
    is_whole_for="each step begins with the weights that the one before has left",
)

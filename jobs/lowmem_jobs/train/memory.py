"""How much memory a training will need, from the shapes of its layers alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

from lowmem import Calibration, Rung, Trial
from lowmem.stores import Reading, fingerprint, images_to_use, plan_reading
from lowmem_jobs.model.model_source import find_source
from lowmem_jobs.train.architecture import architecture_from_options, keeps_best

if TYPE_CHECKING:
    from lowmem import PlanContext, Settings
    from lowmem.stores import Images
    from lowmem_jobs.train.architecture import Architecture

_FLOAT_BYTES = 4
# Steps after which a trial has allocated what later steps use again.
_TRIAL_STEPS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What training takes with one backend.

    Attributes
    ----------
    base_bytes
        Of a worker that has loaded it and compiled a step.
    weight_copies
        Variables, two moments of Adam, gradients, and what updates and gradients of
        dense layers need while they are computed.
    activation_copies
        Of what all layers put out for a micro-batch.
    accumulation_bytes, accumulation_copies
        What it takes beside to gather gradients: the compiled steps; accumulators, and
        both branches of the step that uses them.
    """

    base_bytes: int
    weight_copies: float
    activation_copies: float
    accumulation_bytes: int
    accumulation_copies: float


# Fitted to the peaks of anonymous memory that were measured on two cores, of trainings at
# 32, 64 and 96 pixels, with batches of 32 to 128, whole and in micro-batches, with and
# without batch normalisation. `benchmarks/plan.py train` prints peaks beside them.
_COSTS = {
    # 2.21, seven trainings, 338 to 1,830 MB: within 4 % of each.
    "tensorflow": Costs(
        base_bytes=330 * 10**6,
        weight_copies=7,
        activation_copies=1.25,
        accumulation_bytes=0,
        accumulation_copies=4.3,
    ),
    # 0.12, nine trainings, 319 to 980 MB: 0.9 to 16.3 % above each.
    "jax": Costs(
        base_bytes=345 * 10**6,
        weight_copies=7,
        activation_copies=1.8,
        accumulation_bytes=130 * 10**6,
        accumulation_copies=1.1,
    ),
    # 2.13, eight trainings, 341 to 977 MB: 0.5 to 5.8 % above each.
    "torch": Costs(
        base_bytes=355 * 10**6,
        weight_copies=6.6,
        activation_copies=1.35,
        accumulation_bytes=0,
        accumulation_copies=3.9,
    ),
}
# Of a job that is planned where nothing is known of the backend.
_USUAL = "tensorflow"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """What a model holds.

    Attributes
    ----------
    n_weights
        Number of trained values.
    n_activations
        Values that all layers together put out for one image.
    """

    n_weights: int
    n_activations: int


def predict(ctx: PlanContext, settings: Settings) -> Rung:
    """Return the predicted peak of the worker; unknown for a model of the user's own."""
    images = images_to_use(ctx.options, ctx.workspace)
    if ctx.options["model"]:
        return Rung(settings=settings)
    architecture = architecture_from_options(ctx.options, images.image_shape)
    size = size_of_model(architecture, images.image_shape)
    costs = _COSTS.get(ctx.backend or _USUAL, _COSTS[_USUAL])
    is_accumulating = settings["micro_batch"] < ctx.options["batch_size"]
    copies = (
        costs.weight_copies
        + costs.accumulation_copies * is_accumulating
        + keeps_best(ctx.options)
    )
    values = (
        copies * size.n_weights
        + costs.activation_copies * settings["micro_batch"] * size.n_activations
    )
    return Rung(
        settings=settings,
        ram_bytes=round(
            costs.base_bytes
            + costs.accumulation_bytes * is_accumulating
            + values * _FLOAT_BYTES
            + _reading_bytes(images, ctx.options["batch_size"])
        ),
    )


def _reading_bytes(images: Images, batch_size: int) -> int:
    """Return what the reader holds, and one batch on its way to the device."""
    reading = Reading(
        n_rows=images.n_images,
        row_bytes=images.image_bytes,
        chunk_rows=images.chunk_rows,
        batch_rows=batch_size,
        is_compressed=images.is_compressed,
    )
    return plan_reading(reading).memory_bytes + reading.batch_bytes


def calibrate(ctx: PlanContext) -> Calibration:
    """Return trials at an eighth and at half of the batch.

    Of a model of the user's own nothing is known before: a third trial shows what
    accumulated gradients cost.
    """
    batch_size = ctx.options["batch_size"]
    small, large = -(-batch_size // 8), -(-batch_size // 2)
    trials = [_trial(small, small)]
    if ctx.options["model"] and large > small:
        # Before the larger: that a model refuses parts is to be known at any budget.
        trials.append(_trial(2 * small, small))
    if large > small:
        trials.append(_trial(large, large))
    images = images_to_use(ctx.options, ctx.workspace)
    named = ("filters", "latent_dim", "batch_norm", "loss", "model")
    depends_on = {name: ctx.options[name] for name in named}
    depends_on["image_shape"] = images.image_shape
    if ctx.options["autoencoder"]:
        depends_on["autoencoder"] = ctx.options["autoencoder"]
    if ctx.options["model"]:
        depends_on["source"] = fingerprint(find_source(ctx.options["model"]))
    return Calibration(trials=trials, terms=_terms, depends_on=depends_on)


def _trial(batch_size: int, micro_batch: int) -> Trial:
    return Trial(
        settings={"micro_batch": micro_batch},
        # The weights of the best epoch are kept from the end of the first one on.
        options={"batch_size": batch_size, "early_stopping": 0, "keep": None},
        points=_TRIAL_STEPS,
    )


def _terms(ctx: PlanContext, settings: Settings) -> tuple[float, ...]:
    is_accumulating = settings["micro_batch"] < ctx.options["batch_size"]
    return float(settings["micro_batch"]), float(is_accumulating)


def size_of_model(
    architecture: Architecture, image_shape: tuple[int, ...]
) -> ModelSize:
    """Return the size of the default autoencoder for images of this shape."""
    height, width, channels = image_shape
    widths = (channels, *architecture.filters)
    sizes = [(height, width)]
    for _ in architecture.filters:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    folded = prod(sizes[-1]) * widths[-1]
    pairs = list(pairwise(widths))
    kernels = sum(9 * a * b for a, b in pairs)
    # Each convolution's output, again after normalisation and activation.
    copies = 3 if architecture.batch_norm else 2
    down = sum(
        prod(size) * width for size, width in zip(sizes[1:], widths[1:], strict=True)
    )
    up = sum(prod(size) * width for size, width in zip(sizes, widths, strict=False))
    # A second layer beside the latent one: kernel and bias.
    spread = architecture.is_variational * (folded + 1) * architecture.latent_dim
    return ModelSize(
        n_weights=2 * (kernels + folded * architecture.latent_dim)
        + sum(widths) * 4
        + folded
        + spread,
        n_activations=copies * (down + up) + 2 * prod(image_shape) + 2 * folded,
    )

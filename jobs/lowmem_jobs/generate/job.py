"""Describe the job `generate` to the planner."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from lowmem.base.errors import OptionValueError
from lowmem.protocol.calibration import Calibration, Trial
from lowmem.protocol.job import Job, Need, Option, PlanContext, Rung
from lowmem.stores.images import images_at_once
from lowmem.stores.metadata import fingerprint, read_array_info

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lowmem.protocol.job import Settings

OPTIONS = (
    Option(
        name="method",
        kind="str",
        default="ellipses",
        choices=("mvn", "ball", "box", "ellipses", "independent", "uniform"),
        help="Region and distribution of the vectors; the last two are contrasts.",
    ),
    Option(
        name="count",
        kind="int",
        default=64,
        minimum=1,
        help="Vectors to draw and decode.",
    ),
    Option(
        name="sigma",
        kind="float",
        default=3.0,
        minimum=0.01,
        help="Reach of box, ellipses and uniform, in standard deviations.",
    ),
    Option(
        name="quantile",
        kind="float",
        default=0.9,
        minimum=1e-6,
        help="Share of the fitted normal that ball keeps, at most 1.",
    ),
    Option(
        name="batch_size",
        kind="int",
        minimum=1,
        help="Images decoded at once; by default 16, fewer of more than 96 pixels.",
        is_shared=False,
    ),
)

# Vectors that are scored, of a million too: many times the 256 dimensions, and little
# time beside drawing them all.
SCORED_ROWS = 4096
# Images between two commits of the second pass, and of the first in one chunk.
STEP_ROWS = 64
_MOST_AT_ONCE = 16
_TRIAL_COUNT = 64

# bytes; measured: anonymous memory of a worker with TensorFlow, Keras, SciPy and Zarr.
_BARE_BYTES = 300 * 10**6
# Of both files' sizes: the files read, their arrays, the variables; measured.
_WEIGHT_COPIES = 4
# bytes per pixel and image of a batch; measured with 64 filters at half the size.
_BYTES_PER_PIXEL = 400
# Images at hand: read or decoded, joined, sent through both halves, written.
_ROW_COPIES = 6
# Copies in float64 of the scored vectors, and of their covariance, at the end.
_VECTOR_COPIES, _COVARIANCE_COPIES = 12, 10
_USUAL_SHAPE, _USUAL_DIMENSION = (96, 96, 3), 256


def check(plan: PlanContext) -> None:
    """Refuse a share above 1.

    Raises
    ------
    OptionValueError
        If an option cannot be meant.
    """
    if plan.options["quantile"] > 1:
        raise OptionValueError(
            option="--quantile",
            value=plan.options["quantile"],
            expected="a share, above 0 and at most 1",
        )


def ladder(_: PlanContext) -> Sequence[Settings]:
    """Return how many images to hold at once; how many are computed at once is fixed.

    Another batch would change the last digits of a result.
    """
    return tuple({"rows": rows} for rows in (STEP_ROWS, STEP_ROWS // 4))


def batch_size_of(options: Mapping[str, Any], image_shape: tuple[int, ...]) -> int:
    """Return how many images go through a model at once: part of the result."""
    given: int | None = options["batch_size"]
    return given or images_at_once(prod(image_shape), most=_MOST_AT_ONCE)


def calibrate(plan: PlanContext) -> Calibration:
    """Return a trial of a few images, drawn and real, at either rung."""
    return Calibration(
        trials=[
            # The first point ends the drawing, the others are of real images.
            Trial(settings=rung, options={"count": _TRIAL_COUNT}, points=3)
            for rung in reversed(ladder(plan))
        ],
        terms=lambda _, settings: (float(settings["rows"]),),
    )


def predict(plan: PlanContext, settings: Settings) -> Rung:
    """Return the memory of both models, one batch of images and the scored vectors."""
    images = read_array_info(plan.workspace.images / "images")
    image_shape = images.shape[1:] if images else _USUAL_SHAPE
    n_at_once = batch_size_of(plan.options, image_shape)
    mean = read_array_info(plan.workspace.analysis / "mean")
    dimension = mean.shape[0] if mean else _USUAL_DIMENSION
    batch = n_at_once * image_shape[0] * image_shape[1] * _BYTES_PER_PIXEL
    held = _ROW_COPIES * settings["rows"] * prod(image_shape)
    n_scored = min(plan.options["count"], SCORED_ROWS)
    values = dimension * (_VECTOR_COPIES * n_scored + _COVARIANCE_COPIES * dimension)
    files = (path for path in _models(plan).values() if path.exists())
    weights = _WEIGHT_COPIES * sum(path.stat().st_size for path in files)
    return Rung(
        settings=settings, ram_bytes=_BARE_BYTES + weights + batch + held + 8 * values
    )


def needs(plan: PlanContext) -> Sequence[Need]:
    """Return the analysis and both halves of the model."""
    models = (Need(path=path, job="train") for path in _models(plan).values())
    return (*models, Need(path=plan.workspace.analysis, job="analyze"))


def inputs(plan: PlanContext) -> Mapping[str, str]:
    """Return fingerprints of analysis, models and, where there are any, images."""
    read = {"analysis": plan.workspace.analysis, **_models(plan)}
    if plan.workspace.images.exists():
        read["images"] = plan.workspace.images
    return {name: fingerprint(path) for name, path in read.items()}


def _models(plan: PlanContext) -> dict[str, Path]:
    folder = plan.workspace.model
    return {half: folder / f"{half}.keras" for half in ("decoder", "encoder")}


JOB = Job(
    name="generate",
    work="lowmem_jobs.generate.work:work",
    summary="Draw new latent vectors, decode them into images, and score them.",
    unit="images",
    options=OPTIONS,
    check=check,
    ladder=ladder,
    predict=predict,
    calibrate=calibrate,
    needs=needs,
    inputs=inputs,
)

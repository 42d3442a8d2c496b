"""Describe the job `generate` to the planner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.errors import OptionValueError
from lowmem.protocol.job import Job, Need, Option, PlanContext, Rung
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
        default=32,
        minimum=1,
        help="Images decoded at once, unless memory is short.",
        is_shared=False,
    ),
)

# bytes; anonymous memory of a worker with TensorFlow, NumPy and Zarr loaded.
_BARE_BYTES = 300 * 10**6
# A model's weights are held twice while it is loaded.
_WEIGHT_COPIES = 2
# bytes per pixel of one image in a batch: the widest layers of 64 filters in float32,
# with their gradients-free workspaces.
_BYTES_PER_PIXEL = 1024
# float64 copies of the scored vectors and of the analysis held at the end.
_SCORED_ROWS = 4096
_SCORED_COPIES = 12
_FALLBACK_SHAPE = (96, 96, 3)


def ladder(plan: PlanContext) -> Sequence[Settings]:
    """Return batches of the chosen size, halved down to one image."""
    if plan.options["quantile"] > 1:
        raise OptionValueError(
            option="--quantile",
            value=plan.options["quantile"],
            expected="a share, above 0 and at most 1",
        )
    size = int(plan.options["batch_size"])
    return [{"micro_batch": size >> halvings} for halvings in range(size.bit_length())]


def predict(plan: PlanContext, settings: Settings) -> Rung:
    """Return the memory of both models, one batch of images and the scored vectors."""
    height, width, *_ = _image_shape(plan)
    mean = read_array_info(plan.workspace.analysis / "mean")
    dimension = mean.shape[0] if mean else 256
    batch = settings["micro_batch"] * height * width * _BYTES_PER_PIXEL
    scored = min(int(plan.options["count"]), _SCORED_ROWS)
    vectors = 8 * dimension * (_SCORED_COPIES * scored + 8 * dimension)
    weights = sum(
        path.stat().st_size for path in _models(plan).values() if path.exists()
    )
    ram_bytes = _BARE_BYTES + _WEIGHT_COPIES * weights + batch + vectors
    return Rung(settings=settings, ram_bytes=ram_bytes)


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


def _image_shape(plan: PlanContext) -> tuple[int, ...]:
    images = read_array_info(plan.workspace.images / "images")
    return images.shape[1:] if images else _FALLBACK_SHAPE


JOB = Job(
    name="generate",
    work="lowmem_jobs.generate.work:work",
    summary="Draw new latent vectors, decode them into images, and score them.",
    unit="images",
    options=OPTIONS,
    ladder=ladder,
    predict=predict,
    needs=needs,
    inputs=inputs,
)

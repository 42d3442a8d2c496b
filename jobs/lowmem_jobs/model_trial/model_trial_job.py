"""What the planner knows of a model's trial; `lowmem plan --model` finds it by this file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem import Job, Option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowmem import PlanContext, Settings

_OPTIONS = (
    Option(
        name="model",
        kind="str",
        is_required=True,
        help="FILE.py:FUNCTION, which takes nothing and returns a Keras model, or "
        "FILE.keras.",
    ),
    Option(
        name="batch_size",
        kind="int",
        default=32,
        minimum=1,
        help="Rows that the model takes at once.",
    ),
    Option(
        name="predict",
        kind="flag",
        default=False,
        help="Plan inference instead of a training.",
    ),
    Option(
        name="input_shape",
        kind="str",
        help="Sizes of one row, such as 128,16, where the model leaves any open; of "
        "several inputs '128,16;3'.",
    ),
)


def ladder(ctx: PlanContext) -> Sequence[Settings]:
    """Return the batch that is asked about: others are tried by `lowmem plan`."""
    return [{"batch_size": ctx.options["batch_size"]}]


def check(ctx: PlanContext) -> None:
    """Refuse what names no model, and a file that needs code.

    Raises
    ------
    OptionValueError, DataError
        Saying which.
    """
    # It reads HDF5, which only this job's planner is to load.
    from lowmem_jobs.model_trial.model_reference import (  # noqa: PLC0415
        reference_from_text,
        refuse_unless_plain,
        shapes_from_text,
    )

    shapes_from_text(ctx.options["input_shape"])
    reference = reference_from_text(ctx.options["model"])
    if reference.function is None:
        refuse_unless_plain(reference.path)


JOB = Job(
    name="model-trial",
    work="lowmem_jobs.model_trial.work:work",
    summary="Run a model of your own for a few steps, to see what it needs.",
    unit="rows",
    options=_OPTIONS,
    ladder=ladder,
    check=check,
    uses_keras=True,
)

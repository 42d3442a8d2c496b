"""The description of the job `append`, read by the planner: nothing heavy is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem import Job, Need, Option, Rung
from lowmem_jobs.ingest.existing_store import read_before, recipe_after
from lowmem_jobs.ingest.ingest_recipe import TRUNCATED, source_identity
from lowmem_jobs.ingest.job import (
    ARRAY_HELP,
    TRUNCATED_HELP,
    ladder,
    predicted_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem import PlanContext, Settings, Standing

# Of every image that is there, eight bytes of its name's hash, twice while they are
# sorted.
_NAME_BYTES = 16


def _check(plan: PlanContext) -> None:
    if plan.workspace.images.exists():
        recipe_after(read_before(plan.workspace.images), plan.options)


def _needs(plan: PlanContext) -> tuple[Need, ...]:
    return (Need(path=plan.workspace.images, job="ingest"),)


def _predict(plan: PlanContext, settings: Settings) -> Rung:
    before = read_before(plan.workspace.images)
    recipe = recipe_after(before, plan.options)
    ram_bytes = predicted_bytes(recipe, settings) + _NAME_BYTES * before.n_rows
    return Rung(settings=settings, ram_bytes=ram_bytes)


def _inputs(plan: PlanContext) -> Mapping[str, str]:
    """Return the fingerprints of the source, and of the store as it was before it."""
    before = read_before(plan.workspace.images)
    recipe = recipe_after(before, plan.options)
    identity = source_identity(recipe, plan.workspace.root)
    listed = before.appended(identity, recipe)
    store = before.digest if listed is None else str(listed["after"])
    return {"source": identity, "store": store}


def _standing(plan: PlanContext) -> Standing:
    before = read_before(plan.workspace.images)
    recipe = recipe_after(before, plan.options)
    identity = source_identity(recipe, plan.workspace.root)
    return "open" if before.appended(identity, recipe) is None else "done"


JOB = Job(
    name="append",
    summary="Add the images of one more source to images.zarr; not part of all.",
    work="lowmem_jobs.ingest.append_work:work",
    unit="images",
    options=(
        Option(
            name="source",
            kind="str",
            help="Folder, .zip, .tar(.gz), .npy, .npz or .zarr with more images.",
            is_shared=False,
        ),
        Option(name="array", kind="str", help=ARRAY_HELP, is_shared=False),
        Option(
            name="truncated",
            kind="str",
            choices=TRUNCATED,
            help=TRUNCATED_HELP,
            is_shared=False,
        ),
        Option(
            name="size",
            kind="int",
            minimum=8,
            help="Must be the store's own, which is the default.",
            is_shared=False,
        ),
        Option(
            name="crop",
            kind="str",
            help="Must be the store's own, which is the default.",
            is_shared=False,
        ),
        Option(
            name="limit",
            kind="int",
            minimum=1,
            help="Take only so many new images, the first by name.",
            is_shared=False,
        ),
    ),
    ladder=ladder,
    predict=_predict,
    check=_check,
    needs=_needs,
    inputs=_inputs,
    standing=_standing,
    uses_device=False,
    is_whole_for="it adds to what is there",
)

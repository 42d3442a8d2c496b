"""Describe the job `generate` to the planner."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lowmem import Job, Need
from lowmem.stores import fingerprint
from lowmem_jobs.generate.declared_options import OPTIONS, check
from lowmem_jobs.generate.option_values import rows_named
from lowmem_jobs.generate.prediction import calibrate, ladder, models, predict
from lowmem_jobs.model.model_source import code_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lowmem import PlanContext


def needs(plan: PlanContext) -> Sequence[Need]:
    """Return the analysis, both halves of the model, and images to start from."""
    wanted = [Need(path=path, job="train") for path in models(plan).values()]
    wanted.append(Need(path=plan.workspace.analysis, job="analyze"))
    if rows_named(plan.options) and not plan.options["vectors"]:
        wanted.append(Need(path=plan.workspace.images, job="ingest"))
    return wanted


def inputs(plan: PlanContext) -> Mapping[str, str]:
    """Return fingerprints of analysis and models, and of what scores compare with."""
    space = plan.workspace
    read = {"analysis": space.analysis, **models(plan)}
    compared = {
        "images": space.images,
        "latents": space.latents,
        "training": space.model / "training.json",
    }
    if plan.options["vectors"]:
        compared["vectors"] = Path(plan.options["vectors"])
    read |= {name: path for name, path in compared.items() if path.exists()}
    found = {name: fingerprint(path) for name, path in read.items()}
    return found | code_inputs(space.model / "decoder.keras")


JOB = Job(
    name="generate",
    work="lowmem_jobs.generate.work:work",
    summary="Draw new latent vectors, decode them into images, and score them.",
    unit="vectors",
    options=OPTIONS,
    version=2,
    check=check,
    ladder=ladder,
    predict=predict,
    calibrate=calibrate,
    needs=needs,
    inputs=inputs,
    uses_keras=True,
    is_whole_for="its stages score all vectors together, which shards do not do yet",
)

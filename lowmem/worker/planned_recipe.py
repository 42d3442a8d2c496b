"""All that the result of a job depends on, as the planner knows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.errors import DataError
from lowmem.protocol.job import unnamed
from lowmem.protocol.options import flag_of
from lowmem.protocol.recipe import CONTENT, DATA
from lowmem.worker.input_checks import holds, input_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from lowmem.protocol.job import Job
    from lowmem.protocol.planning import PlanContext
    from lowmem.protocol.recipe import Input


def recipe_of(
    job: Job, context: PlanContext, inputs: Mapping[str, Input]
) -> dict[str, Any]:
    """Return one plain value a key: version, seed, options, inputs.

    Parameters
    ----------
    inputs
        See `inputs_of`.
    """
    recipe = {o.name: context.options[o.name] for o in job.options if o.is_recipe}
    named = {f"{name}{DATA}": value for name, value in job.inputs(context).items()}
    found = {key: one.content for key, one in inputs.items()}
    return {"version": job.version, "seed": context.seed, **recipe, **named, **found}


def inputs_of(job: Job, context: PlanContext) -> dict[str, Input]:
    """Return what options and needs name, by its key in the recipe.

    Nothing of a job that names its inputs itself.

    Raises
    ------
    DataError
        If nothing is where a path leads that must be given.
    """
    if job.inputs is not unnamed:
        return {}
    named = _named_paths(job, context)
    return {f"{name}{CONTENT}": input_at(path) for name, path in named}


def _named_paths(job: Job, context: PlanContext) -> Iterator[tuple[str, Path]]:
    """Yield what options and needs name, where something is there to be read."""
    root = context.workspace.root
    for option in job.options:
        given = context.options[option.name]
        is_read = option.kind == "path" and option.is_input and option.is_recipe
        if is_read and option.is_required and not Path(given).exists():
            raise DataError(
                thing=given,
                problem="is missing",
                expected=f"the file or folder that {flag_of(option.name)} names",
            )
        if is_read and given and _is_input(Path(given), root):
            yield option.name, Path(given)
    for need in job.needs(context):
        if _is_input(need.path, root):
            yield need.path.name, need.path


def _is_input(path: Path, workspace: Path) -> bool:
    """Return whether something is there that stays as it is while jobs run.

    A folder that holds the workspace does not, however it is spelt or linked; a pipe can
    be read but once.
    """
    if path.is_file():
        return True
    return path.is_dir() and not holds(path, workspace)

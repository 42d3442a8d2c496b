"""Where an attempt at a job begins: at a commit, behind a finished run, or at nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from lowmem.base.errors import DataError
from lowmem.base.errors_recipe import RecipeChangedError
from lowmem.base.workspace import Workspace
from lowmem.checkpoints.restore import Restored, newest_running, restore
from lowmem.integrity.published import refuse_altered
from lowmem.protocol.recipe import is_extension, recipe_changes

if TYPE_CHECKING:
    from pathlib import Path

    from lowmem.checkpoints.manifest import Manifest
    from lowmem.protocol.job import Job
    from lowmem.protocol.messages import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where an attempt begins.

    Attributes
    ----------
    restored
        The commit that the work goes on from; None to begin with nothing.
    last
        The newest commit that the journal is to count.
    former
        See `Context.former`.
    note
        What the user should know of it.
    """

    restored: Restored | None = None
    last: Restored | None = None
    former: Path | None = None
    note: str = ""

    @property
    def next_generation(self) -> int:
        """The number of the next commit."""
        return 0 if self.last is None else self.last.manifest.generation + 1


def start_of(job: Job, request: Run) -> Start:
    """Return where to begin, from what earlier attempts and runs have committed.

    Raises
    ------
    RecipeChangedError
        If the last commit was made with another recipe, and not one that asks for less
        of the same.
    """
    space = Workspace.at(request.workspace, request.part)
    restored = restore(space.checkpoints(request.job))
    if restored is None:
        return Start()
    changes = recipe_changes(restored.manifest.recipe, request.recipe)
    if not changes:
        return Start(restored=restored, last=restored)
    is_whole = job.is_bare or restored.manifest.phase == "publishing"
    if not (is_whole and _is_extended(job, request, restored.manifest)):
        raise RecipeChangedError(job=job.name, changes=changes)
    if job.is_bare:
        return _behind_last_state(job, request, space, restored)
    return _beside_results(space, restored)


def _is_extended(job: Job, request: Run, manifest: Manifest) -> bool:
    return is_extension(manifest.recipe, request.recipe, job.extents)


def _behind_last_state(
    job: Job, request: Run, space: Workspace, newest: Restored
) -> Start:
    """Return the last state on the way to the result that is to be more."""
    found = newest_running(space.checkpoints(request.job))
    if found is not None and _is_extended(job, request, found.manifest):
        return Start(restored=found, last=found)
    note = (
        f"no state of the finished {job.name} is left to continue from: it starts over"
    )
    return Start(last=newest, note=note)


def _beside_results(space: Workspace, newest: Restored) -> Start:
    """Begin with nothing but the results as they were published, if they still are."""
    manifest = newest.manifest
    # The journal counts it; its arrays are of no more use.
    last = Restored(manifest=msgspec.structs.replace(manifest), arrays={}, damaged=())
    try:
        refuse_altered(space.root, manifest.publish, manifest.results)
    except DataError as error:
        return Start(last=last, note=f"nothing is taken over, for {error}")
    are_summed = bool(manifest.results)
    return Start(last=last, former=space.root if are_summed else None)

"""What is said of results of which no journal tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowmem.base.workspace import Workspace

NOTHING_HAS_RUN = "Nothing has run here yet. `lowmem jobs` lists what can."


def told_of_unrecorded(space: Workspace) -> str:
    """Return what to say of results that no record tells of; empty where there are none.

    Of a workspace whose ``.lowmem`` was deleted, the results are still there.
    """
    results = (
        space.images,
        space.model,
        space.latents,
        space.analysis,
        space.figures,
        space.generated,
    )
    there = [path.name for path in results if path.exists()]
    if space.journal.exists() or not there:
        return ""
    return (
        f"{space.root} holds {', '.join(there)}, but no record of how they were made: its "
        ".lowmem is not there. With --mirror a run brings it back; without it, a job makes "
        "its results anew, in the place of these."
    )

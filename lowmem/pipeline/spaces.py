"""What every line names: a job, and a workspace that may be made, or is there."""

from __future__ import annotations

from lowmem.base.containment import refuse_foreign
from lowmem.base.errors import UsageError
from lowmem.base.workspace import Workspace


def required_job(job: str | None) -> str:
    """Return the job that a line names.

    Raises
    ------
    UsageError
        If it names none.
    """
    if job is None:
        raise UsageError("no job is given, expected one. `lowmem jobs` lists them.")
    return job


def own_space(workspace: str) -> Workspace:
    """Return a workspace that is the user's, and may be made."""
    space = _folder(workspace)
    refuse_foreign(space)
    return space


def _folder(workspace: str) -> Workspace:
    """Return a workspace that may be made.

    Raises
    ------
    UsageError
        If a file has its place, or that of a folder above it.
    """
    space = Workspace.at(workspace)
    nearest = next(p for p in (space.root, *space.root.parents) if p.exists())
    if not nearest.is_dir():
        where = "is" if nearest == space.root else f"would lie in {nearest},"
        which = "" if nearest == space.root else "which is "
        raise UsageError(
            f"workspace {space.root} {where} {which}a file, expected a folder, which may "
            "be new: --workspace DIR."
        )
    return space


def existing_space(workspace: str) -> Workspace:
    """Return a workspace that is there, and the user's.

    Raises
    ------
    UsageError
        If it is not there.
    """
    space = _folder(workspace)
    if not space.root.is_dir():
        raise UsageError(
            f"workspace {space.root} is not there, expected a folder that `lowmem run` "
            "made."
        )
    refuse_foreign(space)
    return space

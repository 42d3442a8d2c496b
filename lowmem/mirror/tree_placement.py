"""Let what was taken from a mirror, and verified, take its places in the workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.journal import whole_part
from lowmem.base.redo_log import finish_placing, tree_in, write_placing
from lowmem.checkpoints.generations import examine, generation_path, generations
from lowmem.mirror.names import CONFIG, JOURNAL
from lowmem.mirror.precedence import (
    Commit,
    JournalClaims,
    choice_of_job,
    choice_of_result,
    outdated,
    told_by,
)
from lowmem.mirror.relation import records_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lowmem.base.workspace import Workspace
    from lowmem.mirror.precedence import Choice


def put_in_place(
    folder: Path, space: Workspace
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Move the tree in ``folder`` to the workspace, the journal last.

    Returns
    -------
    kept, outdated
        Places that were taken by what is of unknown origin, and stay as they are; and
        results that are older than the journal tells.
    """
    tree = tree_in(folder)
    here = told_by(records_of(whole_part(space.journal)))
    there = told_by(records_of((tree / JOURNAL).read_bytes()))
    chosen: dict[str, Choice] = {
        unit: _choice(unit, tree, space, here, there)
        for unit in _units(tree, tree, there)
        if unit != JOURNAL
    }
    placed = [unit for unit, choice in chosen.items() if choice == "place"]
    write_placing(folder, [*placed, JOURNAL])
    finish_placing(folder, space.root)
    kept = (unit for unit, choice in chosen.items() if choice == "keep")
    older = outdated(here, there, chosen)
    return tuple(str(space.root / unit) for unit in kept), older


def _units(folder: Path, tree: Path, there: JournalClaims) -> Iterator[str]:
    """Yield what is placed as a whole: results, all that a job keeps, single files."""
    for item in sorted(folder.iterdir()):
        path = item.relative_to(tree).as_posix()
        is_job = item.parent == tree / ".lowmem" / "jobs"
        if path in there.results or is_job or not item.is_dir():
            yield path
        else:
            yield from _units(item, tree, there)


def _choice(
    unit: str, tree: Path, space: Workspace, here: JournalClaims, there: JournalClaims
) -> Choice:
    if not (space.root / unit).exists():
        return "place"
    if unit == CONFIG:
        return "leave"
    if unit.startswith(".lowmem/jobs/"):
        own, theirs = (_newest(r / unit / "checkpoints") for r in (space.root, tree))
        return choice_of_job(unit.rpartition("/")[2], here, there, own, theirs)
    return choice_of_result(unit, here, there)


def _newest(folder: Path) -> Commit | None:
    """Return the newest whole checkpoint."""
    for generation in reversed(generations(folder)):
        found = examine(generation_path(folder, generation))
        if found.manifest is not None and not found.problems:
            return Commit(generation=generation, recipe=found.manifest.recipe)
    return None

"""Whether a checkpoint is of the run that the journal tells of: pure.

Each is whole by itself, so checksums do not tell that one was put in another's place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.checkpoints.sums import digest_of_entries
from lowmem.protocol.recipe import is_extension, recipe_changes

if TYPE_CHECKING:
    from lowmem.checkpoints.manifest import Manifest
    from lowmem.history.past import JobPast

_OTHER_OPTIONS = "has other options than the journal tells of: it is of another run"


def foreign_problem(manifest: Manifest, past: JobPast | None) -> str:
    """Return why a checkpoint is not of this job's last run; empty if nothing says so.

    A run is known by its options, and once it is done by the checksum of its results.
    """
    if past is None or past.begun is None:
        return ""
    ended, begun = past.ended, past.begun
    if recipe_changes(manifest.recipe, begun.recipe):
        # Or of the run that this one went on from.
        is_former = is_extension(manifest.recipe, begun.recipe, begun.extents)
        return "" if is_former else _OTHER_OPTIONS
    if ended is None or not ended.results_sha256 or not manifest.results:
        return ""
    if digest_of_entries(manifest.results) == ended.results_sha256:
        return ""
    return "lists other results than the journal tells of: it is of another run"

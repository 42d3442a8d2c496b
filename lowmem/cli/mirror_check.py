"""The mirror in `lowmem verify`: which one, how it stands, and what a repair takes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock
from lowmem.base.config import read_config
from lowmem.base.errors import ReportedError, StorageError
from lowmem.checkpoints.generations import examine, generation_path, generations
from lowmem.checkpoints.manifest import MANIFEST
from lowmem.history.fold import past_of
from lowmem.history.makers import owners_of
from lowmem.integrity.findings import MirrorStanding
from lowmem.integrity.lines import read_lines
from lowmem.integrity.mirrored import with_mirror, without
from lowmem.integrity.scan import verify
from lowmem.pipeline.commands import typed_value
from lowmem.supervisor.mirror_check import (
    discard_archives,
    inspect_mirror,
    restore_files,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lowmem.base.workspace import Workspace
    from lowmem.checkpoints.manifest import FileEntry
    from lowmem.history.past import JobPast, Past
    from lowmem.integrity.findings import Finding, Verification
    from lowmem.protocol.inspecting import Inspected


def remembered_mirror(space: Workspace) -> str | None:
    """Return the mirror of the newest run that began a job, else lowmem.toml's."""
    for begun in reversed(_past(space).begun):
        url = typed_value(begun.command, "mirror")
        if url:
            return url
    configured = read_config(space.config).get("run", {}).get("mirror")
    return str(configured) if configured else None


def _past(space: Workspace) -> Past:
    return past_of(read_lines(space.journal).records)


def inspected_with(
    local: Verification, space: Workspace, url: str
) -> tuple[Verification, Inspected | None]:
    """Return a verification with the mirror's; one that cannot be read is only said."""
    try:
        inspected = inspect_mirror(url, space, SystemClock())
    except (ReportedError, StorageError) as error:
        return replace(local, mirror=MirrorStanding(url=url, problem=str(error))), None
    return told_with(local, space, url, inspected), inspected


def told_with(
    local: Verification, space: Workspace, url: str, inspected: Inspected
) -> Verification:
    """Return a verification with what an inspection of the mirror found."""
    past = _past(space)
    return with_mirror(local, inspected, past.jobs, owners_of(past), url=url)


def verify_with(space: Workspace, url: str | None) -> Verification:
    """Check a workspace, and its mirror if there is one."""
    local = verify(space)
    return local if url is None else inspected_with(local, space, url)[0]


# --- repair ---------------------------------------------------------------------------


def restore_checkpoints(space: Workspace, url: str) -> list[str]:
    """Take damaged and missing checkpoints from the mirror; say of each where from.

    Raises
    ------
    ReportedError
        If the mirror cannot be read; what was taken before stays, being whole.

    Notes
    -----
    Their descriptions first: they say what the other files must be.
    """
    clock = SystemClock()
    manifests = dict.fromkeys(_lost_manifests(space, _past(space).jobs), "")
    taken = restore_files(url, space, manifests, clock)
    taken |= restore_files(url, space, dict(_lost_files(space)), clock)
    return _told(taken)


def restore_results(
    space: Workspace,
    url: str,
    damaged: Sequence[Finding],
    recorded: Mapping[str, Mapping[str, FileEntry]],
) -> list[str]:
    """Take damaged results from the mirror; say of each where it came from.

    Parameters
    ----------
    damaged
        What a verification found.
    recorded
        What was recorded of the results of each job when they were published.

    Raises
    ------
    ReportedError
        If the mirror cannot be read; what was taken before stays, being whole.
    """
    wanted = {
        f.path: recorded[f.job][f.path].sha256
        for f in damaged
        if f.kind in {"result", "chunk"} and f.path in recorded.get(f.job, {})
    }
    return _told(restore_files(url, space, wanted, SystemClock()))


def _told(taken: Mapping[str, str]) -> list[str]:
    return [
        f"{path}: from the mirror ({archive}), equal to the bit"
        for path, archive in taken.items()
    ]


def _lost_manifests(space: Workspace, pasts: Mapping[str, JobPast]) -> Iterator[str]:
    """Yield the places of checkpoints' descriptions that are damaged or missing."""
    for job, past in pasts.items():
        folder = space.checkpoints(job)
        wanted = {past.last_cycle} if past.last_cycle >= 0 else set()
        for generation in sorted(wanted.union(generations(folder))):
            path = generation_path(folder, generation)
            if MANIFEST in examine(path).problems:
                yield _place(space, job, generation, MANIFEST)


def _lost_files(space: Workspace) -> Iterator[tuple[str, str]]:
    """Yield the other files of checkpoints, with the SHA-256 that each must have."""
    for job in space.job_names():
        folder = space.checkpoints(job)
        for generation in generations(folder):
            found = examine(generation_path(folder, generation))
            if found.manifest is None:
                continue
            for name in found.problems:
                sha256 = found.manifest.files[name].sha256
                yield _place(space, job, generation, name), sha256


def _place(space: Workspace, job: str, generation: int, name: str) -> str:
    path = generation_path(space.checkpoints(job), generation) / name
    return path.relative_to(space.root).as_posix()


def tidied(
    space: Workspace, url: str, found: Verification, inspected: Inspected
) -> tuple[Inspected, list[str]]:
    """Delete what is not whole in the mirror and of this lineage; say what.

    Only for a workspace that is whole: until then a damaged copy is better than none.
    """
    names = {f.path.rpartition("/")[2] for f in found.findings if f.remedy == "discard"}
    names |= set(inspected.own_fragments)
    if not names:
        return inspected, []
    gone = frozenset(discard_archives(url, space, sorted(names), SystemClock()))
    return without(inspected, gone), [
        f"mirror: removed {name}, which was not whole" for name in sorted(gone)
    ]

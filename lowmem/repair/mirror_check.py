"""Hold a mirror against its workspace, and take files of it, through the mirror's process."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lowmem.base.config import read_config
from lowmem.base.errors import ReportedError, StorageError
from lowmem.base.files import make_folder, remove, rename, sync_file
from lowmem.checkpoints.generations import examine, generation_path, generations
from lowmem.checkpoints.manifest import MANIFEST
from lowmem.checkpoints.sums import entry_of_file
from lowmem.history.provenance import owners_of
from lowmem.pipeline.commands import typed_value
from lowmem.protocol.mirror_messages import (
    REQUEST_BYTES,
    Discard,
    Discarded,
    Fetch,
    Fetched,
    Inspect,
    Inspected,
)
from lowmem.repair.check import verify
from lowmem.repair.findings import MirrorRelation
from lowmem.repair.mirror_findings import with_mirror, without
from lowmem.repair.private_files import read_history, recorded_results
from lowmem.supervisor.mirror_client import answer_in_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lowmem.base.workspace import Workspace
    from lowmem.history.job_history import JobHistory
    from lowmem.repair.findings import Verification

# bytes of a message for each file, beside its path: the SHA-256 and punctuation.
_OVERHEAD_BYTES = 120


def remembered_mirror(space: Workspace) -> str | None:
    """Return the mirror of the newest run that began a job, else lowmem.toml's."""
    for begun in reversed(read_history(space).begun):
        url = typed_value(begun.command, "mirror")
        if url:
            return url
    configured = read_config(space.config).get("run", {}).get("mirror")
    return str(configured) if configured else None


def inspected_with(
    local: Verification, space: Workspace, url: str
) -> tuple[Verification, Inspected | None]:
    """Return a verification with the mirror's; one that cannot be read is only said."""
    try:
        inspected = answer_in_time(
            Inspect(url=url, workspace=str(space.root)), Inspected
        )
    except (ReportedError, StorageError) as error:
        return replace(local, mirror=MirrorRelation(url=url, problem=str(error))), None
    return told_with(local, space, url, inspected), inspected


def told_with(
    local: Verification, space: Workspace, url: str, inspected: Inspected
) -> Verification:
    """Return a verification with what an inspection of the mirror found."""
    history = read_history(space)
    return with_mirror(local, inspected, history.jobs, owners_of(history), url=url)


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
    manifests = dict.fromkeys(_lost_manifests(space, read_history(space).jobs), "")
    taken = _restore_files(url, space, manifests)
    taken |= _restore_files(url, space, dict(_lost_files(space)))
    return _told(taken)


def restore_results(space: Workspace, url: str) -> list[str]:
    """Take damaged results from the mirror; say of each where it came from.

    Raises
    ------
    ReportedError
        See `restore_checkpoints`.
    """
    damaged = [f for f in verify(space).findings if f.kind in {"result", "chunk"}]
    recorded = {job: recorded_results(space, job) for job in {f.job for f in damaged}}
    wanted = {
        f.path: recorded[f.job][f.path].sha256
        for f in damaged
        if f.path in recorded[f.job]
    }
    return _told(_restore_files(url, space, wanted))


def _told(taken: Mapping[str, str]) -> list[str]:
    return [
        f"{path}: from the mirror ({archive}), equal to the bit"
        for path, archive in taken.items()
    ]


def _lost_manifests(
    space: Workspace, histories: Mapping[str, JobHistory]
) -> Iterator[str]:
    """Yield the places of checkpoints' descriptions that are damaged or missing."""
    for job, history in histories.items():
        folder = space.checkpoints(job)
        wanted = {history.last_cycle} if history.last_cycle >= 0 else set()
        for generation in sorted(wanted.union(generations(folder))):
            path = generation_path(folder, generation)
            if MANIFEST in examine(path).problems:
                yield _name(space, job, generation, MANIFEST)


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
                yield _name(space, job, generation, name), sha256


def _name(space: Workspace, job: str, generation: int, name: str) -> str:
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
    request = Discard(url=url, workspace=str(space.root), names=tuple(sorted(names)))
    gone = frozenset(answer_in_time(request, Discarded).names)
    return without(inspected, gone), [
        f"mirror: removed {name}, which was not whole" for name in sorted(gone)
    ]


# --- ask ------------------------------------------------------------------------------


def _restore_files(
    url: str, space: Workspace, sha256: Mapping[str, str]
) -> dict[str, str]:
    """Put files of the mirror in their places; return the archive that each came from.

    Parameters
    ----------
    sha256
        What is wanted, by place; empty where only the place tells, see `Fetch`.

    Raises
    ------
    ReportedError
        If the mirror cannot be read, or does not answer.

    Notes
    -----
    A file is taken only if, read again here, it has its SHA-256; each is whole or as
    it was after a crash at any point.
    """
    folder = space.private / "restoring"
    taken: dict[str, str] = {}
    try:
        for part in parts_of(sha256):
            remove(folder)
            make_folder(folder)
            request = Fetch(
                url=url,
                workspace=str(space.root),
                folder=str(folder),
                sha256=dict(part),
            )
            for file in answer_in_time(request, Fetched).files:
                wanted = part.get(file.path)
                if wanted is None:
                    continue
                if _place(folder / file.name, space.root / file.path, wanted):
                    taken[file.path] = file.archive
    finally:
        remove(folder)
    return taken


def parts_of(sha256: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """Yield the wanted files in parts, each of which is a message that fits a pipe."""
    part: dict[str, str] = {}
    n_bytes = 0
    for path, sums in sha256.items():
        part[path] = sums
        n_bytes += len(path.encode(errors="surrogateescape")) + _OVERHEAD_BYTES
        if n_bytes > REQUEST_BYTES:
            yield part
            part, n_bytes = {}, 0
    if part:
        yield part


def _place(source: Path, target: Path, sha256: str) -> bool:
    if sha256 and entry_of_file(source).sha256 != sha256:
        return False
    make_folder(target.parent)
    sync_file(source)
    rename(source, target)
    sync_file(target.parent.parent)
    return True

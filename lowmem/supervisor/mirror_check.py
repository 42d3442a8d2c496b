"""Ask a mirror what it holds, and for files of it, through the mirror's own process."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

from lowmem.base.errors import EXIT_STORAGE, ReportedError
from lowmem.base.files import make_folder, remove, rename, storage_errors, sync_file
from lowmem.protocol.inspecting import (
    REQUEST_BYTES,
    Discard,
    Discarded,
    Fetch,
    Fetched,
    Inspect,
    Inspected,
)
from lowmem.supervisor.mirroring import answer_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from lowmem.base.clock import Clock
    from lowmem.base.workspace import Workspace
    from lowmem.protocol.messages import Message

# seconds without a byte from the mirror after which it counts as gone.
_PATIENCE_S = 60.0
# bytes of a message for each file, beside its path: the SHA-256 and punctuation.
_OVERHEAD_BYTES = 120

_T = TypeVar("_T", Inspected, Fetched, Discarded)


def inspect_mirror(url: str, space: Workspace, clock: Clock) -> Inspected:
    """Return what a mirror holds, every generation read to its end.

    Raises
    ------
    ReportedError
        If it cannot be read, or does not answer.
    """
    return _asked(Inspect(url=url, workspace=str(space.root)), Inspected, clock)


def discard_archives(
    url: str, space: Workspace, names: Iterable[str], clock: Clock
) -> tuple[str, ...]:
    """Delete archives of this workspace's lineage; return those that are gone."""
    request = Discard(url=url, workspace=str(space.root), names=tuple(names))
    return _asked(request, Discarded, clock).names


def restore_files(
    url: str, space: Workspace, sha256: Mapping[str, str], clock: Clock
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
            for file in _asked(request, Fetched, clock).files:
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
    with storage_errors(source), source.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if sha256 and found != sha256:
        return False
    make_folder(target.parent)
    sync_file(source)
    rename(source, target)
    sync_file(target.parent.parent)
    return True


def _asked(request: Message, kind: type[_T], clock: Clock) -> _T:
    """Return the answer to a request."""
    answer = answer_of(request, kind, clock, patience_s=_PATIENCE_S)
    if answer is None:
        raise ReportedError(
            message=f"no answer for {_PATIENCE_S:.0f} s", exit_code=EXIT_STORAGE
        )
    return answer

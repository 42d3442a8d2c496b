"""Which checkpoints lie in a folder, and whether each is whole: no NumPy.

The command that verifies a workspace, and the process that mirrors it, must stay small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.base.errors import CorruptFileError
from lowmem.base.files import make_folder, remove, storage_errors
from lowmem.checkpoints.manifest import (
    MANIFEST,
    manifest_from_bytes,
    refuse_newer,
    told_cycle,
)

if TYPE_CHECKING:
    from pathlib import Path

    from lowmem.checkpoints.manifest import FileEntry, Manifest
    from lowmem.protocol.messages import Cycle

_PREFIX = "gen-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was found of one generation.

    Attributes
    ----------
    manifest
        Its manifest if that is whole, else None.
    problems
        What is wrong, by name of the file; empty if the generation is whole.
    """

    manifest: Manifest | None
    problems: dict[str, str]


def generation_path(folder: Path, generation: int) -> Path:
    """Return the folder of one generation."""
    return folder / f"{_PREFIX}{generation:08d}"


def generations(folder: Path) -> list[int]:
    """Return the generations present, oldest first."""
    if not folder.exists():
        return []
    names = (path.name.removeprefix(_PREFIX) for path in folder.glob(f"{_PREFIX}*"))
    return sorted(int(name) for name in names if name.isdigit())


def committed_cycle(path: Path) -> Cycle | None:
    """Return the cycle that a generation tells of; None where it is not there.

    For the supervisor, of a worker that has just ended: since a rename made it a
    generation it is whole, and whoever goes on from it holds it against its checksums.
    """
    try:
        content = (path / MANIFEST).read_bytes()
    except OSError:
        # Where nothing can be read now, the next worker tells what it finds.
        return None
    return told_cycle(content)


def read_manifest(path: Path) -> Manifest | None:
    """Return the manifest of a generation if all its files match it, else None.

    Raises
    ------
    NewerFormatError
        If a newer lowmem wrote it.
    """
    found = examine(path)
    return None if found.problems else found.manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    """The newest generation that is whole.

    Attributes
    ----------
    damaged
        Newer ones that were not, newest first; they are gone.
    """

    path: Path
    manifest: Manifest
    damaged: tuple[str, ...]


def newest_whole(folder: Path) -> Newest | None:
    """Return the newest generation that verifies; None if there is none at all.

    Damaged newer generations are deleted once an older one has verified, so that the
    next commit may take their number.

    Raises
    ------
    CorruptFileError
        If there are generations and none verifies. They are left for inspection:
        beginning anew without a word would hide the loss, and their higher numbers
        would make retention delete the new ones.
    NewerFormatError
        If a newer lowmem wrote one of them.
    """
    make_folder(folder)
    remove(folder / "tmp")
    damaged: list[str] = []
    for generation in reversed(generations(folder)):
        path = generation_path(folder, generation)
        manifest = read_manifest(path)
        if manifest is not None:
            for name in damaged:
                remove(folder / name)
            return Newest(path=path, manifest=manifest, damaged=tuple(damaged))
        damaged.append(path.name)
    if damaged:
        raise CorruptFileError(
            path=folder,
            problem=f"holds no checkpoint that is whole ({', '.join(damaged)})",
        )
    return None


def examine(path: Path) -> Examined:
    """Return what is wrong with a generation.

    Raises
    ------
    NewerFormatError
        If a newer lowmem wrote it.

    Notes
    -----
    Time: one read of it. Memory: its manifest and 256 KiB.
    """
    file = path / MANIFEST
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return Examined(manifest=None, problems={MANIFEST: "is missing"})
    refuse_newer(content, file)
    manifest = manifest_from_bytes(content)
    if manifest is None:
        problem = "does not match its own checksum"
        return Examined(manifest=None, problems={MANIFEST: problem})
    found = {name: _problem(path / name, e) for name, e in manifest.files.items()}
    problems = {name: problem for name, problem in found.items() if problem}
    return Examined(manifest=manifest, problems=problems)


def _problem(path: Path, entry: FileEntry) -> str:
    if not path.exists():
        return "is missing"
    size = path.stat().st_size
    if size != entry.size_bytes:
        return f"holds {size} bytes instead of {entry.size_bytes}"
    import hashlib  # noqa: PLC0415 - see `manifest`

    with storage_errors(path), path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return "" if digest == entry.sha256 else "was altered: its SHA-256 differs"

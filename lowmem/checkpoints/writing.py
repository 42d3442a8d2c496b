"""Make a generation: whole and durable, or absent. No NumPy.

Order matters. Everything is written into a temporary folder and forced to the disk;
the manifest, which lists sizes and checksums, comes last; the files are read back; then
one rename makes the folder a generation, and the parent folder is forced to the disk.
A crash at any point leaves either the whole generation or a temporary folder that the
next start deletes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from lowmem.base.errors import StorageError
from lowmem.base.files import make_folder, remove, rename, storage_errors, write_file
from lowmem.checkpoints.generations import generation_path, generations
from lowmem.checkpoints.manifest import MANIFEST, Manifest, bytes_from_manifest
from lowmem.checkpoints.retention import KEPT_GENERATIONS, expired_generations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lowmem.checkpoints.manifest import FileEntry


def make_generation(
    folder: Path,
    manifest: Manifest,
    write: Callable[[Path], Mapping[str, FileEntry]],
    check: Callable[[Path], None],
    *,
    keep: int = KEPT_GENERATIONS,
) -> Path:
    """Write one generation and return its folder.

    Parameters
    ----------
    folder
        Where the job's checkpoints are.
    manifest
        Its description; ``files`` is filled in here.
    write
        Writes the files into a folder, forced to the disk, and returns what they hold.
    check
        Reads them back, and raises `StorageError` for one that reads otherwise.
    keep
        How many generations stay, this one among them.

    Raises
    ------
    StorageError
        If anything could not be written, or reads back otherwise than it was written.
        The generations before it are untouched.
    """
    temporary = folder / "tmp"
    remove(temporary)
    make_folder(temporary)
    try:
        files = dict(write(temporary))
        whole = msgspec.structs.replace(manifest, files=files)
        content = bytes_from_manifest(whole)
        write_file(temporary / MANIFEST, content)
        _check_manifest(temporary / MANIFEST, content)
        check(temporary)
        final = generation_path(folder, manifest.generation)
        remove(final)
        rename(temporary, final)
    except BaseException:
        _discard(temporary)
        raise
    for generation in expired_generations(generations(folder), keep=keep):
        remove(generation_path(folder, generation))
    return final


def _check_manifest(path: Path, content: bytes) -> None:
    with storage_errors(path):
        if path.read_bytes() != content:
            raise StorageError(path=path, problem="reads back damaged")


def _discard(temporary: Path) -> None:
    """Delete what a failed commit left, so that a full disk gets its space back."""
    try:
        remove(temporary)
    except StorageError:
        return  # The next commit deletes it; the first failure is the one to report.

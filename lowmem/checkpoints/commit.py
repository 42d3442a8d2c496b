"""Commit a checkpoint: after this returns, it survives a crash of the machine.

Order matters. Everything is written into a temporary folder and forced to the disk;
the manifest, which lists sizes and checksums, comes last; the files are read back; then
one rename makes the folder a generation, and the parent folder is forced to the disk.
A crash at any point leaves either the whole generation or a temporary folder that the
next start deletes.
"""

from __future__ import annotations

import os
import zipfile
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from lowmem.base.errors import StorageError
from lowmem.base.files import (
    make_folder,
    remove,
    rename,
    storage_errors,
    sync_file,
    write_file,
)
from lowmem.checkpoints.generations import generation_path, generations
from lowmem.checkpoints.manifest import (
    ARRAYS,
    MANIFEST,
    Manifest,
    bytes_from_manifest,
    refuse_unfaithful,
)
from lowmem.checkpoints.retention import expired_generations
from lowmem.checkpoints.sums import entry_of_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from lowmem.checkpoints.manifest import FileEntry


def commit(
    folder: Path,
    manifest: Manifest,
    arrays: Iterable[tuple[str, NDArray[np.generic]]] = (),
) -> Path:
    """Write one generation and return its folder.

    Parameters
    ----------
    folder
        Where the job's checkpoints are.
    manifest
        Its description; ``files`` is filled in here.
    arrays
        Names and arrays, taken and written one at a time.

    Raises
    ------
    StateError
        If a value of the job would not read back as it is.
    StorageError
        If anything could not be written, or reads back otherwise than it was written.
        The generations before it are untouched.

    Notes
    -----
    Peak extra memory: one array, plus 1 MiB. Time: one write and one read of the
    state, two to four fsyncs.
    """
    refuse_unfaithful(manifest)
    temporary = folder / "tmp"
    remove(temporary)
    make_folder(temporary)
    try:
        files = _write_arrays(temporary / ARRAYS, arrays)
        whole = msgspec.structs.replace(manifest, files=files)
        content = bytes_from_manifest(whole)
        write_file(temporary / MANIFEST, content)
        _read_back(temporary, content)
        final = generation_path(folder, manifest.generation)
        remove(final)
        rename(temporary, final)
    except BaseException:
        _discard(temporary)
        raise
    for generation in expired_generations(generations(folder)):
        remove(generation_path(folder, generation))
    return final


def _discard(temporary: Path) -> None:
    """Delete what a failed commit left, so that a full disk gets its space back."""
    try:
        remove(temporary)
    except StorageError:
        return  # The next commit deletes it; the first failure is the one to report.


def _write_arrays(
    path: Path, arrays: Iterable[tuple[str, NDArray[np.generic]]]
) -> dict[str, FileEntry]:
    """Write the arrays as one .npz, forced to the disk; nothing for no arrays."""
    with storage_errors(path), path.open("wb") as stream:
        count = 0
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            for name, array in arrays:
                # A fixed date: the same state gives the same bytes.
                entry = zipfile.ZipInfo(f"{name}.npy")
                with archive.open(entry, "w", force_zip64=True) as member:
                    np.lib.format.write_array(
                        member, np.asanyarray(array), allow_pickle=False
                    )
                count += 1
        stream.flush()
        os.fsync(stream.fileno())
    if not count:
        remove(path)
        return {}
    sync_file(path.parent)
    return {ARRAYS: entry_of_file(path)}


def _read_back(folder: Path, manifest: bytes) -> None:
    """Refuse a checkpoint that reads otherwise than it was written.

    The arrays are held against the checksums of their writing, within the archive:
    those in the manifest were themselves taken of what lies on the disk.
    """
    path = folder / MANIFEST
    with storage_errors(path):
        if path.read_bytes() != manifest:
            raise StorageError(path=path, problem="reads back damaged")
    path = folder / ARRAYS
    if not path.exists():
        return
    try:
        with storage_errors(path), zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except zipfile.BadZipFile as error:
        raise StorageError(
            path=path, problem=f"reads back damaged ({error})"
        ) from error
    if damaged is not None:
        raise StorageError(path=path, problem=f"{damaged} reads back damaged")

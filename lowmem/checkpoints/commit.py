"""Commit a checkpoint of a job: after this returns, it survives a crash of the machine.

How a generation is made is `writing`; here is what a job keeps in it, its arrays.
"""

from __future__ import annotations

import os
import zipfile
from typing import TYPE_CHECKING

import numpy as np

from lowmem.base.errors import StorageError
from lowmem.base.files import remove, storage_errors, sync_file
from lowmem.checkpoints.manifest import ARRAYS, Manifest, refuse_unfaithful
from lowmem.checkpoints.retention import KEPT_GENERATIONS
from lowmem.checkpoints.sums import entry_of_file
from lowmem.checkpoints.writing import make_generation

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from lowmem.checkpoints.manifest import FileEntry


def commit(
    folder: Path,
    manifest: Manifest,
    arrays: Iterable[tuple[str, NDArray[np.generic]]] = (),
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
    arrays
        Names and arrays, taken and written one at a time.
    keep
        How many generations stay, this one among them.

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

    def write(temporary: Path) -> dict[str, FileEntry]:
        return _write_arrays(temporary / ARRAYS, arrays)

    return make_generation(folder, manifest, write, _check_arrays, keep=keep)


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


def _check_arrays(folder: Path) -> None:
    """Refuse arrays that read otherwise than they were written.

    They are held against the checksums of their writing, within the archive: those in
    the manifest were themselves taken of what lies on the disk.
    """
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

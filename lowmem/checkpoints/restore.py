"""Find the newest checkpoint that is whole."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowmem.base.errors import CorruptFileError
from lowmem.base.files import make_folder, remove, storage_errors
from lowmem.checkpoints.manifest import ARRAYS, MANIFEST, manifest_from_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from lowmem.checkpoints.manifest import FileEntry, Manifest

_PREFIX = "gen-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A checkpoint that verified.

    Attributes
    ----------
    arrays
        Its arrays by name, each read from the disk when asked for.
    damaged
        Newer generations that did not verify, newest first.
    """

    manifest: Manifest
    arrays: Mapping[str, NDArray[Any]]
    damaged: tuple[str, ...]


def generation_path(folder: Path, generation: int) -> Path:
    """Return the folder of one generation."""
    return folder / f"{_PREFIX}{generation:08d}"


def generations(folder: Path) -> list[int]:
    """Return the generations present, oldest first."""
    if not folder.exists():
        return []
    names = (path.name.removeprefix(_PREFIX) for path in folder.glob(f"{_PREFIX}*"))
    return sorted(int(name) for name in names if name.isdigit())


def restore(folder: Path) -> Restored | None:
    """Return the newest generation that verifies; None if there is none at all.

    Damaged newer generations are deleted once an older one has verified, so that the
    next commit may take their number.

    Raises
    ------
    CorruptFileError
        If there are generations and none verifies. They are left for inspection:
        beginning anew without a word would hide the loss, and their higher numbers
        would make retention delete the new ones.
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
            return Restored(
                manifest=manifest, arrays=_open_arrays(path), damaged=tuple(damaged)
            )
        damaged.append(path.name)
    if damaged:
        raise CorruptFileError(
            path=folder,
            problem=f"holds no checkpoint that is whole ({', '.join(damaged)})",
        )
    return None


def read_manifest(path: Path) -> Manifest | None:
    """Return the manifest of a generation if all its files match it, else None."""
    try:
        manifest = manifest_from_bytes((path / MANIFEST).read_bytes())
    except FileNotFoundError:
        return None
    if manifest is None:
        return None
    matches = all(
        _matches(path / name, entry) for name, entry in manifest.files.items()
    )
    return manifest if matches else None


def _matches(path: Path, entry: FileEntry) -> bool:
    if not path.exists() or path.stat().st_size != entry.size_bytes:
        return False
    with storage_errors(path), path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == entry.sha256


def _open_arrays(path: Path) -> Mapping[str, NDArray[Any]]:
    arrays = path / ARRAYS
    if not arrays.exists():
        return {}
    opened: Mapping[str, NDArray[Any]] = np.load(arrays, allow_pickle=False)
    return opened

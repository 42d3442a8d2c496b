"""Whether a .npy file is as it was at the last commit, without reading it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.files import storage_errors
from lowmem.checkpoints.generations import generation_path, generations, read_manifest
from lowmem.protocol.recipe import DATA

if TYPE_CHECKING:
    from pathlib import Path

    from lowmem.base.workspace import Workspace

# Its key in the state of a commit.
FILE = "file"


def known_print(job: str, path: Path, space: Workspace) -> str | None:
    """Return the fingerprint of a .npy file from the last commit, if it is as it was then.

    To look at all of a file would be to read all that is done already.
    """
    folder = space.checkpoints(job)
    found = generations(folder)
    manifest = read_manifest(generation_path(folder, found[-1])) if found else None
    if manifest is None or not path.is_file():
        return None
    if manifest.state.get(FILE) != identity_of_file(path):
        return None
    known = manifest.recipe.get(f"source{DATA}")
    return known if isinstance(known, str) else None


def identity_of_file(path: Path) -> list[int] | None:
    """Return what changes whenever a file is written to; None of a folder.

    The time of its last change is the kernel's own: nobody can set it back.
    """
    with storage_errors(path):
        status = path.stat()
    if not path.is_file():
        return None
    return [
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    ]

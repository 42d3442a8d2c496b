"""A fingerprint of a source: what must not change between two parts of one ingest.

Only the standard library: the planner asks for it before each start.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from lowmem.stores.metadata import fingerprint
from lowmem_jobs.ingest.entries import name_bytes
from lowmem_jobs.ingest.folder import list_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lowmem_jobs.ingest.recipe import Recipe

_WHOLE_BYTES = 2**26  # a file up to this size is hashed whole, in a tenth of a second
_N_SAMPLES = 256
_SAMPLE_BYTES = 2**16


def source_identity(recipe: Recipe, workspace: Path) -> str:
    """Return a short text that changes when the source does.

    Notes
    -----
    Of a folder: names, sizes and times of change (in seconds, kept by ``cp -p``) of
    all files. Of a file: its size and bytes, if large those of 256 spread samples; not
    its time, since a fresh machine starts from a fresh copy.
    """
    if recipe.path is None:
        return recipe.title
    if recipe.kind == "zarr":
        return fingerprint(recipe.path)
    is_folder = recipe.kind == "folder"
    parts = _folder(recipe.path, workspace) if is_folder else _file(recipe.path)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]


def _folder(root: Path, workspace: Path) -> Iterator[bytes]:
    entries = list_folder(root, without=workspace)
    for entry in sorted(entries, key=lambda entry: name_bytes(entry.name)):
        yield name_bytes(entry.name) + b"\0%d %d\0" % (entry.n_bytes, entry.changed_s)


def _file(path: Path) -> Iterator[bytes]:
    n_bytes = path.stat().st_size
    yield b"%d\0" % n_bytes
    with path.open("rb") as stream:
        if n_bytes <= _WHOLE_BYTES:
            yield stream.read()
            return
        for sample in range(_N_SAMPLES):
            stream.seek((n_bytes - _SAMPLE_BYTES) * sample // (_N_SAMPLES - 1))
            yield stream.read(_SAMPLE_BYTES)

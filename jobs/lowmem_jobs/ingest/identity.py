"""A fingerprint of a source: what must not change between two parts of one ingest.

Only the standard library: the planner asks for it before each start.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from lowmem.stores.metadata import fingerprint
from lowmem_jobs.ingest.entries import name_bytes
from lowmem_jobs.ingest.folder import list_folder
from lowmem_jobs.ingest.zipdirectory import ZipDamageError, directory_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lowmem_jobs.ingest.recipe import Recipe

_WHOLE_BYTES = 2**30  # a file up to this size is hashed whole, in half a second
_N_SAMPLES = 256
_SAMPLE_BYTES = 2**20
_BLOCK_BYTES = 2**20


def source_identity(recipe: Recipe, workspace: Path) -> str:
    """Return a short text that changes when the source does.

    Notes
    -----
    Of a folder: names, sizes and times of change (in seconds, kept by ``cp -p``) of
    all files. Of a Zarr store: see `fingerprint`. Of another file its size and bytes,
    but not its time, since a fresh machine starts from a fresh copy; of one above 1 GiB
    256 spread MiB of them, and of a zip or npz the whole directory with every member's
    CRC-32, which the content is held against when it is read. So what is not seen: an
    image of a folder, or in a larger tar or npy between two samples, that was replaced
    by one of the same size, its time set back. The last sample of a tar.gz holds the
    CRC-32 of all.
    """
    if recipe.path is None:
        return recipe.title
    if recipe.kind == "zarr":
        return fingerprint(recipe.path)
    digest = hashlib.sha256()
    for part in _parts(recipe, recipe.path, workspace):
        digest.update(part)
    return digest.hexdigest()[:16]


def _parts(recipe: Recipe, path: Path, workspace: Path) -> Iterator[bytes]:
    if recipe.kind == "folder":
        yield from _folder(path, workspace)
        return
    yield from _file(path)
    if recipe.kind in {"zip", "npz"}:
        with path.open("rb") as stream, suppress(ZipDamageError):
            yield from directory_bytes(stream)


def _folder(root: Path, workspace: Path) -> Iterator[bytes]:
    entries = list_folder(root, without=workspace)
    for entry in sorted(entries, key=lambda entry: name_bytes(entry.name)):
        yield name_bytes(entry.name) + b"\0%d %d\0" % (entry.n_bytes, entry.changed_s)


def _file(path: Path) -> Iterator[bytes]:
    n_bytes = path.stat().st_size
    yield b"%d\0" % n_bytes
    with path.open("rb") as stream:
        if n_bytes <= _WHOLE_BYTES:
            while block := stream.read(_BLOCK_BYTES):
                yield block
            return
        for sample in range(_N_SAMPLES):
            stream.seek((n_bytes - _SAMPLE_BYTES) * sample // (_N_SAMPLES - 1))
            yield stream.read(_SAMPLE_BYTES)

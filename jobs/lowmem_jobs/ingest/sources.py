"""Open the source that a recipe names."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lowmem.base.errors import DataError
from lowmem.base.files import remove
from lowmem_jobs.ingest.arrays import open_npy, open_npz, open_zarr
from lowmem_jobs.ingest.decode import Decoder
from lowmem_jobs.ingest.entries import FileSource
from lowmem_jobs.ingest.faces import FaceSource
from lowmem_jobs.ingest.folder import list_folder, read_file
from lowmem_jobs.ingest.tars import list_tar, plain_tar, span_reader
from lowmem_jobs.ingest.zips import list_zip, member_reader, open_zip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lowmem.protocol.job import Context
    from lowmem_jobs.ingest.entries import Source
    from lowmem_jobs.ingest.recipe import Recipe


_ARRAYS = {"npy": open_npy, "npz": open_npz, "zarr": open_zarr}


def open_source(recipe: Recipe, ctx: Context) -> AbstractContextManager[Source]:
    """Return the source, to be entered.

    Raises
    ------
    DataError
        If the source as a whole cannot be read.
    """
    if recipe.path is None:
        return _faces(recipe, ctx.seed)
    decoder = Decoder(recipe.frame)
    match recipe.kind:
        case "zip":
            return _zip(recipe.path, decoder)
        case "tar":
            return _tar(recipe.path, ctx.staging, decoder)
        case "folder":
            return _folder(recipe.path, ctx.workspace.root, decoder)
        case _:
            return _ARRAYS[recipe.kind](recipe.path, decoder)


@contextmanager
def _faces(recipe: Recipe, seed: int) -> Iterator[FaceSource]:
    yield FaceSource(recipe.n_faces, seed=seed, size=recipe.frame.size)


@contextmanager
def _folder(path: Path, workspace: Path, decoder: Decoder) -> Iterator[FileSource]:
    entries = list_folder(path, without=workspace)
    yield FileSource(entries, read=read_file, decode=decoder.decode)


@contextmanager
def _zip(path: Path, decoder: Decoder) -> Iterator[FileSource]:
    with open_zip(path) as archive:
        read = member_reader(archive)
        yield FileSource(list_zip(archive), read=read, decode=decoder.decode)


@contextmanager
def _tar(path: Path, staging: Path, decoder: Decoder) -> Iterator[FileSource]:
    plain = plain_tar(path, staging)
    try:
        with plain.open("rb") as stream:
            read = span_reader(stream)
            yield FileSource(list_tar(plain), read=read, decode=decoder.decode)
    except DataError:
        # Then what was unpacked is of no more use, and may be large.
        if plain != path:
            remove(plain)
        raise

"""Open the source that a recipe names."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lowmem.base import DataError, remove
from lowmem_jobs.ingest.catalog import Catalog
from lowmem_jobs.ingest.decode import Decoder
from lowmem_jobs.ingest.faces import FaceSource
from lowmem_jobs.ingest.files import FileSource
from lowmem_jobs.ingest.folder import file_reader, list_folder
from lowmem_jobs.ingest.tars import list_tar, plain_tar, span_reader
from lowmem_jobs.ingest.zips import list_zip, packed_reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lowmem import Context
    from lowmem_jobs.ingest.arrays import ArraySource
    from lowmem_jobs.ingest.entries import Source
    from lowmem_jobs.ingest.recipe import Recipe


def open_source(recipe: Recipe, ctx: Context) -> AbstractContextManager[Source]:
    """Return the source, to be entered.

    Raises
    ------
    DataError
        If the source as a whole cannot be read.
    """
    if recipe.path is None:
        return _faces(recipe, ctx.seed)
    decoder = Decoder(recipe.frame, keeps_truncated=recipe.keeps_truncated)
    match recipe.kind:
        case "zip":
            return _zip(recipe.path, ctx.staging, decoder)
        case "tar":
            return _tar(recipe.path, ctx.staging, decoder)
        case "folder":
            return _folder(recipe.path, ctx, decoder)
        case _:
            return _array(recipe.path, _opened_array(recipe, recipe.path, decoder))


@contextmanager
def _faces(recipe: Recipe, seed: int) -> Iterator[FaceSource]:
    yield FaceSource(recipe.n_faces, seed=seed, size=recipe.frame.size)


@contextmanager
def _folder(path: Path, ctx: Context, decoder: Decoder) -> Iterator[FileSource]:
    listed = list_folder(path, without=ctx.workspace.root)
    with Catalog(listed, ctx.staging) as entries:
        yield FileSource(entries, read=file_reader(path), decoder=decoder)


@contextmanager
def _zip(path: Path, staging: Path, decoder: Decoder) -> Iterator[FileSource]:
    with (
        _unchanged(path),
        path.open("rb", buffering=0) as stream,
        Catalog(list_zip(path, stream), staging) as entries,
    ):
        yield FileSource(
            entries,
            kind="member",
            read=packed_reader(path, stream),
            decoder=decoder,
        )


@contextmanager
def _tar(path: Path, staging: Path, decoder: Decoder) -> Iterator[FileSource]:
    plain = plain_tar(path, staging)
    try:
        with (
            _unchanged(path),
            plain.open("rb", buffering=0) as stream,
            Catalog(list_tar(plain), staging) as entries,
        ):
            yield FileSource(entries, read=span_reader(stream), decoder=decoder)
    except DataError:
        # Then what was unpacked is of no more use, and may be large.
        if plain != path:
            remove(plain)
        raise


def _opened_array(
    recipe: Recipe, path: Path, decoder: Decoder
) -> AbstractContextManager[ArraySource]:
    # Loads Zarr, which takes as long as packing 400 images.
    from lowmem_jobs.ingest.arrays import open_npy, open_npz, open_zarr  # noqa: PLC0415

    openers = {"npy": open_npy, "npz": open_npz, "zarr": open_zarr}
    return openers[recipe.kind](path, decoder, recipe.array)


@contextmanager
def _array(
    path: Path, opened: AbstractContextManager[ArraySource]
) -> Iterator[ArraySource]:
    with _unchanged(path), opened as source:
        yield source


@contextmanager
def _unchanged(path: Path) -> Iterator[None]:
    """Refuse a file that somebody wrote to while it was read.

    Raises
    ------
    DataError
        At the end: what was read before may be of two different files.
    """
    before = _version(path)
    yield
    if _version(path) != before:
        raise DataError(
            thing=path,
            problem="was changed or replaced while it was read",
            expected="the same file from beginning to end",
            todo="Wait until it is whole, then run with --restart.",
        )


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns

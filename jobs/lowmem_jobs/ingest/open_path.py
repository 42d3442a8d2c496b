"""Open what lies at a path: a folder, an archive, the file of an array."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from lowmem.base import DataError, remove
from lowmem_jobs.ingest.catalog import Catalog
from lowmem_jobs.ingest.encoded_files import FileSource
from lowmem_jobs.ingest.folder import file_reader, list_folder
from lowmem_jobs.ingest.tar_shards import ShardReader, list_shards, shards_in
from lowmem_jobs.ingest.tars import list_tar, plain_tar, span_reader
from lowmem_jobs.ingest.zips import list_zip, packed_reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lowmem import Context
    from lowmem_jobs.ingest.arrays import ArraySource
    from lowmem_jobs.ingest.image_decoder import Decoder


@contextmanager
def open_folder(path: Path, ctx: Context, decoder: Decoder) -> Iterator[FileSource]:
    """Open the files of a folder, but for a workspace in it."""
    listed = list_folder(path, without=ctx.workspace.root)
    with Catalog(listed, ctx.staging) as entries:
        yield FileSource(entries, read=file_reader(path), decoder=decoder)


@contextmanager
def open_archive_zip(
    path: Path, staging: Path, decoder: Decoder
) -> Iterator[FileSource]:
    """Open the members of a zip archive."""
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
def open_archive_tar(
    path: Path, staging: Path, decoder: Decoder
) -> Iterator[FileSource]:
    """Open the members of a tar archive; a compressed one is unpacked beside."""
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


@contextmanager
def open_shards(path: Path, ctx: Context, decoder: Decoder) -> Iterator[FileSource]:
    """Open the members of all tar archives of a folder."""
    shards = shards_in(path)
    with ExitStack() as opened:
        for shard in shards:
            opened.enter_context(_unchanged(shard))
        entries = opened.enter_context(Catalog(list_shards(shards), ctx.staging))
        reader = opened.enter_context(ShardReader(path))
        yield FileSource(entries, read=reader.read, decoder=decoder)


@contextmanager
def unchanged(
    path: Path, opened: AbstractContextManager[ArraySource]
) -> Iterator[ArraySource]:
    """Open an array, and refuse a file that somebody wrote to while it was read."""
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

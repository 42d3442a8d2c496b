"""A fingerprint of files: what must not change between two parts of one ingest.

Only the standard library: the planner asks for it before each start.
"""

from __future__ import annotations

import hashlib
import sys
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from lowmem.stores import two_part
from lowmem_jobs.ingest.entries import name_bytes
from lowmem_jobs.ingest.folder import list_folder
from lowmem_jobs.ingest.zip_directory import ZipDamageError, directory_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

HASHED_BYTES = 2**30  # a file up to this size is hashed whole, in half a second
_N_SAMPLES = 256
_SAMPLE_BYTES = 2**20
# Of memory: at the end of an ingest the heap is as large as it ever was.
_BLOCK_BYTES = 2**17
_FORMERLY_WHOLE_BYTES = 2**26
_FORMER_SAMPLE_BYTES = 2**16


def file_identity(path: Path, _workspace: Path, *, has_directory: bool = False) -> str:
    """Return a short text that changes when a file does.

    Parameters
    ----------
    has_directory
        Whether it is a zip archive, whose directory holds every member's CRC-32.

    Notes
    -----
    Of its size and bytes, but not its time, since a fresh machine starts from a fresh
    copy; of one above 1 GiB 256 spread MiB of them, and of a zip or npz the whole
    directory, which the content is held against when it is read. So what is not seen: an
    image in a larger tar or npy, between two samples, that was replaced by one of the
    same size. The last sample of a tar.gz holds the CRC-32 of all.
    """
    return two_part(
        _digest(_file(path, has_directory=has_directory)), _digest(_former_file(path))
    )


def folder_identity(path: Path, workspace: Path) -> str:
    """Return a short text that changes when the files of a folder do.

    Notes
    -----
    Of names, sizes and times of change (in seconds, kept by ``cp -p``). An image that
    was replaced by one of the same size, its time set back, is not seen.
    """
    return _digest(_folder(path, workspace))


def folder_bytes(path: Path, workspace: Path) -> int:
    """Return the size of all images of a folder."""
    return sum(entry.n_bytes for entry in list_folder(path, without=workspace))


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]


def _folder(root: Path, workspace: Path) -> Iterator[bytes]:
    entries = list_folder(root, without=workspace)
    for entry in sorted(entries, key=lambda entry: name_bytes(entry.name)):
        yield name_bytes(entry.name) + b"\0%d %d\0" % (entry.n_bytes, entry.changed_s)


def _file(path: Path, *, has_directory: bool) -> Iterator[bytes]:
    n_bytes = path.stat().st_size
    yield b"%d\0" % n_bytes
    with path.open("rb") as stream:
        if n_bytes <= HASHED_BYTES:
            yield from _blocks(stream)
            return
        yield from _samples(stream, n_bytes, _SAMPLE_BYTES)
        if has_directory:
            with suppress(ZipDamageError):
                yield from directory_bytes(stream)


def _former_file(path: Path) -> Iterator[bytes]:
    """Yield what an older lowmem took of a file: less, of one above 64 MiB."""
    n_bytes = path.stat().st_size
    yield b"%d\0" % n_bytes
    with path.open("rb") as stream:
        if n_bytes <= _FORMERLY_WHOLE_BYTES:
            yield from _blocks(stream)
        else:
            yield from _samples(stream, n_bytes, _FORMER_SAMPLE_BYTES)


def _blocks(stream: IO[bytes], n_bytes: int = sys.maxsize) -> Iterator[bytes]:
    while block := stream.read(min(n_bytes, _BLOCK_BYTES)):
        n_bytes -= len(block)
        yield block


def _samples(stream: IO[bytes], n_bytes: int, sample_bytes: int) -> Iterator[bytes]:
    for sample in range(_N_SAMPLES):
        stream.seek((n_bytes - sample_bytes) * sample // (_N_SAMPLES - 1))
        yield from _blocks(stream, sample_bytes)

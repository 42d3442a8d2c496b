"""Sizes and checksums of files, by name: what a result held when it was published."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from lowmem.base.files import storage_errors
from lowmem.checkpoints.manifest import FileEntry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_BLOCK_BYTES = 2**20


def entry_of_file(path: Path) -> FileEntry:
    """Return size and checksum of a file as it now stands on the disk."""
    with storage_errors(path), path.open("rb") as stream:
        digest = hashlib.sha256()
        size = 0
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
            size += len(block)
    return FileEntry(size_bytes=size, sha256=digest.hexdigest())


def files_below(path: Path) -> Iterator[Path]:
    """Yield ``path`` if it is a file, else every file below it."""
    if not path.is_dir():
        yield path
        return
    for folder, _, names in os.walk(path):
        yield from (path.__class__(folder) / name for name in names)


def digest_of_entries(entries: Mapping[str, FileEntry]) -> str:
    """Return one checksum of all the files, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(entries):
        entry = entries[name]
        digest.update(f"{name}\0{entry.size_bytes}\0{entry.sha256}\n".encode())
    return digest.hexdigest()

"""What is recorded of results when they are published: a checksum of every file."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from lowmem.base.errors import DataError
from lowmem.checkpoints.manifest import FileEntry
from lowmem.checkpoints.sums import files_below
from lowmem.integrity.chunks import layouts_in, sums_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from lowmem.integrity.chunks import Layout, Sums

_FILES_AT_ONCE = 64


def sums_of_results(root: Path, names: Iterable[str]) -> dict[str, FileEntry]:
    """Return size and SHA-256 of every file of some results, by path below ``root``.

    Raises
    ------
    DataError
        If a chunk is not as it was written: a job may have written it hours ago, and
        nobody has read it since.

    Notes
    -----
    Memory: 0.4 MiB a core and some 500 bytes a file. Time: one read of everything.
    """
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        return _sums(root, names, threads)


def _sums(
    root: Path, names: Iterable[str], threads: ThreadPoolExecutor
) -> dict[str, FileEntry]:
    entries: dict[str, FileEntry] = {}
    for name in names:
        layouts = tuple(layouts_in(root / name))
        for file, sums in _summed(sorted(files_below(root / name)), threads):
            samples = None if sums.ends_in_crc else _samples(layouts, file)
            if samples is not None:
                raise DataError(
                    thing=file,
                    problem=f"({samples}) was altered on the disk: its CRC-32C is "
                    "not that of its bytes",
                    expected="the chunk as the job wrote it",
                    todo="--restart makes it again.",
                )
            entries[file.relative_to(root).as_posix()] = FileEntry(
                size_bytes=sums.size_bytes, sha256=sums.sha256
            )
    return entries


def _samples(layouts: Sequence[Layout], file: Path) -> str | None:
    """Return which samples a file holds, in words; None if it is no chunk.

    Looked for where it matters: a table of all chunks would take more memory than all
    that is recorded of them.
    """
    for layout in layouts:
        if file.is_relative_to(layout.folder):
            for path, row in layout.files():
                if path == file:
                    return layout.samples(row)
    return None


def _summed(
    files: Sequence[Path], threads: ThreadPoolExecutor
) -> Iterator[tuple[Path, Sums]]:
    """Yield the sums of each file, in order; few wait at once."""
    for start in range(0, len(files), _FILES_AT_ONCE):
        some = files[start : start + _FILES_AT_ONCE]
        yield from zip(some, threads.map(sums_of, some), strict=True)


def refuse_altered(
    staging: Path, names: Iterable[str], recorded: Mapping[str, FileEntry]
) -> None:
    """Refuse results that wait to be published and are not what was recorded of them.

    Those that are in their places already, since an earlier process was cut between two
    of them, are left to `verify`.

    Raises
    ------
    DataError
        If a file is missing or was altered.
    """
    waiting = [name for name in names if (staging / name).exists()]
    for path, entry in recorded.items():
        if not any(path == name or path.startswith(f"{name}/") for name in waiting):
            continue
        file = staging / path
        if not file.is_file() or sums_of(file).sha256 != entry.sha256:
            raise DataError(
                thing=file,
                problem="was altered on the disk before it was published",
                expected="the bytes that the job's last commit recorded",
                todo="Nothing was published of it. --restart makes it again.",
            )


def not_as_published(name: str) -> DataError:
    """Return the error that a file was made again and is another than the lost one."""
    return DataError(
        thing=name,
        problem="was made again and is not what was published",
        expected="the same bytes: the job's inputs, versions or device have changed "
        "since, or it is not repeatable",
        todo="The damaged file was left as it is. --restart makes all of the result "
        "anew.",
    )

"""Images in a folder of tar archives, as WebDataset's shards are, read where they lie."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING, Self

from lowmem_jobs.ingest.entries import is_ignored
from lowmem_jobs.ingest.tars import list_tar, span_reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import FileIO
    from pathlib import Path

    from lowmem_jobs.ingest.entries import Entry

_ENDING = ".tar"
_WORKSPACE = ".lowmem"


def shards_in(folder: Path) -> list[Path]:
    """Return the archives of a folder, in the order of their names.

    None where anything else lies in it that is neither hidden nor a workspace: then it is
    a folder of files. Nor where it cannot be listed, which whoever reads it says.
    """
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if is_ignored(entry.name) or (folder / entry.name / _WORKSPACE).is_dir():
                continue
            if not (entry.name.endswith(_ENDING) and entry.is_file()):
                return []
            found.append(folder / entry.name)
    return sorted(found)


def list_shards(shards: Sequence[Path]) -> Iterator[Entry]:
    """Yield the members of all archives, each as if unpacked to a folder of its name.

    Raises
    ------
    DataError
        If an archive is damaged or cut short.
    """
    for shard in shards:
        for entry in list_tar(shard):
            yield entry._replace(name=f"{shard.name}/{entry.name}")


class ShardReader:
    """Reads members; one archive is open at a time; to be entered, for one thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened = ExitStack()
        self._name = ""
        self._stream: FileIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def read(self, entry: Entry) -> bytes:
        """Return the bytes of a member.

        Raises
        ------
        UnreadableError
            If it is cut short.
        """
        name = entry.name.partition("/")[0]
        if self._stream is None or name != self._name:
            self._opened.close()
            self._stream = self._opened.enter_context(
                closing((self._folder / name).open("rb", buffering=0))
            )
            self._name = name
        return span_reader(self._stream)(entry)

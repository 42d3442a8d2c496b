"""Which archives were begun in a mirror and not finished; known after a kill as well."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from lowmem.base.errors import StorageError
from lowmem.base.files import remove, storage_errors, write_file
from lowmem.base.outside import BAD_JSON
from lowmem.mirror.names import archive_name

if TYPE_CHECKING:
    from pathlib import Path

    from lowmem.mirror.names import ArchiveName


@dataclass(slots=True)
class Leftovers:
    """A list in a file, written before an archive is begun and after it is finished."""

    path: Path
    names: list[ArchiveName]

    @classmethod
    def read(cls, path: Path) -> Leftovers:
        """Return what an earlier process left; nothing, where the file tells nothing."""
        try:
            with storage_errors(path):
                texts = msgspec.json.decode(path.read_bytes(), type=list[str])
        except (OSError, *BAD_JSON):
            texts = []
        found = (archive_name(text) for text in texts)
        return cls(path, [name for name in found if name is not None])

    def add(self, name: ArchiveName) -> None:
        """Note that an archive is about to be begun."""
        self.names = [*self.names, name]
        self._write()

    def drop(self, name: ArchiveName) -> None:
        """Note that an archive is finished, or gone."""
        self.names = [one for one in self.names if one != name]
        self._write()

    def _write(self) -> None:
        # A disk that is full here must not keep anything from becoming durable there.
        with suppress(StorageError):
            if self.names:
                text = msgspec.json.encode([str(name) for name in self.names])
                write_file(self.path, text)
            else:
                remove(self.path)

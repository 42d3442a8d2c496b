"""A folder anywhere: the only user of fsspec.

Every method may raise whatever the store's own library raises; those who call decide
what it means. Nothing here is renamed or overwritten but by `delete`.
"""

from __future__ import annotations

import contextlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from lowmem.base.errors_mirror import MirrorMissingError, MirrorPackageError
from lowmem.base.errors_outside import NotRegularError
from lowmem.base.outside import refuse_unless_regular
from lowmem.mirror.archive import BLOCK_BYTES, DamagedArchiveError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lowmem.mirror.archive import Readable

# bytes sent at once; also what an upload holds in memory, a few times over.
_PIECE_BYTES = 5 * 2**20
_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "abfs": "adlfs",
    "az": "adlfs",
    "http": "aiohttp",
    "https": "aiohttp",
    "sftp": "paramiko",
    "ssh": "paramiko",
}


class Filesystem(Protocol):
    """What is used of an fsspec filesystem."""

    def ls(self, path: str, /, *, detail: bool) -> list[str]:
        """Return the paths in a folder."""
        ...

    def open(self, path: str, mode: str, /, *, block_size: int) -> BinaryIO:
        """Open a file."""
        ...

    def exists(self, path: str, /) -> bool:
        """Return whether there is such a file."""
        ...

    def size(self, path: str, /) -> int | None:
        """Return the size of a file."""
        ...

    def rm_file(self, path: str, /) -> None:
        """Delete a file."""
        ...

    def makedirs(self, path: str, /, *, exist_ok: bool) -> None:
        """Create a folder."""
        ...

    def invalidate_cache(self, path: str, /) -> None:
        """Forget what was listed before."""
        ...


@dataclass(frozen=True, slots=True)
class Remote:
    """One workspace's folder within a mirror.

    Attributes
    ----------
    place
        The folder of the user's ``--mirror`` as it is on this machine; None where it is
        no local folder.
    heard
        Called at every piece that is read, so that silence can be told from patience.
    """

    files: Filesystem
    root: str
    place: Path | None = None
    heard: Callable[[], None] | None = None

    @classmethod
    def open(cls, url: str, name: str) -> Remote:
        """Return the folder ``name`` below ``url``, or that of the URL where it is empty.

        Nothing is made yet.

        Raises
        ------
        MirrorPackageError
            If the kind of store needs a package that is not installed.
        MirrorMissingError
            If ``url`` is a local folder and neither it nor its parent is there.
        """
        fsspec = importlib.import_module("fsspec")
        protocol = url.partition("://")[0] if "://" in url else "file"
        try:
            files, root = fsspec.core.url_to_fs(url, skip_instance_cache=True)
        except (ImportError, ValueError) as error:
            raise MirrorPackageError(
                url=url, package=_PACKAGES.get(protocol), problem=str(error)
            ) from error
        is_local = protocol in {"file", "local"}
        remote = cls(
            files,
            f"{root.rstrip('/')}/{name}".rstrip("/"),
            Path(root) if is_local else None,
        )
        remote.refuse_missing()
        return remote

    def place_of(self, name: str) -> str:
        """Return where a file of the mirror lies, for a person to read."""
        return f"{self.root}/{name}"

    def refuse_missing(self) -> None:
        """Refuse a local folder whose parent is gone: a mount that is not mounted.

        Else its place on the local disk would be filled, and lost with the machine.
        """
        place = self.place
        if place is not None and not (place.is_dir() or place.parent.is_dir()):
            raise MirrorMissingError(url=place)

    def names(self) -> frozenset[str]:
        """Return the names of all files, each once; none where there is no folder."""
        self.refuse_missing()
        self.files.invalidate_cache(self.root)
        try:
            paths = self.files.ls(self.root, detail=False)
        except FileNotFoundError:
            return frozenset()
        return frozenset(str(path).rstrip("/").rpartition("/")[2] for path in paths)

    def size(self, name: str) -> int | None:
        """Return the size of a file as the store tells it."""
        self.files.invalidate_cache(self.root)
        return self.files.size(self._path(name))

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[Readable]:
        """Open a file for reading, from its start to its end.

        Raises
        ------
        DamagedArchiveError
            If a pipe, a device or a folder has its place: to open it could take for ever.
        """
        path = self._path(name)
        if self.place is not None:
            try:
                refuse_unless_regular(Path(path))
            except NotRegularError as error:
                raise DamagedArchiveError(str(error)) from error
        with self.files.open(path, "rb", block_size=_PIECE_BYTES) as stream:
            yield stream if self.heard is None else _Audible(stream, self.heard)

    def content(self, name: str, most_bytes: int = 2**20) -> bytes:
        """Return the start of a small file."""
        with self.reading(name) as stream:
            return stream.read(most_bytes)

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file."""
        with self.reading(name) as stream:
            while block := stream.read(BLOCK_BYTES):
                yield block

    @contextlib.contextmanager
    def creating(self, name: str) -> Iterator[BinaryIO]:
        """Open a new file for writing.

        Raises
        ------
        FileExistsError
            If there is one already.
        """
        self.refuse_missing()
        self.files.makedirs(self.root, exist_ok=True)
        path = self._path(name)
        if self.files.exists(path):
            raise FileExistsError(path)
        with self.files.open(path, "wb", block_size=_PIECE_BYTES) as stream:
            yield stream

    def delete(self, name: str) -> None:
        """Empty a file, then delete it: a mount may keep what is deleted for a month."""
        path = self._path(name)
        if self.place is not None and not Path(path).is_file():
            # A pipe would be waited for; a folder is none of ours.
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                Path(path).unlink()
            return
        with contextlib.suppress(FileNotFoundError):
            with self.files.open(path, "wb", block_size=_PIECE_BYTES):
                pass
            self.files.rm_file(path)

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"


@dataclass(frozen=True, slots=True)
class _Audible:
    """A stream that tells of every read."""

    stream: Readable
    heard: Callable[[], None]

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes."""
        block = self.stream.read(size)
        self.heard()
        return block

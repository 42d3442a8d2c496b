"""Commit a folder as it stands, and put it back: for programs that know nothing of lowmem.

One uncompressed archive holds it, ``state.tar``, which opens with any tar. Files and
folders alone: a link may lead out of the folder, and a pipe has no content to keep.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from typing import TYPE_CHECKING

from lowmem.base.errors import CorruptFileError, StorageError
from lowmem.base.errors_exec import StateFolderError
from lowmem.base.files import make_folder, remove, storage_errors, sync_file
from lowmem.checkpoints.manifest import FileEntry
from lowmem.checkpoints.sums import entry_of_file
from lowmem.checkpoints.writing import make_generation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lowmem.checkpoints.manifest import Manifest

ARCHIVE = "state.tar"
_BLOCK_BYTES = 2**20
_MODES = stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO


def commit_folder(checkpoints: Path, manifest: Manifest, folder: Path) -> Path:
    """Write one generation that holds ``folder``, and return its own folder.

    Raises
    ------
    StateFolderError
        If it holds what cannot be kept, or is changed meanwhile.
    StorageError
        If anything could not be written. The generations before it are untouched.

    Notes
    -----
    Memory: 1 MiB, and some 1 kB for each file. Time: two reads of the folder, one write.
    """
    summed: dict[str, FileEntry] = {}

    def write(temporary: Path) -> dict[str, FileEntry]:
        entries = sorted(_entries(folder))
        if entries:
            summed[ARCHIVE] = _pack(temporary / ARCHIVE, folder, entries)
        return summed

    def check(temporary: Path) -> None:
        for name, entry in summed.items():
            if entry_of_file(temporary / name) != entry:
                raise StorageError(path=temporary / name, problem="reads back damaged")

    return make_generation(checkpoints, manifest, write, check)


def restore_folder(generation: Path, folder: Path) -> None:
    """Put a folder back as it was committed; what it holds now is deleted.

    Raises
    ------
    CorruptFileError
        If the archive holds anything that no commit put there: a mirror's may be
        anybody's, and nothing is written outside the folder.
    """
    remove(folder)
    make_folder(folder)
    path = generation / ARCHIVE
    if not path.exists():
        return
    try:
        with storage_errors(path), tarfile.open(path, "r:") as archive:
            for member in archive:
                _put(archive, member, folder, path)
    except tarfile.TarError as error:
        raise CorruptFileError(path=path, problem=f"is no archive ({error})") from error


def _entries(folder: Path, inside: str = "") -> Iterator[str]:
    """Yield the names of all files and folders, relative to ``folder``."""
    with storage_errors(folder), os.scandir(folder / inside) as found:
        for entry in found:
            name = f"{inside}/{entry.name}" if inside else entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if not (is_folder or entry.is_file(follow_symlinks=False)):
                raise StateFolderError(
                    path=folder / name, problem="is neither a file nor a folder"
                )
            if not _is_text(name):
                raise StateFolderError(
                    path=folder / repr(name), problem="has a name that is no text"
                )
            yield name
            if is_folder:
                yield from _entries(folder, name)


def _is_text(name: str) -> bool:
    return name.isascii() or name.encode(errors="replace").decode() == name


def _pack(path: Path, folder: Path, names: list[str]) -> FileEntry:
    """Write the archive, forced to the disk; return what it holds."""
    digest = hashlib.sha256()
    with storage_errors(path), path.open("wb") as stream:
        with tarfile.open(
            fileobj=_Summing(stream, digest),  # type: ignore[call-overload]
            mode="w|",
            format=tarfile.PAX_FORMAT,
            bufsize=_BLOCK_BYTES,
        ) as archive:
            for name in names:
                _add(archive, folder / name, name)
        stream.flush()
        os.fsync(stream.fileno())
        size = stream.tell()
    sync_file(path.parent)
    return FileEntry(size_bytes=size, sha256=digest.hexdigest())


class _Summing:
    """A stream whose bytes are summed on their way; tarfile asks for no more of it."""

    def __init__(self, stream: object, digest: object) -> None:
        self._stream = stream
        self._digest = digest

    def write(self, data: bytes) -> int:
        """Write to both."""
        self._digest.update(data)  # type: ignore[attr-defined]
        return int(self._stream.write(data))  # type: ignore[attr-defined]


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    """Add one file or folder: what it is, not whose, so the same state is the same bytes."""
    entry = tarfile.TarInfo(name)
    try:
        status = path.lstat()
        entry.mode = status.st_mode & _MODES
        if stat.S_ISDIR(status.st_mode):
            entry.type = tarfile.DIRTYPE
            archive.addfile(entry)
            return
        with path.open("rb") as stream:
            entry.size = os.fstat(stream.fileno()).st_size
            archive.addfile(entry, stream)
            is_longer = bool(stream.read(1))
    except (FileNotFoundError, tarfile.TarError) as error:
        raise StateFolderError(path=path, problem=_CHANGED) from error
    except OSError as error:
        # `addfile` says so where a file became shorter.
        if error.errno is None:
            raise StateFolderError(path=path, problem=_CHANGED) from error
        raise
    if is_longer:
        raise StateFolderError(path=path, problem=_CHANGED)


_CHANGED = "was changed while it was committed"


def _put(
    archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, path: Path
) -> None:
    parts = member.name.split("/")
    is_inside = not (set(parts) & {"", ".", ".."})
    if not is_inside or not (member.isdir() or member.isreg()):
        raise CorruptFileError(path=path, problem=f"holds {member.name!r}, no state")
    target = folder / member.name
    if member.isdir():
        make_folder(target)
        return
    source = archive.extractfile(member)
    assert source is not None  # noqa: S101 - it is a file
    make_folder(target.parent)
    with storage_errors(target), source, target.open("xb") as stream:
        while block := source.read(_BLOCK_BYTES):
            stream.write(block)
        os.fchmod(stream.fileno(), member.mode & _MODES | stat.S_IRUSR | stat.S_IWUSR)

"""What a generation holds, taken from a workspace in which a job goes on working.

The worker may commit again, and change its results in the making, while they are read.
So everything is read first, and counts only if no newer commit was made meanwhile: then
it is what a kill within that cycle would have left, from which every job goes on. Files
of a checkpoint are held open, since retention may delete them during a slow upload;
others are copied aside, but for the chunks of stores, which never change once written.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from lowmem.base.clock import timestamp
from lowmem.base.files import make_folder, remove
from lowmem.base.journal import whole_part
from lowmem.checkpoints.generations import (
    generation_path,
    generations,
    read_manifest,
)
from lowmem.mirror.archive import BLOCK_BYTES, ChangedFileError
from lowmem.mirror.names import About

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from lowmem.base.clock import Clock
    from lowmem.base.workspace import Workspace
    from lowmem.checkpoints.manifest import Manifest

# bytes in the making, or of stores in a result, that travel without --mirror-data.
SMALL_BYTES = 64 * 2**20
# bytes in the making outside stores that travel at all: they are sent each time anew.
MOST_LOOSE_BYTES = 2**30
# seconds since a file was last written, for its time to tell it from any later state.
_SETTLED_S = 2.0
_STORE_METADATA = frozenset(
    {"zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata"}
)


class TooLargeError(Exception):
    """What a job has made is not sent without being asked; caught in `lowmem.mirror`."""

    def __init__(self, n_bytes: int) -> None:
        super().__init__(n_bytes)
        self.n_bytes = n_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What the supervisor tells of a job.

    Attributes
    ----------
    generation
        Its newest commit.
    published
        Its results, once it is done; None before.
    """

    job: str
    generation: int
    published: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """A file as it was when the snapshot was taken.

    Attributes
    ----------
    path
        Relative to the workspace.
    key
        Relative to the results, the same before and after they are published.
    descriptor
        Open, where the file may be deleted meanwhile.
    is_chunk
        Whether it is a chunk of a store: never changed, and sent once.
    is_settled
        Whether size and time tell this state from any later one.
    """

    path: str
    key: str
    source: Path
    size_bytes: int
    mtime_ns: int
    inode: int
    descriptor: int | None = None
    is_chunk: bool = False
    is_settled: bool = False

    def blocks(self) -> Iterator[bytes]:
        """Yield its content.

        Raises
        ------
        ChangedFileError
            If it is another file by now.
        """
        try:
            descriptor = (
                os.open(self.source, os.O_RDONLY)
                if self.descriptor is None
                else os.dup(self.descriptor)
            )
        except FileNotFoundError as error:
            raise ChangedFileError(self.path) from error
        try:
            status = os.fstat(descriptor)
            now = (status.st_ino, status.st_size, status.st_mtime_ns)
            if now != (self.inode, self.size_bytes, self.mtime_ns):
                raise ChangedFileError(self.path)
            place = 0
            while block := os.pread(descriptor, BLOCK_BYTES, place):
                place += len(block)
                yield block
        finally:
            os.close(descriptor)


@dataclass(slots=True)
class Snapshot:
    """What is to be sent; a context manager that owns copies and open files.

    Attributes
    ----------
    recorded
        The SHA-256 of each result when it was published, by its path.
    """

    about: About
    journal: bytes
    files: Sequence[LocalFile]
    spool: Path
    recorded: Mapping[str, str] = field(default_factory=dict)
    _open: list[int] = field(default_factory=list)

    def close(self) -> None:
        """Give everything back."""
        for descriptor in self._open:
            os.close(descriptor)
        self._open.clear()
        remove(self.spool)

    @property
    def loose(self) -> list[LocalFile]:
        """The files that are sent with every generation."""
        return [file for file in self.files if not file.is_chunk]

    @property
    def chunks(self) -> list[LocalFile]:
        """The files that are sent once."""
        return [file for file in self.files if file.is_chunk]


class _Phase(msgspec.Struct):
    phase: str = "running"


def take_snapshot(
    space: Workspace, news: News, clock: Clock, *, has_data: bool
) -> Snapshot | None:
    """Return what a job's newest generation holds; None if it changed meanwhile.

    Raises
    ------
    TooLargeError
        If it holds more than travels without ``--mirror-data``, or at all.
    """
    spool = space.private / "mirroring"
    remove(spool)
    make_folder(spool)
    taking = _Taking(space, news.job, spool, clock, has_data=has_data)
    try:
        snapshot = taking.done(news) if news.published is not None else taking.running()
    except (FileNotFoundError, ChangedFileError):
        snapshot = None
    except BaseException:
        taking.close()
        raise
    if snapshot is None:
        taking.close()
    return snapshot


class _Taking:
    def __init__(
        self, space: Workspace, job: str, spool: Path, clock: Clock, *, has_data: bool
    ) -> None:
        self._space = space
        self._job = job
        self._spool = spool
        self._clock = clock
        self._has_data = has_data
        self._open: list[int] = []
        self._files: list[LocalFile] = []

    def close(self) -> None:
        for descriptor in self._open:
            os.close(descriptor)
        remove(self._spool)

    def running(self) -> Snapshot | None:
        """Return the newest checkpoint with the results in the making."""
        generation = self._checkpoint()
        if generation is None or self._is_publishing(generation):
            return None
        staging = self._space.staging(self._job)
        names = self._walk(staging)
        self._refuse_large(self._sizes(staging, names))
        for name in names:
            self._add(staging / name, key=name, is_copied=not _is_chunk(name))
        is_same = _loose(names) == _loose(self._walk(staging))
        snapshot = self._snapshot(generation, is_done=False)
        if not is_same or self._newest() != generation:
            return None
        return snapshot

    def done(self, news: News) -> Snapshot | None:
        """Return the published results."""
        generation = self._checkpoint()
        self._last_state(generation)
        root = self._space.root
        names: list[str] = []
        for published in news.published or ():
            path = root / published
            inner = [f"{published}/{name}" for name in self._walk(path)]
            names += inner if path.is_dir() else [published]
        chunks = [name for name in names if _is_chunk(name)]
        self._refuse_large(self._sizes(root, chunks))
        for name in names:
            self._add(root / name, key=name, is_copied=False)
        snapshot = self._snapshot(
            news.generation if generation is None else generation, is_done=True
        )
        snapshot.recorded = self._recorded(generation)
        return snapshot

    def _recorded(self, generation: int | None) -> dict[str, str]:
        if generation is None:
            return {}
        manifest = self._manifest(generation)
        if manifest is None:
            return {}
        return {name: entry.sha256 for name, entry in manifest.results.items()}

    def _checkpoint(self) -> int | None:
        generation = self._newest()
        if generation is not None:
            self._take(generation)
        return generation

    def _last_state(self, generation: int | None) -> None:
        """Take what a run that asks for more of a finished job goes on from."""
        manifest = None if generation is None else self._manifest(generation)
        before = None if manifest is None else manifest.goes_on_from
        if before is not None and self._manifest(before) is not None:
            self._take(before)

    def _manifest(self, generation: int) -> Manifest | None:
        folder = self._space.checkpoints(self._job)
        return read_manifest(generation_path(folder, generation))

    def _take(self, generation: int) -> None:
        folder = generation_path(self._space.checkpoints(self._job), generation)
        for path in sorted(folder.iterdir()):
            descriptor = os.open(path, os.O_RDONLY)
            self._open.append(descriptor)
            self._add(path, key="", is_copied=False, descriptor=descriptor)

    def _newest(self) -> int | None:
        found = generations(self._space.checkpoints(self._job))
        return found[-1] if found else None

    def _is_publishing(self, generation: int) -> bool:
        folder = generation_path(self._space.checkpoints(self._job), generation)
        body = (folder / "manifest.json").read_bytes().partition(b"\n")[2]
        return msgspec.json.decode(body, type=_Phase).phase != "running"

    def _walk(self, root: Path) -> list[str]:
        found = []
        for folder, folders, names in os.walk(root):
            folders.sort()
            for name in sorted(names):
                path = root.__class__(folder) / name
                if not name.endswith(".partial") and not path.is_symlink():
                    found.append(path.relative_to(root).as_posix())
        return found

    def _sizes(self, root: Path, names: list[str]) -> tuple[int, int]:
        """Return the bytes of chunks and of other files."""
        chunks = sum((root / n).stat().st_size for n in names if _is_chunk(n))
        return chunks, sum((root / n).stat().st_size for n in _loose(names))

    def _refuse_large(self, sizes: tuple[int, int]) -> None:
        chunks, loose = sizes
        most_loose = MOST_LOOSE_BYTES if self._has_data else SMALL_BYTES - chunks
        if loose > most_loose or (not self._has_data and chunks > SMALL_BYTES):
            raise TooLargeError(chunks + loose)

    def _add(
        self,
        path: Path,
        *,
        key: str,
        is_copied: bool,
        descriptor: int | None = None,
    ) -> None:
        source = path
        if is_copied:
            source = self._spool / f"{len(self._files):08d}"
            _copy(path, source)
        status = os.stat(source) if descriptor is None else os.fstat(descriptor)  # noqa: PTH116 - beside fstat
        age_s = self._clock.now().timestamp() - status.st_mtime
        self._files.append(
            LocalFile(
                path=path.relative_to(self._space.root).as_posix(),
                key=key,
                source=source,
                size_bytes=status.st_size,
                mtime_ns=status.st_mtime_ns,
                inode=status.st_ino,
                descriptor=descriptor,
                is_chunk=self._has_data and bool(key) and _is_chunk(key),
                is_settled=age_s > _SETTLED_S,
            )
        )

    def _snapshot(self, generation: int, *, is_done: bool) -> Snapshot:
        journal = whole_part(self._space.journal)
        if self._space.config.is_file():
            self._add(self._space.config, key="", is_copied=True)
        about = About(
            job=self._job,
            generation=generation,
            is_done=is_done,
            sequence=len(journal),
            journal_sha256=hashlib.sha256(journal).hexdigest(),
            at=timestamp(self._clock.now()),
        )
        return Snapshot(about, journal, self._files, self._spool, _open=self._open)


def _loose(names: list[str]) -> list[str]:
    return [name for name in names if not _is_chunk(name)]


def _is_chunk(name: str) -> bool:
    *folders, last = name.split("/")
    is_in_store = any(folder.endswith(".zarr") for folder in folders)
    return is_in_store and last not in _STORE_METADATA


def _copy(source: Path, target: Path) -> None:
    """Copy a file with its time, a block at a time."""
    with source.open("rb") as stream, target.open("wb") as copy:
        while block := stream.read(BLOCK_BYTES):
            copy.write(block)
        status = os.fstat(stream.fileno())
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))

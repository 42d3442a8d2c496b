"""Whether what a job reads is what it was: looked at before each commit.

A look costs one question to the file system for each file; only what was touched since is
read again. A commit that is refused leaves the former one, which is of unchanged data.
What changes and is changed back between two commits is not told from a new time stamp.

What is told of the files of a folder is added up, so no list of them is held.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.errors_recipe import RecipeChangedError
from lowmem.base.files import storage_errors
from lowmem.protocol.recipe import Input, is_same_data
from lowmem.stores.metadata import (
    ends_in_crc,
    fingerprint,
    size_and_crc,
    two_part,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# nanoseconds: the coarsest clock of a file system (FAT) counts by two seconds.
_SETTLED_NS = 2 * 10**9
_DIGITS, _SUM_BYTES = 16, 32
_METADATA = "zarr.json"
_DENIED = {errno.EACCES, errno.EPERM}
# There is nothing, or a link that leads nowhere.
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE}
# What editors and systems leave in a folder by themselves; docs/inputs.md lists it.
_NO_DATA = re.compile(
    r"\.~lock\..*#|\.DS_Store|Thumbs\.db|desktop\.ini|.*\.swp|.*~|\.nfs.*", re.DOTALL
)
_NO_DATA_FOLDER = ".ipynb_checkpoints"
_ADVICE = (
    "It changed while the job ran; what was committed is of the former data. With these "
    "back the same command continues, --restart starts over. A path that the job itself "
    "writes to wants is_input=False."
)


def input_at(path: Path) -> Input:
    """Return what is at ``path`` now."""
    stamp = stamp_of(path)
    return Input(path=str(path), stamp=stamp, content=content_of(path))


class WatchedInputs:
    """The inputs of one attempt.

    Parameters
    ----------
    job
        Its name, for the user.
    inputs
        By their key in the recipe.
    """

    def __init__(self, job: str, inputs: Mapping[str, Input]) -> None:
        self._job = job
        self._inputs = dict(inputs)
        # Those of a file system that numbers its files anew while they stay the same.
        self._renumbered: set[str] = set()

    def refuse_changed(self) -> None:
        """Refuse to go on with other data.

        Raises
        ------
        RecipeChangedError
            Naming each input that is not as it was when the job was planned.
        """
        changes: dict[str, tuple[object, object]] = {}
        for key, known in self._inputs.items():
            path = Path(known.path)
            stamp = stamp_of(path)
            if _is_untouched(known.stamp, stamp, by_number=key not in self._renumbered):
                continue
            content = _seen_at(path) if path.exists() else None
            if content is None or not is_same_data(known.content, content):
                changes[key] = (known.content, content)
            elif _is_untouched(known.stamp, stamp, by_number=False):
                self._renumbered.add(key)
            self._inputs[key] = Input(
                path=known.path, stamp=stamp, content=known.content
            )
        if changes:
            raise RecipeChangedError(job=self._job, changes=changes, advice=_ADVICE)


def _is_untouched(known: str, stamp: str, *, by_number: bool) -> bool:
    """Return whether two stamps are of files that nobody touched in between.

    Parameters
    ----------
    by_number
        Whether the numbers of the files and of their device count.
    """
    if by_number:
        return bool(stamp) and stamp == known
    # Behind a dot a stamp says the same without the numbers.
    timed = stamp.partition(".")[2]
    return bool(timed) and timed == known.partition(".")[2]


def stamp_of(path: Path) -> str:
    """Return what changes whenever a file at ``path`` is written, replaced or gone.

    Empty where nothing can be said: a file was changed a moment before, or is gone.
    Behind a dot follows the same without the numbers of device and file.

    Notes
    -----
    Holds nothing of a file that it is done with.
    """
    numbered, timed, newest_ns = _Sum(), _Sum(), 0
    for entry in _entries(path):
        status, name = _status(entry.path), os.fsencode(entry.path)
        if status is None:
            if entry.path == str(path):
                return ""
            numbered.add(name, b"")
            timed.add(name, b"")
            continue
        # The time of the last change is the kernel's own: nobody can set it back.
        times = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        timed.add(name, b"%d %d %d" % times)
        numbered.add(name, b"%d %d %d %d %d" % (status.st_dev, status.st_ino, *times))
        newest_ns = max(newest_ns, status.st_ctime_ns)
    is_settled = newest_ns < time.time_ns() - _SETTLED_NS
    return f"{numbered.digits()}.{timed.digits()}" if is_settled else ""


def _status(path: str) -> os.stat_result | None:
    """Return what the file system says of a file; of a link to nothing, of the link.

    None where it says nothing: it is gone, or in a folder that is closed to this user.
    """
    for look in (os.stat, os.lstat):
        try:
            return look(path)
        except OSError as error:
            if error.errno not in _DENIED | _GONE:
                with storage_errors(Path(path)):
                    raise
    return None


class _Sum:
    """A fingerprint of named things in any order, in constant memory."""

    def __init__(self) -> None:
        self._sum = 0

    def add(self, name: bytes, told: bytes) -> None:
        digest = hashlib.sha256(b"%d %s %s" % (len(name), name, told)).digest()
        self._sum = (self._sum + int.from_bytes(digest, "big")) % 256**_SUM_BYTES

    def digits(self) -> str:
        whole = hashlib.sha256(self._sum.to_bytes(_SUM_BYTES, "big"))
        return whole.hexdigest()[:_DIGITS]


def content_of(path: Path) -> str:
    """Return a fingerprint that changes with every byte of what is at ``path``.

    Raises
    ------
    DataError
        If something there can be read but once, as a pipe.
    StorageError
        If a file cannot be read.

    Notes
    -----
    Of a chunk of a Zarr array that ends in its checksum, that checksum is read; all else
    is read whole. In a folder, what this user may not read is told by its name and size,
    and what editors and systems leave there does not count. Behind a dot follows what an
    older lowmem saw of a folder: sizes.

    That older part holds the names in one folder: 128 bytes a file. Without it, as before
    a commit, the look holds 1.5 MB and nothing more by the file. Both from the peaks of
    `tracemalloc` in flat folders of 10,000 and of 40,000 empty files, whose names have 12
    characters.
    """
    seen = _seen_at(path)
    known = _known_of(path) if path.is_dir() else ""
    return two_part(seen, known.partition(".")[0]) if known else seen


def _seen_at(path: Path) -> str:
    """Return the first part of `content_of`; of a file, all of it."""
    if not path.is_dir():
        with storage_errors(path):
            return fingerprint(path)
    whole = _Sum()
    for entry in _entries(path):
        told = _told_of(entry)
        if told is not None:
            whole.add(os.fsencode(os.path.relpath(entry.path, path)), told)
    return whole.digits()


def _known_of(folder: Path) -> str:
    """Return what lowmem has always told of a folder; empty where it could not.

    For a name that is no UTF-8, a link to nothing, or what this user may not read.
    """
    try:
        return fingerprint(folder)
    except OSError as error:
        if error.errno in _DENIED | _GONE:
            return ""
        with storage_errors(folder):
            raise
    except UnicodeError:
        return ""


def _told_of(entry: _Entry) -> bytes | None:
    """Return what is told of an entry; None where it is gone meanwhile."""
    path = Path(entry.path)
    if entry.is_closed:
        return b"closed"
    with storage_errors(path):
        try:
            return size_and_crc(path) if entry.is_summed else fingerprint(path).encode()
        except OSError as error:
            if error.errno in _DENIED:
                status = _status(entry.path)
                return b"closed %d" % (status.st_size if status else 0)
            if error.errno not in _GONE:
                raise
    try:
        return os.fsencode(path.readlink())
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file, or a folder that this user may not list.

    Attributes
    ----------
    is_summed
        Whether it ends in a checksum of the rest.
    """

    path: str
    is_summed: bool = False
    is_closed: bool = False


def _entries(path: Path) -> Iterator[_Entry]:
    if path.is_dir():
        with storage_errors(path):
            yield from _entries_in(str(path), (), is_summed=False)
    else:
        yield _Entry(str(path))


def _entries_in(
    folder: str, above: tuple[str, ...], *, is_summed: bool
) -> Iterator[_Entry]:
    """Yield the files of a folder in any order; links to a folder above lead nowhere."""
    real = os.path.realpath(folder)
    if real in above:
        return
    metadata = Path(folder) / _METADATA
    if os.path.lexists(metadata):
        is_summed = ends_in_crc(metadata)
    folders: list[str] = []
    try:
        yield from _files_in(folder, folders, is_summed=is_summed)
    except OSError as error:
        # Of the folder that was named the user is to hear.
        if not above or error.errno not in _DENIED | _GONE:
            raise
        if error.errno in _DENIED:
            yield _Entry(folder, is_closed=True)
    for below in folders:
        yield from _entries_in(below, (*above, real), is_summed=is_summed)


def _files_in(folder: str, folders: list[str], *, is_summed: bool) -> Iterator[_Entry]:
    """Yield the files of one folder; put the folders in it into ``folders``."""
    with os.scandir(folder) as found:
        for entry in found:
            if not _is_folder(entry):
                if not _NO_DATA.fullmatch(entry.name):
                    yield _Entry(entry.path, is_summed and entry.name != _METADATA)
            elif entry.name != _NO_DATA_FOLDER:
                folders.append(entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # What it is nobody may see, or it is a link to itself: told as a file.
        return False


def holds(folder: Path, workspace: Path) -> bool:
    """Return whether a workspace lies in a folder, or behind a link within it.

    What lowmem writes there would count as a change of the folder.
    """
    inside = os.path.realpath(workspace)
    return any(
        os.path.commonpath((real, inside)) == real for real in _places(str(folder), ())
    )


def _places(folder: str, above: tuple[str, ...]) -> Iterator[str]:
    """Yield where a folder and those below it are, links followed."""
    real = os.path.realpath(folder)
    if real in above:
        return
    yield real
    try:
        with os.scandir(folder) as found:
            below = [entry.path for entry in found if _is_folder(entry)]
    except OSError:
        # Closed, or gone: a look at its content says so where that matters.
        return
    for path in below:
        yield from _places(path, (*above, real))

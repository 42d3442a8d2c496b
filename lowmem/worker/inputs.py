"""Whether what a job reads is what it was: looked at before each commit.

A look costs one question to the file system for each file; only what was touched since is
read again. A commit that is refused leaves the former one, which is of unchanged data.
What changes and is changed back between two commits is not told from a new time stamp.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.errors import DataError
from lowmem.base.errors_recipe import RecipeChangedError
from lowmem.base.files import storage_errors
from lowmem.protocol.inputs import Input
from lowmem.protocol.recipe import is_same_data
from lowmem.stores.metadata import fingerprint, read_mapping, two_part

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# nanoseconds: the coarsest clock of a file system (FAT) counts by two seconds.
_SETTLED_NS = 2 * 10**9
_DIGITS = 16
_METADATA = "zarr.json"
_ADVICE = (
    "It changed while the job ran; what was committed is of the former data. With these "
    "back the same command goes on, --restart begins anew."
)


def input_at(path: Path) -> Input:
    """Return what is at ``path`` now."""
    stamp = stamp_of(path)
    return Input(path=str(path), stamp=stamp, content=content_of(path))


class Watched:
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
            if stamp and stamp == known.stamp:
                continue
            content = content_of(path) if path.exists() else None
            if content is None or not is_same_data(known.content, content):
                changes[key] = (known.content, content)
            self._inputs[key] = Input(
                path=known.path, stamp=stamp, content=known.content
            )
        if changes:
            raise RecipeChangedError(job=self._job, changes=changes, advice=_ADVICE)


def stamp_of(path: Path) -> str:
    """Return what changes whenever a file at ``path`` is written, replaced or gone.

    Empty where nothing can be said: a file was changed a moment before, or is gone.
    """
    told, newest_ns = hashlib.sha256(), 0
    for file in _files(path):
        status = _status(file.path)
        if status is None:
            return ""
        # The time of the last change is the kernel's own: nobody can set it back.
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        told.update(os.fsencode(file.path))
        told.update(b"%d %d %d %d %d\n" % (*identity, status.st_ctime_ns))
        newest_ns = max(newest_ns, status.st_ctime_ns)
    is_settled = newest_ns < time.time_ns() - _SETTLED_NS
    return told.hexdigest()[:_DIGITS] if is_settled else ""


def _status(path: str) -> os.stat_result | None:
    """Return what the file system says of a file; of a link to nothing, of the link."""
    for look in (os.stat, os.lstat):
        try:
            return look(path)
        except FileNotFoundError:
            continue
    return None


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
    is read whole. Behind a dot follows what an older lowmem saw of a folder: sizes.
    """
    if not path.is_dir():
        with storage_errors(path):
            return fingerprint(path)
    known = _known_of(path)
    whole, n_read = hashlib.sha256(known.encode()), 0
    for file in _files(path):
        if not (file.is_summed and known):
            name = os.fsencode(os.path.relpath(file.path, path))
            whole.update(b"%d %s %s" % (len(name), name, _told_of(file.path)))
            n_read += 1
    if known and not n_read:
        return known
    now = whole.hexdigest()[:_DIGITS]
    return two_part(now, known.partition(".")[0]) if known else now


def _known_of(folder: Path) -> str:
    """Return what lowmem has always told of a folder; empty where it could not.

    For a name that is no UTF-8, or a link to nothing.
    """
    try:
        return fingerprint(folder)
    except (FileNotFoundError, UnicodeError):
        return ""


def _told_of(file: str) -> bytes:
    if not os.path.exists(file):  # noqa: PTH110 - a text of the file system's, not a path
        return os.fsencode(os.readlink(file))  # noqa: PTH115
    with storage_errors(Path(file)):
        return fingerprint(Path(file)).encode()


@dataclass(frozen=True, slots=True)
class _File:
    """A file, and whether the fingerprint of the folder above tells its bytes."""

    path: str
    is_summed: bool = False


def _files(path: Path) -> Iterator[_File]:
    if path.is_dir():
        with storage_errors(path):
            yield from _files_in(str(path), (), is_summed=False)
    else:
        yield _File(str(path))


def _files_in(
    folder: str, above: tuple[str, ...], *, is_summed: bool, is_linked: bool = False
) -> Iterator[_File]:
    """Yield the files of a folder in one order; links to a folder above lead nowhere."""
    real = os.path.realpath(folder)
    if real in above:
        return
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    if any(entry.name == _METADATA for entry in entries):
        is_summed = _ends_in_crc(Path(folder) / _METADATA)
    for entry in entries:
        if entry.is_dir():
            yield from _files_in(
                entry.path,
                (*above, real),
                is_summed=is_summed,
                # A fingerprint follows no link to a folder.
                is_linked=is_linked or entry.is_symlink(),
            )
        else:
            is_told = is_summed or entry.name == _METADATA
            yield _File(entry.path, is_told and not is_linked)


def _ends_in_crc(metadata: Path) -> bool:
    try:
        return bool(read_mapping(metadata)["codecs"][-1]["name"] == "crc32c")
    except (DataError, LookupError, TypeError):
        return False

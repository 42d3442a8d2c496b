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
from lowmem.mapping.identity import identity_of_file
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
    told = hashlib.sha256()
    newest_ns = 0
    for file in _files(path):
        # None of what is no plain file, such as a link to nothing.
        identity = identity_of_file(file.path) if file.path.exists() else None
        if identity is None:
            return ""
        newest_ns = max(newest_ns, identity[-1])
        told.update(b"%s %s\n" % (os.fsencode(file.path), str(identity).encode()))
    is_settled = newest_ns < time.time_ns() - _SETTLED_NS
    return told.hexdigest()[:_DIGITS] if is_settled else ""


def content_of(path: Path) -> str:
    """Return a fingerprint that changes with every byte of what is at ``path``.

    Notes
    -----
    Of a chunk of a Zarr array that ends in its checksum, that checksum is read; all else
    is read whole. Behind a dot follows what an older lowmem saw of a folder: sizes.
    """
    known = fingerprint(path)
    if not path.is_dir():
        return known
    whole, n_read = hashlib.sha256(known.encode()), 0
    for file in _files(path):
        if not file.is_summed:
            name = os.fsencode(file.path.relative_to(path))
            whole.update(
                b"%d %s %s" % (len(name), name, fingerprint(file.path).encode())
            )
            n_read += 1
    if not n_read:
        return known
    return two_part(whole.hexdigest()[:_DIGITS], known.partition(".")[0])


@dataclass(frozen=True, slots=True)
class _File:
    """A file, and whether the fingerprint of the folder above tells its bytes."""

    path: Path
    is_summed: bool = False


def _files(path: Path) -> Iterator[_File]:
    if path.is_dir():
        yield from _files_in(path, (), is_summed=False)
    else:
        yield _File(path)


def _files_in(
    folder: Path, above: tuple[str, ...], *, is_summed: bool
) -> Iterator[_File]:
    """Yield the files of a folder in one order; links to a folder above lead nowhere."""
    real = os.path.realpath(folder)
    if real in above:
        return
    with storage_errors(folder):
        entries = sorted(folder.iterdir())
    is_linked = folder.is_symlink() and bool(above)
    if folder / _METADATA in entries:
        is_summed = _ends_in_crc(folder / _METADATA)
    for entry in entries:
        if entry.is_dir():
            yield from _files_in(
                entry, (*above, real), is_summed=is_summed and not entry.is_symlink()
            )
        else:
            is_told = entry.name == _METADATA or is_summed
            yield _File(entry, is_told and not is_linked)


def _ends_in_crc(metadata: Path) -> bool:
    try:
        return bool(read_mapping(metadata)["codecs"][-1]["name"] == "crc32c")
    except (DataError, LookupError, TypeError):
        return False

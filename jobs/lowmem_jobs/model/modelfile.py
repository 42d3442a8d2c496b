"""Look into a model's file before Keras does: it may be anybody's.

Keras's safe mode keeps code out. This keeps out what leads elsewhere: HDF5 lets a file of
weights take its values from other files, by external links, external storage or virtual
datasets, so that a model could carry what its reader alone may read; and a member of the
archive may be named outside it, or unpack to more than any machine has.
"""

from __future__ import annotations

import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import h5py  # type: ignore[import-untyped]

from lowmem.base import DataError, refuse_unless_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

_WEIGHTS = (".h5", ".hdf5")
# Weights hardly shrink. From this size on, members must not grow more than so much.
_FROM_BYTES = 2**28
_MAX_RATIO = 100


def refuse_unless_own(path: Path) -> None:
    """Refuse a model's file that takes anything from outside itself.

    What is no archive and no HDF5 file is passed over: Keras says what is wrong with it.
    What is one and cannot be looked through is refused.

    Raises
    ------
    DataError
        Naming what leads elsewhere.

    Notes
    -----
    Reads the directory of the archive and the structure of its weights, not the weights.
    """
    refuse_unless_regular(path)
    if not zipfile.is_zipfile(path):
        if path.exists() and h5py.is_hdf5(path):
            _refuse(path, path.name, str(path))
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                _refuse_member(path, info)
                if info.filename.endswith(_WEIGHTS):
                    with archive.open(info) as stream:
                        _refuse(path, info.filename, stream)
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError) as error:
        # What cannot be looked through may lead anywhere: damage, a password, a way of
        # packing that is unknown here.
        raise _damage(path, f"cannot be read ({error})") from error


def _refuse_member(path: Path, info: zipfile.ZipInfo) -> None:
    name = PurePosixPath(info.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts:
        raise _damage(path, f"holds a member named {info.filename!r}")
    most = max(_FROM_BYTES, info.compress_size * _MAX_RATIO)
    if info.file_size > most:
        raise _damage(
            path, f"holds {info.filename}, which unpacks to {info.file_size} bytes"
        )


def _refuse(path: Path, name: str, weights: str | IO[bytes]) -> None:
    try:
        with h5py.File(weights, "r") as file:
            problem = next(_leading_out(file), None)
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        # Groups within themselves too.
        raise _damage(path, f"holds weights ({name}) that cannot be read") from error
    if problem is not None:
        raise _damage(path, f"holds weights ({name}) with {problem}")


def _leading_out(group: h5py.Group) -> Iterator[str]:
    """Yield what of a group is not in its own file, without following it."""
    for name in group:
        link = group.get(name, getlink=True)
        place = f"{group.name.rstrip('/')}/{name}"
        if isinstance(link, h5py.ExternalLink):
            yield f"a link from {place} to the file {link.filename}"
            continue
        if isinstance(link, h5py.SoftLink):
            # It may lead to a group above, and go round for ever.
            continue
        found = group[name]
        if isinstance(found, h5py.Group):
            yield from _leading_out(found)
        elif isinstance(found, h5py.Dataset) and (found.external or found.is_virtual):
            yield f"values of {place} that lie in another file"


def _damage(path: Path, problem: str) -> DataError:
    return DataError(
        thing=path,
        problem=problem,
        expected="a model that holds all of itself",
        todo="Save it anew with model.save(), from a program that you trust.",
    )

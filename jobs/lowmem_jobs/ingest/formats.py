"""The formats that a source may have: one table.

Light, since the planner tells a source by it: what opens a format is loaded when it is
opened. To add one, add its entry here. Drawn faces are no format: nothing is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.stores import fingerprint
from lowmem_jobs.ingest.fingerprints import file_identity, folder_bytes, folder_identity

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lowmem import Context
    from lowmem_jobs.ingest.entries import ImageSource
    from lowmem_jobs.ingest.image_decoder import Decoder

    Open = Callable[
        [Path, Context, Decoder, str | None], AbstractContextManager[ImageSource]
    ]


def _file_bytes(path: Path, _workspace: Path) -> int:
    return path.stat().st_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format of a source.

    Attributes
    ----------
    names
        What a user may give, in words: the endings of a file's name, or what it is.
    is_of
        Whether what lies at a path is of this format.
    open
        Returns the images, to be entered, from the path, the job's context, the decoder
        and the name of an array where one was asked for.
    identity
        Returns a short text that changes when the source does, from the path and the
        workspace, which may lie within it.
    n_bytes
        Returns the size of all that is read, from the same; None where nobody knows it.
    is_one_file
        Whether it is one file, read from its beginning to its end.
    has_named_arrays
        Whether ``--array`` may choose among what it holds.
    """

    names: tuple[str, ...]
    is_of: Callable[[Path], bool]
    open: Open
    identity: Callable[[Path, Path], str] = file_identity
    n_bytes: Callable[[Path, Path], int | None] = _file_bytes
    is_one_file: bool = True
    has_named_arrays: bool = False


def _named(*endings: str) -> Callable[[Path], bool]:
    """Return what tells a file by the end of its name, in letters of any size."""
    return lambda path: path.is_file() and path.name.lower().endswith(endings)


def _is_zarr(path: Path) -> bool:
    marks = ("zarr.json", ".zgroup", ".zarray")
    return path.is_dir() and any((path / mark).exists() for mark in marks)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not _is_zarr(path)


def _is_shards(path: Path) -> bool:
    if not _is_folder(path):
        return False
    from lowmem_jobs.ingest.tar_shards import shards_in

    return bool(shards_in(path))


def _identity_by_directory(path: Path, _workspace: Path) -> str:
    return file_identity(path, _workspace, has_directory=True)


def _open_folder(
    path: Path, ctx: Context, decoder: Decoder, _array: str | None
) -> AbstractContextManager[ImageSource]:
    from lowmem_jobs.ingest.open_path import open_folder

    return open_folder(path, ctx, decoder)


def _open_shards(
    path: Path, ctx: Context, decoder: Decoder, _array: str | None
) -> AbstractContextManager[ImageSource]:
    from lowmem_jobs.ingest.open_path import open_shards

    return open_shards(path, ctx, decoder)


def _open_zip(
    path: Path, ctx: Context, decoder: Decoder, _array: str | None
) -> AbstractContextManager[ImageSource]:
    from lowmem_jobs.ingest.open_path import open_archive_zip

    return open_archive_zip(path, ctx.staging, decoder)


def _open_tar(
    path: Path, ctx: Context, decoder: Decoder, _array: str | None
) -> AbstractContextManager[ImageSource]:
    from lowmem_jobs.ingest.open_path import open_archive_tar

    return open_archive_tar(path, ctx.staging, decoder)


# `arrays` loads Zarr, which takes as long as packing 400 images.
def _open_npy(
    path: Path, _ctx: Context, decoder: Decoder, array: str | None
) -> AbstractContextManager[ImageSource]:
    from lowmem_jobs.ingest.arrays import open_npy
    from lowmem_jobs.ingest.open_path import unchanged

    return unchanged(path, open_npy(path, decoder, array))


def _open_npz(
    path: Path, _ctx: Context, decoder: Decoder, array: str | None
) -> AbstractContextManager[ImageSource]:
    from lowmem_jobs.ingest.arrays import open_npz
    from lowmem_jobs.ingest.open_path import unchanged

    return unchanged(path, open_npz(path, decoder, array))


def _open_zarr(
    path: Path, _ctx: Context, decoder: Decoder, array: str | None
) -> AbstractContextManager[ImageSource]:
    from lowmem_jobs.ingest.arrays import open_zarr
    from lowmem_jobs.ingest.open_path import unchanged

    return unchanged(path, open_zarr(path, decoder, array))


_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")

# Of which the folders are archives, and say nothing of classes.
SHARDS = "shards"
# By the kind that a store's attributes name; the first that fits is taken.
FORMATS = {
    SHARDS: Format(
        # Which "a folder" says as well.
        names=(),
        is_of=_is_shards,
        open=_open_shards,
        identity=folder_identity,
        n_bytes=folder_bytes,
        is_one_file=False,
    ),
    "folder": Format(
        names=("a folder",),
        is_of=_is_folder,
        open=_open_folder,
        identity=folder_identity,
        n_bytes=folder_bytes,
        is_one_file=False,
    ),
    "zip": Format(
        names=(".zip",),
        is_of=_named(".zip"),
        open=_open_zip,
        identity=_identity_by_directory,
    ),
    "tar": Format(names=_TARS, is_of=_named(*_TARS), open=_open_tar),
    "npy": Format(names=(".npy",), is_of=_named(".npy"), open=_open_npy),
    "npz": Format(
        names=(".npz",),
        is_of=_named(".npz"),
        open=_open_npz,
        identity=_identity_by_directory,
        has_named_arrays=True,
    ),
    "zarr": Format(
        names=(".zarr",),
        is_of=_is_zarr,
        open=_open_zarr,
        identity=lambda path, _workspace: fingerprint(path),
        n_bytes=lambda _path, _workspace: None,
        is_one_file=False,
        has_named_arrays=True,
    ),
}


def kind_of(path: Path) -> str | None:
    """Return the name of the format of what lies at a path; None where it has none."""
    return next((kind for kind, form in FORMATS.items() if form.is_of(path)), None)


def names_of_formats() -> str:
    """Return what a source may be, in words."""
    names = [name for form in FORMATS.values() for name in form.names]
    return f"{', '.join(names[:-1])} or {names[-1]}"

"""One tree of files through a folder and the archives of several programs."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import zarr


def folder(path, files, links=()):
    """Write files; of links, (name, target, kind) with kind ``hard`` or ``soft``."""
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    for name, target, kind in links:
        if kind == "hard":
            os.link(path / target, path / name)
        else:
            (path / name).symlink_to(
                os.path.relpath(path / target, (path / name).parent)
            )
    return path


# --- zip


def zip_of_python(path, tree):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files_below(tree):
            archive.write(file, file.relative_to(tree).as_posix())
    return path


def zip_of_info_zip(path, tree):
    program(["zip", "-qr", path, "."], tree)
    return path


def zip_of_the_finder(path, tree):
    """Write names in UTF-8 that are not declared as such, and its own hidden files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for file in files_below(tree):
            name = file.relative_to(tree).as_posix()
            archive.write(file, name)
            archive.writestr(f"__MACOSX/{name}", b"its own")
    data = bytearray(stream.getvalue())
    for mark, place in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        at = data.find(mark)
        while at >= 0:
            data[at + place + 1] &= ~0x08
            at = data.find(mark, at + 4)
    path.write_bytes(data)
    return path


ZIPS = (zip_of_python, zip_of_info_zip, zip_of_the_finder)


# --- tar


def tar_of_python(path, tree):
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for file in files_below(tree):
            archive.add(file, file.relative_to(tree).as_posix())
    return path


def tar_of_gnu(path, tree):
    program(["tar", "-cf", path, "."], tree)
    return path


def tar_of_posix(path, tree):
    program(["tar", "--format=posix", "-S", "-cf", path, "."], tree)
    return path


def tar_of_gnu_with_holes(path, tree):
    program(
        ["tar", "--format=gnu", "-S", "-czf", path.with_suffix(".tar.gz"), "."], tree
    )
    return path.with_suffix(".tar.gz")


TARS = (tar_of_python, tar_of_gnu, tar_of_posix, tar_of_gnu_with_holes)


def files_below(tree):
    return [
        Path(folder_) / name for folder_, _, names in os.walk(tree) for name in names
    ]


def program(command, folder_):
    found = shutil.which(command[0])
    assert found is not None, command[0]
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    subprocess.run([found, *command[1:]], cwd=folder_, env=environment, check=True)


# --- arrays


def npy(path, rows):
    np.save(path.with_suffix(".npy"), rows)
    return path.with_suffix(".npy")


def npz(path, rows):
    np.savez(path.with_suffix(".npz"), labels=np.arange(len(rows)), pictures=rows)
    return path.with_suffix(".npz")


def npz_packed(path, rows):
    np.savez_compressed(path.with_suffix(".npz"), rows)
    return path.with_suffix(".npz")


def zarr_2(path, rows):
    zarr.create_array(path, data=rows, chunks=(2, *rows.shape[1:]), zarr_format=2)
    return path


def zarr_3(path, rows):
    group = zarr.open_group(path, mode="w")
    group.create_array("pictures", data=rows, chunks=(2, *rows.shape[1:]))
    return path


def zarr_sharded(path, rows):
    row = rows.shape[1:]
    zarr.create_array(path, data=rows, chunks=(2, *row), shards=(6, *row))
    return path


def zarr_packed(path, rows):
    """Write numbers that stand for others: 0 is white."""
    array = zarr.create_array(path, data=255 - rows, chunks=(3, *rows.shape[1:]))
    array.attrs.update({"scale_factor": -1 / 255, "add_offset": 1.0})
    return path


ARRAYS = (npy, npz, npz_packed, zarr_2, zarr_3, zarr_sharded, zarr_packed)

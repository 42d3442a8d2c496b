"""A small disk of its own: a file system in a file, mounted, as root alone may do."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.processes.lowmem_runs import PATIENCE_S, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DISK_MIB = 48
N_INODES = 4096


def can_mount() -> bool:
    """Return whether such a disk can be made here."""
    return os.geteuid() == 0 and shutil.which("mkfs.ext4") is not None


def make_disk(image: Path) -> None:
    """Make a file system in a file."""
    with image.open("wb") as stream:
        stream.truncate(DISK_MIB * 2**20)
    do("mkfs.ext4", "-q", "-F", "-m", "0", "-N", str(N_INODES), str(image))


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    """Mount a file system for the length of a block."""
    place.mkdir(exist_ok=True)
    # One that is still in use elsewhere would be the same again, read-only as it was.
    until(lambda: not _loops(image), patience_s=PATIENCE_S)
    do("mount", "-o", "loop", str(image), str(place))
    try:
        yield place
    finally:
        # Lazily: what an interrupted benchmark leaves behind may still use it.
        do("umount", "--lazy", str(place))


def _loops(image: Path) -> str:
    """Return by which devices a file is mounted still; empty for none."""
    line = ["losetup", "--associated", str(image)]
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout


def fill(disk: Path, *, room_bytes: int = 0) -> None:
    """Leave so much room and no more; what takes the rest is called `ballast`.

    With no room to be left it is filled to its end, whatever a job writes meanwhile.
    """
    free = os.statvfs(disk)
    n_bytes = free.f_bavail * free.f_frsize - room_bytes
    with (disk / "ballast").open("ab", buffering=0) as stream:
        with _until_full():
            if n_bytes > 0:
                os.posix_fallocate(stream.fileno(), 0, n_bytes)
        with _until_full():
            while not room_bytes:
                stream.write(bytes(free.f_frsize))


@contextmanager
def _until_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


def take_inodes(disk: Path, *, n_left: int = 0) -> None:
    """Leave so many files to be made; what takes the others is called `ballast-`."""
    for number in range(os.statvfs(disk).f_favail - n_left):
        (disk / f"ballast-{number}").touch()


def make_read_only(disk: Path) -> None:
    """Do what a kernel does where errors=remount-ro, once it meets one."""
    do("mount", "-o", "remount,abort", str(disk))


def give_room(disk: Path) -> None:
    """Remove all ballast."""
    for path in disk.glob("ballast*"):
        path.unlink()


def do(*words: str) -> None:
    """Run a program of the system's."""
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)

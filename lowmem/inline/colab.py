"""The five jobs in a notebook of Colab: one call, which goes on after a disconnect too.

The workspace is on the disk of the virtual machine, which vanishes with the machine; its
mirror is on Drive. So the same call on a new machine takes back what the mirror holds
and goes on. Drive is slow, and neither its renames nor its overwrites are atomic: data
are first copied from it by ``lowmem data stage``, and nothing works on it.

Everything is done by the command line, in processes of its own: a kernel that ends takes
no job with it, and what the jobs use is no memory of the notebook.
"""

from __future__ import annotations

import contextlib
import importlib
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.errors_inline import (
    DriveMissingError,
    ResultsDifferError,
    RunEndedError,
)
from lowmem.base.workspace import Workspace
from lowmem.checkpoints.sums import digest_of_entries
from lowmem.history.fold import history_of
from lowmem.history.provenance import owners_of
from lowmem.history.recorded import read_records
from lowmem.inline.terminal import show
from lowmem.integrity.published import sums_of_results

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

_LOWMEM = (sys.executable, "-m", "lowmem")
# seconds; the mount itself gives up after 120, counted from the user's consent.
_MOUNT_PATIENCE_S = 300.0


def start(
    options: Sequence[str] = (),
    *,
    data: str | None = None,
    mirror: str | None = "lowmem-mirror",
    mirror_data: bool = False,
    local: str | Path = "/content",
    workspace: str = "lowmem-work",
) -> Path:
    """Mount Drive, copy the data, run or go on with all five jobs; return the workspace.

    Parameters
    ----------
    options
        Of ``lowmem run all``.
    data
        File or folder with images: a path within MyDrive, or an absolute one. None for
        drawn faces.
    mirror
        Folder that keeps every commit: a path within MyDrive, an absolute one, or the
        address of a store. None for no mirror.
    mirror_data
        Whether stores above 64 MiB go to the mirror too. They are made again else.
    local
        Folder of the machine's own disk.
    workspace
        The workspace's name, in ``local`` and in the mirror.

    Raises
    ------
    RunEndedError
        If a command ends with another exit code than 0.
    DriveMissingError
        If the data are on a Drive that cannot be mounted, and were not copied before.
    """
    disk = Path(local)
    work = disk / workspace
    drive = Drive(None, "")
    if _is_on_drive(data) or _is_on_drive(mirror):
        drive = mount_drive(disk / "drive")
    words = [*options]
    if data is not None:
        words += ["--source", str(_staged(data, drive, disk))]
    if mirror is not None and drive.folder is None and _is_on_drive(mirror):
        print(_without_mirror(drive, work))  # noqa: T201 - a notebook's output
    elif mirror is not None:
        words += ["--mirror", _place_of(mirror, drive)]
        words += ["--mirror-data"] if mirror_data else []
    _run("run", "all", "--workspace", str(work), *words)
    return work


def results(workspace: Path) -> dict[str, str]:
    """Return one SHA-256 of each result of a workspace, read from the disk.

    Raises
    ------
    DataError
        If a store's chunk is not as it was written.
    """
    records = read_records(Workspace.at(workspace).journal)
    return {
        name: digest_of_entries(sums_of_results(workspace, [name]))
        for name in sorted(owners_of(history_of(records)))
    }


def compare(workspace: Path, other: Path) -> None:
    """Print the SHA-256 of each result of two workspaces.

    Raises
    ------
    ResultsDifferError
        If they are not the same.
    """
    one, two = results(workspace), results(other)
    names = sorted({*one, *two})
    differ = [name for name in names if one.get(name) != two.get(name)]
    for name in names:
        words = "differs" if name in differ else "the same in both"
        print(f"{one.get(name, '-'):64}  {name}: {words}")  # noqa: T201 - as above
    if differ:
        raise ResultsDifferError(names=differ)


@dataclass(frozen=True, slots=True)
class Drive:
    """The folder MyDrive; None, and what the problem is."""

    folder: Path | None
    problem: str


def mount_drive(where: Path, *, patience_s: float = _MOUNT_PATIENCE_S) -> Drive:
    """Mount Drive, if this is Colab and it can be done.

    Parameters
    ----------
    patience_s
        Seconds after which a mount that hangs is given up.
    """
    try:
        drive = importlib.import_module("google.colab.drive")
    except ImportError:
        return Drive(None, "this machine is not Colab's, so it has no Drive")
    try:
        with _at_most(patience_s):
            drive.mount(str(where))
    except Exception as error:  # noqa: BLE001 - Colab's front ends raise what they like
        told = f"{type(error).__name__}: {error}".rstrip(": ")
        return Drive(None, f"Drive could not be mounted ({told})")
    folder = where / "MyDrive"
    if not folder.is_dir():
        return Drive(None, f"Drive was mounted, but {folder} is not there")
    return Drive(folder, "")


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Interrupt what takes longer.

    By a timer's signal, not from another thread: Colab asks for consent in the thread
    that a cell runs in.
    """

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"no answer within {seconds:g} s")

    former = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def _is_on_drive(place: str | None) -> bool:
    is_elsewhere = place is None or "://" in place or Path(place).is_absolute()
    return not is_elsewhere


def _place_of(place: str, drive: Drive) -> str:
    on_drive = _is_on_drive(place) and drive.folder is not None
    return f"{drive.folder}/{place}" if on_drive else place


def _staged(data: str, drive: Drive, disk: Path) -> Path:
    """Return the data's copy on the machine's own disk, made or brought up to date."""
    copy = disk / "data" / Path(data).name
    if _is_on_drive(data) and drive.folder is None:
        if not copy.exists():
            raise DriveMissingError(data=data, problem=drive.problem)
        return copy  # It takes its name only once it is whole.
    _run("data", "stage", _place_of(data, drive), str(copy.parent))
    return copy


def _without_mirror(drive: Drive, work: Path) -> str:
    told = (
        f"{drive.problem[:1].upper()}{drive.problem[1:]}: the jobs run without a mirror. If this machine is lost, all "
        "that they make is lost with it, and the same cells start over."
    )
    if not work.exists():
        told += (
            " What an earlier machine left in a mirror is not seen: to continue with that, "
            f"interrupt this cell, delete {work}, and run the cell again once Drive can "
            "be mounted."
        )
    return f"{told}\n"


def _run(*words: str) -> None:
    status = show([*_LOWMEM, *words])
    if status:
        raise RunEndedError(command=f"lowmem {' '.join(words[:2])}", status=status)

"""Prepare a Colab VM, run lowmem on it, and keep the workspace on Drive.

`start` is the one call of the notebook; the same call after a disconnect goes on where
the last save left off. Standard library only: it runs before lowmem is installed.

Drive is slow, and renames or overwrites on it are not atomic. So data are copied from it
once, by `lowmem data stage`, and the workspace lives on the local disk. Every save is one *new*
archive on Drive, then a small ``.ok`` file with its size and SHA-256.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import shutil
import signal
import subprocess  # noqa: TID251 - lowmem, which owns processes, may not be there yet
import sys
import tarfile
import time
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import ReadableBuffer

KEPT_ARCHIVES = 3
EXIT_STOPPED = 75


def start(
    options: Sequence[str] = (),
    *,
    package: str = "lowmem",
    data: str | None = None,
    drive_folder: str | None = "lowmem",
    local: Path = Path("/content"),
) -> int:
    """Install, mount, copy, restore, run all five jobs, and save; return the exit code.

    Parameters
    ----------
    options
        Of ``lowmem run all``.
    package
        What pip installs: a name, a wheel, or a git address.
    data
        File or folder with images, within MyDrive; None for the embedded faces.
    drive_folder
        Folder within MyDrive for saved workspaces; None to save none.
    local
        Folder of the VM's own disk.
    """
    if importlib.util.find_spec("lowmem") is None:
        install = [sys.executable, "-m", "pip", "install", "--quiet", package]
        subprocess.run(install, check=True)  # noqa: S603 - what the user named
    drive = mount_drive() if data or drive_folder else None
    command = [sys.executable, "-m", "lowmem", "run", "all", *options]
    if data and drive:
        code = stage_data(drive / data, local / "data")
        if code:
            return code
        data = str(local / "data" / Path(data).name)
    if data:
        command += ["--source", data]
    return run(
        command,
        workspace=local / "lowmem-work",
        archives=drive / drive_folder if drive and drive_folder else None,
    )


def mount_drive(where: Path = Path("/content/drive")) -> Path | None:
    """Return the folder MyDrive, mounted; None outside Colab."""
    try:
        drive = importlib.import_module("google.colab.drive")
    except ImportError:
        print("This is no Colab VM: there is no Drive.")
        return None
    drive.mount(str(where))
    return where / "MyDrive"


def stage_data(source: Path, folder: Path) -> int:
    """Copy a file or folder into ``folder``, or go on with that; return the exit code.

    Only what changed since is copied again; lowmem itself knows how.
    """
    stage = [sys.executable, "-m", "lowmem", "data", "stage"]
    return show([*stage, str(source), str(folder)])


class _Hashing(io.RawIOBase):
    """Writes on to a stream, and knows the number and SHA-256 of the bytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.size, self.digest = stream, 0, hashlib.sha256()

    def write(self, data: ReadableBuffer) -> int:
        self.size += memoryview(data).nbytes
        self.digest.update(data)
        return self.stream.write(data)


def save(workspace: Path, archives: Path) -> Path:
    """Write the workspace as one new archive, mark it whole, and drop old ones."""
    archives.mkdir(parents=True, exist_ok=True)
    last = [int(path.stem.removeprefix("workspace-")) for path in _archives(archives)]
    path = archives / f"workspace-{max(last, default=0) + 1:06d}.tar"
    with path.open("xb") as stream:
        hashing = _Hashing(stream)
        with tarfile.open(fileobj=hashing, mode="w|") as archive:
            archive.add(workspace, arcname=".")
    mark = {"size": hashing.size, "sha256": hashing.digest.hexdigest()}
    _mark(path).write_text(json.dumps(mark))
    print(f"Saved the workspace: {path.name}, {hashing.size:,} bytes.")
    marked = [path for path in _archives(archives) if _mark(path).exists()]
    for old in _archives(archives):
        if old < marked[-KEPT_ARCHIVES:][0]:
            _mark(old).unlink(missing_ok=True)
            old.write_bytes(b"")  # Drive keeps what is deleted for 30 days: nothing.
            old.unlink()
    return path


def restore(workspace: Path, archives: Path) -> Path | None:
    """Fill an absent workspace from the newest whole archive; return that archive."""
    if workspace.exists() and any(workspace.iterdir()):
        return None
    for path in reversed(_archives(archives)):
        if _is_whole(path) and _unpack(path, workspace):
            print(f"Restored the workspace from {path.name}.")
            return path
        print(f"{path.name} is incomplete or damaged: trying the one before.")
    return None


def _unpack(path: Path, workspace: Path) -> bool:
    """Unpack an archive beside the workspace, then put it in place."""
    draft = workspace.with_name(f"{workspace.name}.{path.stem}")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        with tarfile.open(path) as archive:
            _refuse_what_a_workspace_lacks(archive)
            # Python before 3.11.4 has no filters.
            filters = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            archive.extractall(draft, **filters)  # noqa: S202 - members were looked at
    except tarfile.TarError as error:
        print(f"{path.name}: {error}")
        shutil.rmtree(draft, ignore_errors=True)
        return False
    draft.replace(workspace)
    return True


def _refuse_what_a_workspace_lacks(archive: tarfile.TarFile) -> None:
    """Raise for anything but files and folders within the archive's own."""
    for member in archive:
        name = PurePosixPath(member.name)
        is_inside = not name.is_absolute() and ".." not in name.parts
        if not (is_inside and (member.isfile() or member.isdir())):
            raise tarfile.ReadError(f"{member.name} is no file or folder within")


def _archives(folder: Path) -> list[Path]:
    """Return the archives, oldest first."""
    return sorted(folder.glob("workspace-[0-9][0-9][0-9][0-9][0-9][0-9].tar"))


def _mark(path: Path) -> Path:
    return path.with_name(path.name + ".ok")


def _is_whole(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        found = {"size": path.stat().st_size, "sha256": digest}
        return bool(json.loads(_mark(path).read_text()) == found)
    except (OSError, ValueError):
        return False


def run(
    command: Sequence[str],
    *,
    workspace: Path,
    archives: Path | None,
    slice_minutes: int = 30,
) -> int:
    """Restore, run in slices of time, save after each; return the last exit code."""
    command = [*command, "--workspace", str(workspace)]
    if archives is None:
        return show(command)
    restore(workspace, archives)
    while True:
        began = time.monotonic()
        try:
            code = show([*command, "--time-budget", f"{slice_minutes}m"])
        finally:
            if workspace.exists():
                save(workspace, archives)
        # Stopped long before the slice's end: someone wants it to stop.
        is_early = time.monotonic() - began < 0.9 * 60 * slice_minutes
        if code != EXIT_STOPPED or is_early:
            return code


def show(command: Sequence[str]) -> int:
    """Run a command, its lines shown in the notebook; return its exit code."""
    with subprocess.Popen(  # noqa: S603 - the command is ours
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            for line in process.stdout or ():
                print(line, end="")
        except KeyboardInterrupt:
            # It stops at its next commit; only then may its workspace be saved.
            process.send_signal(signal.SIGINT)
            print(process.communicate()[0], end="")
            raise
    return process.returncode

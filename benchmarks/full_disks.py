"""A real disk that is full, has no inodes left, or becomes read-only, under each of the jobs.

    sudo python benchmarks/full_disks.py --points 3      some two minutes for a job and kind

`disk_faults.py` fails single calls; here a file system of 48 MiB is made in a file and
mounted, and whole commands run on it. Of the room, or of the inodes, that the job is known
to need a share is left; or the file system turns read-only while the job works, as after
an error of its device. The command must end with exit code 74 in one paragraph, or not
notice; and the same command must go on once there is room, with the results of a job that
nothing disturbed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.faults.job_sweep import differences
from tests.faults.real_disk import (
    fill,
    give_room,
    make_disk,
    make_read_only,
    mounted,
    take_inodes,
)

if TYPE_CHECKING:
    from collections.abc import Callable

OPTIONS = {
    "ingest": ["--source", "faces:300", "--size", "24"],
    "train": ["--epochs", "1", "--filters", "4,8", "--latent-dim", "3"],
    "encode": [],
    "analyze": [],
    "generate": ["--count", "70"],
}
PATIENCE_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A job, a workspace before it, and one after it that nothing disturbed.

    Attributes
    ----------
    n_bytes, n_files
        What the job adds on the way.
    """

    job: str
    before: Path
    expected: Path
    n_bytes: int
    n_files: int


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: int
    err: str


def main() -> None:
    """Run every job on every kind of disk, and print one row for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=3)
    parser.add_argument("--jobs", default=",".join(OPTIONS))
    parser.add_argument("--kinds", default=",".join(KINDS))
    chosen = parser.parse_args()
    if os.geteuid():
        parser.error("needs the rights of root, to mount a disk")
    print(f"{'job':9} {'disk':10}{'runs':>6}{'exit 74':>9}{'exit 0':>8}{'s':>7}")
    n_faults = 0
    with tempfile.TemporaryDirectory(prefix="lowmem-disks-") as name:
        folder, before = Path(name), Path(name) / "empty"
        before.mkdir()
        for job in OPTIONS:
            case = prepare(job, before, folder)
            if job in chosen.jobs.split(","):
                for kind in chosen.kinds.split(","):
                    n_faults += sweep(case, kind, folder, chosen.points)
            before = case.expected
    sys.exit(n_faults > 0)


def prepare(job: str, before: Path, folder: Path) -> Case:
    """Run the job where nothing disturbs it."""
    expected = folder / f"{job}-expected"
    shutil.copytree(before, expected)
    ended = command(job, expected)
    if ended.status:
        sys.exit(f"{job} failed where nothing disturbs it: {ended.err}")
    sizes = [size_of(path) for path in (before, expected)]
    return Case(
        job=job,
        before=before,
        expected=expected,
        n_bytes=sizes[1][0] - sizes[0][0],
        n_files=sizes[1][1] - sizes[0][1],
    )


def size_of(folder: Path) -> tuple[int, int]:
    """Return the bytes and the number of the files in a folder."""
    found = [p.stat() for p in folder.rglob("*")]
    return sum(s.st_blocks * 512 for s in found), len(found)


def sweep(case: Case, kind: str, folder: Path, n_points: int) -> int:
    """Disturb a job at several places, print a row, return how often it did not do well."""
    began = time.monotonic()
    statuses, faults = [], []
    for point in range(n_points):
        status, wrong = disturbed(case, KINDS[kind], folder, (point + 0.5) / n_points)
        statuses.append(status)
        faults += [f"at {point + 0.5} of {n_points}: {line}" for line in wrong]
    print(
        f"{case.job:9} {kind:10}{n_points:6}{statuses.count(74):9}"
        f"{statuses.count(0):8}{time.monotonic() - began:7.0f}",
        flush=True,
    )
    for fault in faults:
        print(f"    {fault}", flush=True)
    return len(faults)


def disturbed(
    case: Case,
    disturb: Callable[[Case, Path, float], Ended],
    folder: Path,
    share: float,
) -> tuple[int, list[str]]:
    """Run a job on a disk that fails it, then again; return the status and what was wrong."""
    image, wrong = folder / "disk.img", []
    make_disk(image)
    with mounted(image, folder / "disk") as disk:
        shutil.copytree(case.before, disk / "w")
        os.sync()
        ended = disturb(case, disk, share)
    if ended.status not in (0, 74) or "Traceback" in ended.err:
        wrong.append(f"exit {ended.status}: {ended.err}")
    if ended.status == 74 and "lowmem:" not in ended.err:
        wrong.append(f"74 without a word: {ended.err}")
    with mounted(image, folder / "disk") as disk:
        give_room(disk)
        again = command(case.job, disk / "w")
        if again.status:
            wrong.append(f"exit {again.status} with room again: {again.err}")
        else:
            found = differences(case.job, case.expected, disk / "w")
            wrong += [f"other results: {name}" for name in found]
    image.unlink()
    return ended.status, wrong


def full(case: Case, disk: Path, share: float) -> Ended:
    """Run a job where so much of the room is left."""
    fill(disk, room_bytes=round(case.n_bytes * share))
    return command(case.job, disk / "w")


def without_inodes(case: Case, disk: Path, share: float) -> Ended:
    """Run a job where so many of the files may be made."""
    take_inodes(disk, n_left=round(case.n_files * share))
    return command(case.job, disk / "w")


def read_only(case: Case, disk: Path, share: float) -> Ended:
    """Run a job, and make its disk read-only once so many of its files are there."""
    space = disk / "w"
    target = size_of(space)[1] + round(case.n_files * share)
    process = subprocess.Popen(
        _line(case.job, space), stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and _n_files(space) < target:
        time.sleep(0.002)
    make_read_only(disk)
    _, err = process.communicate(timeout=PATIENCE_S)
    return Ended(process.returncode, err)


def _n_files(folder: Path) -> int:
    return sum(len(files) + len(names) for _, names, files in os.walk(folder))


KINDS = {"full": full, "no inodes": without_inodes, "read-only": read_only}


def command(job: str, space: Path) -> Ended:
    """Run one job to its end."""
    done = subprocess.run(
        _line(job, space),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return Ended(done.returncode, done.stderr)


def _line(job: str, space: Path) -> list[str]:
    line = [sys.executable, "-m", "lowmem", "run", job, "--workspace", str(space)]
    return [*line, *OPTIONS[job], "--cycle-steps", "2", "--device", "cpu", "--quiet"]


if __name__ == "__main__":
    main()

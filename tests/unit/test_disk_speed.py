"""How fast a disk is: tried by a small write that leaves nothing, and told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lowmem.base.clock import SystemClock
from lowmem.cli.doctor import json_from_examination, text_from_examination
from lowmem.places import disk_trial, examination
from lowmem.places.disk_speed import (
    SLOW_BYTES_PER_S,
    DiskSpeed,
    read_disk_speed,
    slow_disk_problems,
)
from lowmem.places.disk_trial import MOST_BYTES, NAME, tried
from lowmem.places.examination import examine
from lowmem.places.place import Place
from tests.faults.real_disk import (
    can_mount,
    fill,
    make_disk,
    make_read_only,
    mounted,
)

MIB = 2**20
DRIVE = "/content/drive/MyDrive"
# seconds; for a machine that is busy.
PATIENCE_S = 300.0


class SteppedClock:
    """Each look at it is so many seconds after the one before."""

    def __init__(self, step_s: float) -> None:
        self._step_s, self._now_s = step_s, 0.0

    def monotonic(self) -> float:
        self._now_s += self._step_s
        return self._now_s


@pytest.fixture(params=[False, True], ids=["local", "served by a program"])
def served(request, monkeypatch):
    monkeypatch.setattr(disk_trial, "is_served_by_a_program", lambda _: request.param)
    return request.param


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    ("step_s", "written_bytes"),
    [(1 / 1024, MOST_BYTES), (0.25, 2 * MIB), (4.0, MIB)],
    ids=["fast", "slow", "slower than one piece may be"],
)
def test_a_trial_ends_with_8_mib_or_half_a_second_and_counts_what_it_wrote(
    tmp_path, step_s, written_bytes
):
    found = tried(tmp_path, SteppedClock(step_s))
    assert found == {
        "written_bytes": written_bytes,
        # One look at the clock a piece.
        "bytes_per_s": round(MIB / step_s),
        "problem": None,
    }
    assert list(tmp_path.iterdir()) == []


def test_every_piece_is_forced_out_before_the_time_is_taken(tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(os, "fsync", lambda fd: sizes.append(os.fstat(fd).st_size))
    tried(tmp_path, SteppedClock(1 / 1024))
    assert sizes == [n * MIB for n in range(1, 9)]


@pytest.mark.slow
@pytest.mark.process
def test_a_trial_that_is_killed_leaves_nothing_and_one_on_drive_what_the_next_removes(
    tmp_path, served
):
    # It kills itself where it would force the first piece out.
    program = (
        "import os, sys; from pathlib import Path; from lowmem.places import disk_trial;"
        f"disk_trial.is_served_by_a_program = lambda _: {served};"
        "os.fsync = lambda fd: os.kill(os.getpid(), 9);"
        "disk_trial.tried(Path(sys.argv[1]), disk_trial.SystemClock())"
    )
    ended = subprocess.run([sys.executable, "-c", program, tmp_path], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ([NAME] if served else [])
    assert tried(tmp_path, SystemClock())["problem"] is None
    assert list(tmp_path.iterdir()) == []


def test_a_link_of_that_name_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_trial, "is_served_by_a_program", lambda _: True)
    theirs = tmp_path / "theirs"
    theirs.write_text("mine")
    (tmp_path / NAME).symlink_to(theirs)
    assert tried(tmp_path, SystemClock())["written_bytes"] > 0
    assert theirs.read_text() == "mine"


@pytest.mark.slow
@pytest.mark.process
def test_a_folder_is_tried_by_a_process_of_its_own(tmp_path):
    folder = tmp_path / "Größe und mehr"
    folder.mkdir()
    found = read_disk_speed(folder, patience_s=PATIENCE_S)
    assert found.folder == str(folder)
    assert MIB <= found.written_bytes <= MOST_BYTES
    assert found.bytes_per_s > 0
    assert found.problem is None
    assert list(folder.iterdir()) == []
    gone = read_disk_speed(tmp_path / "gone", patience_s=PATIENCE_S)
    assert gone.bytes_per_s is None
    assert gone.problem == "No such file or directory"


@pytest.mark.process
def test_a_disk_that_gives_no_answer_is_not_waited_for(tmp_path):
    found = read_disk_speed(tmp_path, patience_s=0.0)
    assert found.problem == "it gave no answer within 0 s"
    assert found.bytes_per_s is None


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.fault
@pytest.mark.skipif(not can_mount(), reason="needs the rights of root, to mount")
@pytest.mark.parametrize(
    ("disturb", "problem"),
    [
        (fill, "No space left on device"),
        (make_read_only, "Read-only file system"),
        (lambda disk: fill(disk, room_bytes=3 * MIB), "No space left on device"),
    ],
    ids=["full", "read-only", "full before the end"],
)
def test_a_disk_that_takes_nothing_is_told_and_is_no_error(tmp_path, disturb, problem):
    make_disk(tmp_path / "image")
    with mounted(tmp_path / "image", tmp_path / "disk") as disk:
        disturb(disk)
        found = read_disk_speed(disk, patience_s=PATIENCE_S)
        assert [p.name for p in disk.iterdir() if p.name.startswith(".")] == []
    text = text_from_examination(replace(examine(tmp_path), disk_speeds=(found,)))
    assert found.problem in {problem, "Input/output error"}
    assert f"cannot be written to: {found.problem}" in text


def test_doctor_tells_the_speed_of_the_disk_here_and_of_a_mounted_drive(
    tmp_path, monkeypatch
):
    asked = []

    def speed(folder):
        asked.append(folder)
        rate = 3 * MIB if str(folder) == DRIVE else 300 * MIB
        return DiskSpeed(folder=str(folder), written_bytes=MOST_BYTES, bytes_per_s=rate)

    place = Place(kind="colab", name="Colab, CPU runtime", kept=(DRIVE,))
    monkeypatch.setattr(examination, "find_place", lambda **_: place)
    monkeypatch.setattr(examination, "read_disk_speed", speed)
    found = examine(tmp_path)
    assert asked == [tmp_path, Path(DRIVE)]
    text = text_from_examination(found)
    assert " free, takes 300.0 MiB/s\n" in text
    assert f"disk kept      {DRIVE} takes 3.0 MiB/s\n" in text
    assert f"- the disk of {DRIVE} takes 3.0 MiB/s" in text
    assert f"--mirror {DRIVE}/lowmem" in text
    here, kept = json.loads(json_from_examination(found))["disk_speeds"]
    assert (here["folder"], here["bytes_per_s"]) == (str(tmp_path), 300 * MIB)
    assert kept == {
        "folder": DRIVE,
        "written_bytes": MOST_BYTES,
        "bytes_per_s": 3 * MIB,
        "problem": None,
    }
    # Who works on Drive has one disk.
    asked.clear()
    examine(Path(DRIVE) / "work")
    assert asked == [Path(DRIVE) / "work"]


def test_a_fast_disk_needs_no_advice_and_a_slow_one_gets_what_helps():
    here = DiskSpeed(folder="/here", bytes_per_s=SLOW_BYTES_PER_S)
    assert slow_disk_problems([here], []) == []
    assert slow_disk_problems([DiskSpeed(folder="/here", problem="full")], []) == []
    slow = replace(here, bytes_per_s=SLOW_BYTES_PER_S - 1)
    (local,) = slow_disk_problems([slow], [DRIVE])
    assert (
        "give --workspace a folder of a faster disk, and this one to --mirror" in local
    )
    (drive,) = slow_disk_problems([replace(slow, folder=f"{DRIVE}/work")], [DRIVE])
    assert f"give it to --mirror {DRIVE}/lowmem, and --workspace" in drive
    (beside,) = slow_disk_problems([replace(slow, folder=f"{DRIVE}-old")], [DRIVE])
    assert f"--mirror {DRIVE}" not in beside

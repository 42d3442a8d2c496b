"""Staging in processes of its own: killed at every step, from outside, and on a full disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.process, pytest.mark.slow]

BLOCK = 2**16
CONTENT = os.urandom(5 * BLOCK + 100)

# Stages, and is killed by its own hand before the n-th write, rename or word about
# progress: `os.kill` with SIGKILL gives Python no chance to tidy up.
KILLED = """
import os, signal, sys
from pathlib import Path
from lowmem.base import files
from lowmem.staging import block_copy
from lowmem.staging.copying import stage

source, folder, block, left = sys.argv[1], sys.argv[2], int(sys.argv[3]), [int(sys.argv[4])]
read = [0]

def step():
    left[0] -= 1
    if not left[0]:
        print(read[0], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

def before(function):
    def stepping(*words, **named):
        step()
        return function(*words, **named)
    return stepping

def counting(stream, data, fill=block_copy.fill):
    n_bytes = fill(stream, data)
    if stream.name != Path(folder) and str(folder) not in os.readlink(f"/proc/self/fd/{stream.fileno()}"):
        read[0] += n_bytes
    return n_bytes

block_copy.fill = counting
block_copy._write = before(block_copy._write)
files.os.replace = before(os.replace)
found = stage(Path(source), Path(folder), tell=lambda *_: step(), block_bytes=block)
print(read[0])
"""


def killed_at(step: int, source: Path, folder: Path) -> tuple[bool, int]:
    """Stage until the n-th step; return whether it got to the end, and what it read."""
    words = [source, folder, BLOCK, step]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode == 0, int(done.stdout)


def lowmem(*words: object, **named):
    return subprocess.Popen(
        [sys.executable, "-m", "lowmem", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **named,
    )


def test_a_copy_killed_at_every_step_is_absent_or_whole_and_costs_a_block_a_kill(
    tmp_path,
):
    source = tmp_path / "drive" / "faces.zip"
    source.parent.mkdir()
    source.write_bytes(CONTENT)
    copy = tmp_path / "data" / "faces.zip"
    # One after the other, so that each goes on from what the one before left.
    n_read, step, is_done = 0, 0, False
    while not is_done:
        step += 1
        is_done, n_new = killed_at(step, source, tmp_path / "data")
        n_read += n_new
        if copy.exists():
            assert copy.read_bytes() == CONTENT
    assert copy.read_bytes() == CONTENT
    # A block in the writing, one read again as a test, and the short last one.
    assert n_read <= len(CONTENT) + step * 3 * BLOCK
    checksums = tmp_path / "data" / ".staging" / "faces.zip.sha256"
    check = ["sha256sum", "--strict", "-c", checksums]
    subprocess.run(check, cwd=copy.parent, check=True, stdout=subprocess.DEVNULL)


def test_a_folder_killed_at_every_step_of_an_update_is_the_old_or_the_new_one(
    tmp_path,
):
    source = tmp_path / "drive" / "faces"
    source.mkdir(parents=True)
    for number in range(3):
        (source / f"{number}.png").write_bytes(CONTENT[: 1000 * number])
    assert killed_at(0, source, tmp_path / "data")[0]
    old = {path.name: path.read_bytes() for path in source.iterdir()}
    (source / "1.png").write_bytes(b"another")
    (source / "2.png").unlink()
    (source / "3.png").write_bytes(CONTENT[: BLOCK + 1])
    new = {path.name: path.read_bytes() for path in source.iterdir()}
    copy, step, is_done, seen = tmp_path / "data" / "faces", 0, False, set()
    while not is_done:
        step += 1
        is_done, _ = killed_at(step, source, tmp_path / "data")
        # Absent between the two renames of a folder, which the next run ends.
        if copy.exists():
            found = {path.name: path.read_bytes() for path in copy.iterdir()}
            assert found in (old, new)
            seen.add(found == new)
    assert found == new
    assert seen == {True, False}


def test_the_command_killed_from_outside_goes_on_and_says_what_it_did(tmp_path):
    source = tmp_path / "faces.tar"
    source.write_bytes(os.urandom(2**20) * 96)
    words = ("data", "stage", source, tmp_path / "data")
    ledger = tmp_path / "data" / ".staging" / "faces.tar" / "ledger"
    running = lowmem(*words)
    deadline = time.monotonic() + 60
    while not ledger.exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    running.kill()
    running.communicate()
    done = lowmem(*words)
    path, told = done.communicate(timeout=60)
    assert done.returncode == 0, told
    assert path == f"{tmp_path / 'data' / 'faces.tar'}\n"
    assert Path(path.strip()).read_bytes() == source.read_bytes()
    assert "1 file, 96.0 MiB" in told
    assert "reading back: 100%" in told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_to_stop_ends_the_command_with_75_and_one_paragraph(tmp_path, number):
    source = tmp_path / "faces.tar"
    with source.open("wb") as stream:
        stream.truncate(2**31)
    with lowmem("data", "stage", source, tmp_path / "data") as running:
        # The bar is shown, so the copying is under way.
        assert running.stderr.read(1)
        running.send_signal(number)
        told = running.communicate(timeout=60)[1]
    assert running.returncode == 75
    assert "interrupted. What was copied is kept" in " ".join(told.split())
    assert "Traceback" not in told
    assert not (tmp_path / "data" / "faces.tar").exists()


def test_a_disk_that_fills_up_says_what_it_has_and_needs_and_keeps_the_rest(tmp_path):
    source = tmp_path / "faces.tar"
    source.write_bytes(os.urandom(2**20) * 24)
    # The system refuses to let any file grow past 10 MiB: a real error of a write.
    limited = ["prlimit", f"--fsize={10 * 2**20}", sys.executable, "-m", "lowmem"]
    words = ["data", "stage", str(source), str(tmp_path / "data")]
    done = subprocess.run(
        [*limited, *words], capture_output=True, text=True, check=False
    )
    told = " ".join(done.stderr.split())
    assert done.returncode == 74, told
    assert "could not be written: File too large; its disk has" in told
    # What fitted counts: 10 of 24 MiB.
    assert "expected 14.0 MiB for the rest. What was copied is kept" in told
    assert "Traceback" not in told
    copy = tmp_path / "data" / "faces.tar"
    assert not copy.exists()
    told = lowmem(*words).communicate(timeout=60)[1]
    assert copy.read_bytes() == source.read_bytes()
    assert "of which 16.0 MiB were copied now" in told  # One block of 8 MiB was whole.


def test_wrong_words_end_with_their_code_and_no_traceback(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"a")
    for words, status in (
        ((tmp_path / "none.zip", tmp_path / "data"), 65),
        ((tmp_path / "a.zip", tmp_path), 2),
        ((tmp_path / "a.zip", tmp_path / "a.zip"), 2),
        ((tmp_path / "a.zip", Path("/proc/nowhere")), 74),
    ):
        done = lowmem("data", "stage", *words)
        told = done.communicate(timeout=60)[1]
        assert done.returncode == status, told
        assert told.startswith("lowmem:"), told
        assert "Traceback" not in told


# Not `ru_maxrss`, which a child inherits from whoever started it.
PEAK = """
import sys
from pathlib import Path
from lowmem.staging.copying import stage
stage(Path(sys.argv[1]), Path(sys.argv[2]), tell=lambda *_: None)
status = Path("/proc/self/status").read_text()
print(status.partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.memory
def test_memory_does_not_grow_with_the_file_nor_with_the_number_of_files(tmp_path):
    def peak_kib(name: str) -> int:
        words = [sys.executable, "-c", PEAK, tmp_path / name, tmp_path / "data"]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        return int(done.stdout)

    for name, n_bytes in (("small.tar", 2**24), ("large.tar", 2**28)):
        with (tmp_path / name).open("wb") as stream:
            stream.truncate(n_bytes)
    for name, n_files in (("few", 50), ("many", 1000)):
        (tmp_path / name).mkdir()
        for number in range(n_files):
            (tmp_path / name / f"{number:05}.png").write_bytes(b"")
    small, large, few, many = map(peak_kib, ("small.tar", "large.tar", "few", "many"))
    assert large - small < 1024
    assert many - few < 1024
    assert large < 48 * 1024

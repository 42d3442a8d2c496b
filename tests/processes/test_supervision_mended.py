"""What a reviewer found, held for ever: each of these failed once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.process, pytest.mark.slow]

LEAKS = '''
import os
import lowmem

@lowmem.job(unit="x", settings=[{"size": 3}, {"size": 2}, {"size": 1}])
def leaks(ctx):
    """Leave files in memory behind, attempt by attempt."""
    path = f"/dev/shm/lowmem-test-{os.getpid()}"
    with open(path, "wb") as stream:
        for _ in range(120):
            stream.write(bytes(2**20))
    hog = bytearray(200 * 2**20)
    yield lowmem.CommitPoint(items=1)
'''

STEPS = '''
import time
import lowmem

@lowmem.job(unit="steps", options=[lowmem.Option(name="n", kind="int", default=5)])
def steps(ctx):
    """Take steps."""
    for i in range(ctx.state.get("i", 0), ctx.options["n"]):
        time.sleep(0.05)
        yield lowmem.CommitPoint(items=1, state={"i": i + 1})
'''

ABORTS = '''
import os, sys
import lowmem

@lowmem.job(unit="x")
def aborts(ctx):
    """Print what an allocation failure would, once, and die of something else."""
    mark = ctx.workspace.root / "been"
    if not mark.exists():
        mark.touch()
        os.write(2, b"terminate called after throwing bad_alloc\\n")
    os.kill(os.getpid(), 11)
    yield lowmem.CommitPoint()
'''


def lowmem(folder, *words, **more):
    line = [sys.executable, "-m", "lowmem", *words]
    return subprocess.run(
        line,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **more,
    )


@pytest.fixture
def jobs(tmp_path):
    for name, text in {"leaks": LEAKS, "steps": STEPS, "aborts": ABORTS}.items():
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


@pytest.mark.alone
@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no memory file system here")
def test_what_one_attempt_leaves_in_memory_counts_in_the_next(jobs):
    try:
        done = lowmem(jobs, "run", "leaks.py", "--ram-budget", "300MiB")
    finally:
        for path in Path("/dev/shm").glob("lowmem-test-*"):
            path.unlink()
    assert done.returncode == 73, done.stderr
    told = " ".join(done.stderr.split())
    assert "of it new shared memory or files in memory" in told


def test_the_command_that_status_prints_continues_the_job(jobs):
    stopped = lowmem(
        jobs,
        "run",
        "steps.py",
        "--n",
        "100",
        "--time-budget",
        "3s",
        "--cycle-steps",
        "5",
    )
    assert stopped.returncode == 75, stopped.stderr
    status = lowmem(jobs, "status").stdout
    (command,) = [
        li for li in status.splitlines() if li.strip().startswith("lowmem run")
    ]
    words = command.split()[1:]
    words[words.index("3s")] = "50s"
    assert lowmem(jobs, *words).returncode == 0


def test_a_death_is_not_taken_for_lack_of_memory_by_an_old_line_in_the_log(jobs):
    done = lowmem(jobs, "run", "aborts.py")
    assert done.returncode == 70, done.stderr
    assert "verdict: crash" in " ".join(done.stderr.split())


def test_a_hang_up_that_is_ignored_from_outside_does_not_stop_a_run(jobs):
    line = ["nohup", sys.executable, "-m", "lowmem", "run", "steps.py", "--n", "60"]
    run = subprocess.Popen(line, cwd=jobs, stderr=subprocess.DEVNULL)
    journal = jobs / "lowmem-work" / ".lowmem" / "journal.jsonl"
    while not (journal.exists() and b"AttemptBegun" in journal.read_bytes()):
        assert run.poll() is None
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGHUP)
    assert run.wait(60) == 0


def test_a_wrong_option_of_the_last_job_is_found_before_the_first_begins(tmp_path):
    done = lowmem(tmp_path, "run", "all", "--model", "nowhere:build")
    assert done.returncode == 2, done.stderr
    assert not (tmp_path / "lowmem-work" / "images.zarr").exists()


def test_a_workspace_may_be_named_as_an_option_of_status_and_report_too(jobs):
    assert lowmem(jobs, "run", "steps.py", "--workspace", "w").returncode == 0
    for command in ("status", "report"):
        named = lowmem(jobs, command, "--workspace", "w")
        assert (named.returncode, "steps" in named.stdout) == (0, True)
    page = lowmem(jobs, "report", "w", "--html", "nowhere/page.html")
    assert page.returncode == 2
    assert not (jobs / "nowhere").exists()

"""A run in a terminal, and whoever watches it from another."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager

import pytest

from lowmem.base.clock import SystemClock
from lowmem.base.workspace import Workspace
from lowmem.cli.watch import status_text
from tests.processes.lowmem_runs import (
    COUNTING,
    PATIENCE_S,
    Running,
    job_file,
    lowmem,
    running,
    until,
)

pytestmark = [pytest.mark.process, pytest.mark.slow]

# As `COUNTING`, and says how far it is.
TELLING = COUNTING.replace(
    "        yield lowmem",
    '        ctx.progress(done, ctx.options["rows"], f"loss {1 / done:.5f}")\n'
    "        yield lowmem",
)


class Terminal:
    """A pseudo-terminal of which all is kept that was written to it."""

    def __init__(self, columns: int) -> None:
        self._ours, self.theirs = pty.openpty()
        self._written = b""
        self.resize(columns)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def resize(self, columns: int) -> None:
        size = struct.pack("HHHH", 24, columns, 0, 0)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, size)

    @property
    def lines(self) -> list[str]:
        """Every line that was whole at any moment, the redrawn ones too."""
        text = self._written.decode(errors="replace").replace("\n", "\r")
        return [line.rstrip() for line in text.split("\r") if line.strip()]

    def _read(self) -> None:
        try:
            while data := os.read(self._ours, 65536):
                self._written += data
        except OSError:
            return

    def close(self) -> None:
        os.close(self.theirs)
        self._reader.join(PATIENCE_S)
        os.close(self._ours)


@contextmanager
def running_in(terminal, job, space, *words):
    line = [sys.executable, "-m", "lowmem", "run", job, "--workspace", space, *words]
    process = subprocess.Popen(
        list(map(str, line)),
        stdin=subprocess.DEVNULL,
        stdout=terminal.theirs,
        stderr=terminal.theirs,
        cwd=space.parent,
    )
    try:
        yield Running(process, Workspace.at(space))
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def files_of(space):
    return {
        path: (path.stat().st_mtime_ns, path.stat().st_size)
        for path in space.rglob("*")
    }


def test_a_run_shows_itself_at_any_width_and_can_be_watched_from_elsewhere(tmp_path):
    job, space = job_file(tmp_path, TELLING), tmp_path / "w"
    terminal = Terminal(40)
    words = ("--rows", 4000, "--pause", 0.02, "--cycle-steps", 5)
    with running_in(terminal, job, space, *words) as live:
        # A redrawn line ends where the next one begins.
        until(lambda: sum("% " in line for line in terminal.lines) > 1)
        narrow = [line for line in terminal.lines[:-1] if line.startswith("count ")]
        terminal.resize(200)
        until(lambda: any("rows/s" in line for line in terminal.lines[:-1]))
        watching = subprocess.Popen(
            [sys.executable, "-m", "lowmem", "watch", str(space)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert "count now: " in watching.stdout.readline() + "".join(
            watching.stdout.readline() for _ in range(5)
        )
        live.process.send_signal(signal.SIGINT)
        assert live.process.wait(PATIENCE_S) == 75
        seen, errors = watching.communicate(timeout=PATIENCE_S)
    terminal.close()
    # At 40 columns memory, its budget and the loss are there, and nothing is cut off.
    told = [line for line in narrow if "%" in line]
    assert all(len(line) < 40 for line in told)
    assert all("RAM " in line and "loss 0." in line for line in told[1:])
    assert any(line.startswith("count starting") for line in narrow)
    # What is said may be in several lines.
    said = " ".join(" ".join(terminal.lines).split())
    assert said.count("count: Ctrl-C: stopping at the next commit") == 1
    assert "A second Ctrl-C stops at once" in said
    # Whoever watched saw it end, and ended with it.
    assert watching.returncode == 0, errors
    assert "count  stopped" in seen
    # Of what nobody runs there is nothing to wait for, and nothing is touched.
    before = files_of(space)
    ended = lowmem("watch", space)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.rstrip("\n") == status_text(live.space, SystemClock())
    assert files_of(space) == before


def test_the_page_of_a_run_under_way_is_written_for_whoever_asks_for_it(tmp_path):
    job, space = job_file(tmp_path, TELLING), tmp_path / "w"
    page = space / "report.html"
    words = ("--rows", 4000, "--pause", 0.02)
    with running(job, space, *words, cycle_steps=5) as live:
        live.wait_for_commits(1)
        assert lowmem("report", space, "--html", page).status == 0
        under_way = page.read_text()
        live.process.send_signal(signal.SIGINT)
        assert live.end().status == 75
    assert re.search(r"count\s+<span[^>]*>running</span>", under_way)
    assert "To go on" not in under_way
    # The run itself writes it once more, since it ended without being done.
    assert "To go on" in page.read_text()

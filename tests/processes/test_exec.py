"""`lowmem exec`: what a program does under it is what it does by hand, within the budget."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from lowmem.base.workspace import Workspace
from lowmem.memory.process_tree import anonymous_bytes
from lowmem.repair.check import verify
from lowmem.report.read import read_report
from lowmem.supervisor.order import SUPERVISOR_BYTES
from tests.processes.lowmem_runs import (
    PATIENCE_S,
    incidents,
    lowmem,
    records,
    until,
)

pytestmark = [pytest.mark.process, pytest.mark.slow]

# Fills memory; tells of what it was started with.
HOG = """
import os, sys
with open(sys.argv[1], "a") as stream:
    print(os.environ["LOWMEM_ATTEMPT"], os.environ["LOWMEM_RUNG"], file=stream)
def fill_all():
    kept = []
    while True:
        kept.append(bytearray(2**20))
if os.environ["LOWMEM_RUNG"] == "0":
    fill_all()
"""

# Counts to six; its state is the number, and a file that only grows. It is cut after a
# commit, with a state that was changed since.
COUNT = """
cd "$LOWMEM_STATE"
n=$(cat n 2>/dev/null || echo 0)
while [ "$n" -lt 6 ]; do
  n=$((n + 1))
  mkdir -p deep
  echo "$n" > n
  echo "$n" >> deep/rows
  echo "$n 6" >> "$LOWMEM_PROGRESS"
  : > "$LOWMEM_COMMIT"
  while [ -e "$LOWMEM_COMMIT" ]; do sleep 0.01; done
  if [ "$n" = "$2" ]; then
    echo lost >> deep/rows
    echo 99 > n
    touch junk
    exec sh -c "$3"
  fi
done
cp deep/rows "$1"
ls >> "$1"
"""


# Some more where the modules had to be compiled first.
COMPILED = 3 * 2**20 if sys.dont_write_bytecode else 0


@dataclass(slots=True)
class Live:
    process: subprocess.Popen[bytes]

    def end(self) -> tuple[int, bytes, bytes]:
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err


@contextmanager
def executing(space, *words: object):
    """Start a command without a terminal, in a group of its own."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "lowmem",
            "exec",
            "--workspace",
            space,
            *map(str, words),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield Live(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_input_output_errors_and_exit_code_pass_byte_by_byte(tmp_path):
    data = os.urandom(300_000) + b"\0no line end"
    script = 'cat; printf "\\377\\000e\\r" >&2; echo "$0" "$1" >&2; exit 7'
    line = [sys.executable, "-m", "lowmem", "exec", "--quiet", "--workspace"]
    words = ["--", "sh", "-c", script, "--restart", "a  b"]
    done = subprocess.run(
        [*line, tmp_path / "w", *words], input=data, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (7, data)
    assert done.stderr == b"\xff\0e\r--restart a  b\n"
    # How it ended is kept, and the line that runs it again is the one that was typed.
    (job,) = read_report(Workspace.at(tmp_path / "w"), is_live=False).jobs.values()
    assert (job.state, job.exit_code) == ("failed", 7)
    assert job.command[-3:] == (script, "--restart", "a  b")


def test_a_tree_is_stopped_within_its_budget_and_told_who_asked_and_where(tmp_path):
    hog = tmp_path / "hog.py"
    hog.write_text(HOG)
    starts = tmp_path / "starts"
    script = f"sleep 600 & {sys.executable} {hog} {starts}; exit 9"
    space = tmp_path / "w"
    ended = lowmem(
        "exec", "--ram", "300M", "--workspace", space, "--", "sh", "-c", script
    )
    assert ended.status == 73, ended
    assert "its RAM budget of 286.1 MiB (300 MB) is used up" in ended.paragraph
    assert "hog.py:8 in fill_all" in ended.paragraph
    assert "it committed nothing, so the same command begins anew." in ended.paragraph
    (largest,) = re.findall(r"counted; largest process ([\d.]+) MiB", ended.err)
    assert 240 < float(largest) < 400
    (event,) = incidents(space)
    assert event.verdict == "ram_limit"
    assert re.match(r"hog\.py:8 in fill_all, python.*\(pid \d+\)$", event.where)
    (job,) = read_report(Workspace.at(space), is_live=False).jobs.values()
    assert 200e6 < job.ram_peak_bytes <= 300e6
    # One retry: it is told, by its environment, that the same would be too much again.
    words = ("--ram", "300M", "--retries", 1, "--name", "again", "--workspace", space)
    ended = lowmem("exec", *words, "--", sys.executable, hog, starts)
    assert ended.status == 0, ended
    assert "2 attempts" in ended.err
    assert starts.read_text() == "1 0\n1 0\n2 1\n"
    assert incidents(space)[-1].action == "started again, with LOWMEM_RUNG=1"
    assert not [p for p in psutil.process_iter(["cmdline"]) if _has(p, str(hog))]


def _has(process: psutil.Process, word: str) -> bool:
    return word in (process.info["cmdline"] or ())


def test_a_signal_reaches_the_program_once_and_its_answer_is_its_own(tmp_path):
    told = tmp_path / "told"
    script = f"""
trap 'echo TERM >> {told}' TERM
trap 'exit 4' USR1
echo ready >> {told}
while :; do sleep 0.01; done
"""
    with executing(tmp_path / "w", "--", "sh", "-c", script) as live:
        until(told.exists)
        assert anonymous_bytes(live.process.pid) < SUPERVISOR_BYTES + COMPILED
        assert "numpy" not in Path(f"/proc/{live.process.pid}/maps").read_text()
        # As `timeout` does: to the process, and to its whole group.
        live.process.terminate()
        os.killpg(live.process.pid, signal.SIGTERM)
        until(lambda: "TERM" in told.read_text())
        live.process.send_signal(signal.SIGUSR1)
        status, _, err = live.end()
    # Two signals that come while one waits are one.
    assert told.read_text() in ("ready\nTERM\n", "ready\nTERM\nTERM\n")
    assert status == 4
    assert b"exit code 4, its own" in err


def test_a_program_that_ends_by_the_signal_that_was_passed_on_is_to_be_continued(
    tmp_path,
):
    space = tmp_path / "w"
    script = f"touch {tmp_path / 'begun'}; sleep 600; exit 5"
    with executing(space, "--", "sh", "-c", script) as live:
        until((tmp_path / "begun").exists)
        live.process.send_signal(signal.SIGHUP)
        status, _, err = live.end()
    assert status == 75
    assert b"asked to, by SIGHUP" in err
    assert b"It committed nothing, so the same" in err
    (event,) = incidents(space)
    assert (event.verdict, event.signal) == ("signal", "SIGHUP")


def test_when_the_time_is_over_a_program_that_will_not_end_is_killed(tmp_path):
    space = tmp_path / "w"
    script = "trap '' TERM; while :; do sleep 0.01; done"
    words = ("--time", "1s", "--workspace", space)
    ended = lowmem("exec", *words, "--", "sh", "-c", script)
    assert ended.status == 75, ended
    assert "the time budget is used up" in ended.paragraph
    assert incidents(space)[-1].verdict == "time"


def test_what_was_committed_is_gone_on_from_here_and_from_the_mirror(tmp_path):
    space, out = tmp_path / "w", tmp_path / "out"
    script = tmp_path / "count.sh"

    def count(cut_at: int, how: str, *, is_mirrored: bool = False):
        # Not a part of the line, which has to stay the same.
        text = COUNT.replace("$1", str(out)).replace("$2", str(cut_at))
        script.write_text(text.replace("$3", how))
        words = ("--mirror", tmp_path / "m") if is_mirrored else ()
        return lowmem("exec", *words, "--workspace", space, "--", "sh", script)

    killed = count(2, "kill -9 \\$\\$", is_mirrored=True)
    assert killed.status == 137, killed
    assert "ended by SIGKILL, which lowmem did not send" in killed.paragraph
    # Another machine: nothing is left but the mirror. It says itself that it is not done.
    shutil.rmtree(space)
    stopped = count(4, "exit 75", is_mirrored=True)
    assert stopped.status == 75, stopped
    assert "The same command continues from what it committed." in stopped.paragraph
    ended = count(7, "false")
    assert ended.status == 0, ended
    rows = "".join(f"{n}\n" for n in range(1, 7))
    assert out.read_text() == f"{rows}deep\nn\n"
    job = read_report(Workspace.at(space), is_live=False).jobs["exec-sh"]
    assert (job.state, job.items, job.durable) == ("done", 6, 4)
    assert verify(Workspace.at(space)).is_whole
    # It is done for good.
    n_records = len(records(space))
    assert "was done before" in count(7, "false").err
    assert len(records(space)) == n_records


def test_at_a_terminal_it_has_the_terminal_and_ctrl_c_reaches_it_once(tmp_path):
    told = tmp_path / "told"
    script = f"""
trap 'echo INT >> {told}; trap - INT' INT
[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && : > /dev/tty && echo tty >> {told}
while :; do sleep 0.01; done
"""
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    pid = os.fork()
    if pid == 0:
        os.login_tty(slave)
        words = ["exec", "--workspace", str(tmp_path / "w"), "--", "sh", "-c", script]
        line = [sys.executable, "-m", "lowmem", *words]
        os.execv(sys.executable, line)  # noqa: S606 - the child of a terminal
    try:
        until(told.exists)
        os.write(master, b"\x03")
        until(lambda: "INT" in told.read_text())
        # Now it ends by it, at the same moment as lowmem hears of it.
        os.write(master, b"\x03")
        _, status = os.waitpid(pid, 0)
    finally:
        shown = os.read(master, 10_000)
    assert os.waitstatus_to_exitcode(status) == 75, shown
    assert told.read_text() == "tty\nINT\n"
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


def test_a_program_that_is_not_there_is_a_missing_dependency(tmp_path):
    ended = lowmem("exec", "--workspace", tmp_path / "w", "no-such-program-at-all")
    assert ended.status == 69, ended
    assert "no-such-program-at-all could not be started" in ended.paragraph

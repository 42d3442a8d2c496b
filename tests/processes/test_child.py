"""A child process as its parent meets it: lines whole and in order, ends that are told."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import msgspec
import pytest

from lowmem.base.child import STANDARD_ERROR, Child, ran
from lowmem.base.parent import say
from tests.processes.lowmem_runs import until

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]


@pytest.fixture
def child(monkeypatch):
    """One that answers each line by the text in it, turned round."""
    monkeypatch.chdir(ROOT)
    with Child("tests.processes.answering", 1, output=STANDARD_ERROR) as child:
        yield child


def line_of(text):
    return msgspec.json.encode(text) + b"\n"


def heard(child, n_lines):
    lines = []
    while len(lines) < n_lines and child.is_open:
        lines += child.lines(20.0)
    return [msgspec.json.decode(line, type=bytes) for line in lines]


def test_what_must_not_wait_for_room_goes_as_a_whole_or_not_at_all(child):
    os.kill(child.pid, signal.SIGSTOP)
    sent = []
    while child.send(line_of(b"turn %d " % len(sent) + b"x" * 3000), waits=False):
        sent.append(b"%d " % len(sent) + b"x" * 3000)
        assert len(sent) < 1000
    os.kill(child.pid, signal.SIGCONT)
    assert heard(child, len(sent)) == [text[::-1] for text in sent]


@pytest.mark.parametrize("text", [b"", b"turn a", b"\n\n", b"turn a\nturn b\n"])
def test_what_is_no_line_is_refused_before_the_other_side_waits_for_it(child, text):
    with pytest.raises(ValueError, match="must have one line end"):
        child.send(text)
    ours, theirs = os.pipe()
    with pytest.raises(ValueError, match="must have one line end"):
        say(theirs, text)
    os.close(theirs)
    assert os.read(ours, 1) == b""
    os.close(ours)
    # Nothing of it went: the next is answered for itself.
    assert child.send(line_of(b"turn b"))
    assert heard(child, 1) == [b"b"]


def test_one_that_has_ended_is_told_apart_takes_nothing_and_is_reaped_once(child):
    child.kill()
    assert child.lines(20.0) == []
    assert not child.is_open
    # Its end of one pipe may be closed a moment before that of the other.
    until(child.has_exited)
    assert not child.send(line_of(b"turn a"))
    assert child.wait() is child.wait()
    assert child.wait().status == -signal.SIGKILL
    child.end()
    assert not Path(f"/proc/{child.pid}").exists()


def test_a_program_that_is_late_is_killed_and_one_that_is_not_there_is_no_other_error():
    with pytest.raises(TimeoutError):
        ran(["/bin/sleep", "600"], timeout_s=0.05)
    with pytest.raises(OSError, match="nowhere"):
        ran(["/nowhere/at-all"])
    done = ran(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")

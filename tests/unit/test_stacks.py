"""The line a stopped worker was at, from stacks that faulthandler really wrote."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lowmem.supervisor.stacks import is_dumped, read_where, where_from_stacks
from lowmem.worker.failure import place_of

DUMPED = """
import faulthandler, os, signal, sys, threading

def load_all():
    dump()

def dump():
    os.kill(os.getpid(), signal.SIGUSR1)

def helper():
    started.set()
    stop.wait()

stream = open(sys.argv[1], "wb")
faulthandler.register(signal.SIGUSR1, stream, all_threads=True)
started, stop = threading.Event(), threading.Event()
threading.Thread(target=helper, daemon=True).start()
started.wait()
for _ in range(2):
    load_all()
stop.set()
"""


@pytest.mark.process
@pytest.mark.slow
def test_the_innermost_own_line_of_the_main_thread_is_named(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(DUMPED)
    stacks = tmp_path / "stacks.txt"
    subprocess.run([sys.executable, script, stacks], check=True)
    line = DUMPED.splitlines().index("    os.kill(os.getpid(), signal.SIGUSR1)") + 1
    assert read_where(stacks) == f"script.py:{line} in dump"


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("depth", [0, 300])
def test_a_dump_is_whole_when_its_last_line_is(tmp_path, depth):
    deep = f"""
def deeper(n):
    deeper(n - 1) if n else load_all()

for _ in range(2):
    deeper({depth})
"""
    source = DUMPED.replace("\nfor _ in range(2):\n    load_all()\n", deep)
    (tmp_path / "script.py").write_text(source)
    stacks = tmp_path / "stacks.txt"
    subprocess.run([sys.executable, "-m", "script", stacks], check=True, cwd=tmp_path)
    whole = stacks.read_bytes()
    half = len(whole) // 2
    assert is_dumped(stacks, since=0)
    assert is_dumped(stacks, since=half)
    assert not is_dumped(stacks, since=len(whole))
    for end in range(half, len(whole), 7):
        stacks.write_bytes(whole[:end])
        assert not is_dumped(stacks, since=half)
    assert not is_dumped(tmp_path / "absent", since=0)


def test_frames_of_libraries_and_of_the_machinery_are_passed_over():
    import json
    import os

    library = os.path.dirname(json.__file__)  # noqa: PTH120 - as a frame has it
    text = (
        "Current thread 0x00007f0000000000 (most recent call first):\n"
        f'  File "{library}/decoder.py", line 353 in raw_decode\n'
        '  File "<frozen importlib._bootstrap>", line 241 in _call\n'
        '  File "/home/me/job.py", line 12 in load all\n'
        '  File "/x/lowmem/worker/cycles.py", line 9 in run\n'
    )
    assert where_from_stacks(text) == "job.py:12 in load all"


def test_of_several_dumps_the_last_counts_and_of_threads_the_main_one():
    def dump(line):
        return (
            "Thread 0x1 (most recent call first):\n"
            f'  File "/home/me/reader.py", line {line} in read\n\n'
            "Current thread 0x2 (most recent call first):\n"
            f'  File "/home/me/job.py", line {line} in work\n'
        )

    assert where_from_stacks(dump(1) + dump(2)) == "job.py:2 in work"


def test_a_main_thread_in_libraries_alone_gives_way_to_another():
    text = (
        "Thread 0x1 (most recent call first):\n"
        '  File "/home/me/reader.py", line 3 in read\n\n'
        "Current thread 0x2 (most recent call first):\n"
        '  File "<string>", line 1 in <module>\n'
    )
    assert where_from_stacks(text) == "reader.py:3 in read"


@pytest.mark.parametrize(
    "text", ["", "nonsense", "Thread 0x1 (most recent call first):"]
)
def test_nothing_legible_names_no_line(text):
    assert where_from_stacks(text) is None


def test_no_file_of_stacks_names_no_line(tmp_path):
    assert read_where(tmp_path / "none") is None


def test_an_exception_is_placed_at_its_innermost_own_line():
    try:
        int("x")
    except ValueError as error:
        place = place_of(error)
    assert place.startswith("test_stacks.py:")
    assert place.endswith("in test_an_exception_is_placed_at_its_innermost_own_line")
    assert place_of(ValueError("never raised")) is None

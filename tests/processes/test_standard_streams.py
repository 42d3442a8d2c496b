"""A command does its work and keeps its exit code, whatever its standard streams are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes.lowmem_runs import (
    COUNTING,
    assert_counted,
    job_file,
)

pytestmark = [pytest.mark.process]

# What a command does, without the second that loading all of it takes.
COMMAND = """
import sys
from lowmem.cli.boundary import leave_with
from lowmem.base.errors import DataError
def work():
    print("the first of many lines", flush={flush})
    raise DataError(thing="it", problem="is bad", expected="better")
leave_with(work)
"""


def command(output: int, *, flush: bool) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", COMMAND.format(flush=flush)],
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("flush", [True, False])
def test_a_reader_that_has_enough_changes_no_exit_code(flush):
    reader, writer = os.pipe()
    os.close(reader)
    ended = command(writer, flush=flush)
    os.close(writer)
    assert ended.returncode == 65
    assert ended.stderr == "lowmem: it is bad, expected better.\n"


def test_a_closed_terminal_changes_no_exit_code():
    ours, theirs = os.openpty()
    os.close(ours)
    ended = command(theirs, flush=True)
    os.close(theirs)
    assert ended.returncode == 65
    assert ended.stderr == "lowmem: it is bad, expected better.\n"


def test_a_full_disk_behind_the_output_ends_with_74_and_says_so():
    with Path("/dev/full").open("w") as full:
        ended = command(full.fileno(), flush=True)
    assert ended.returncode == 74
    assert "the standard output could not be written" in ended.stderr
    assert "No space left" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_is_only_buffered_is_told_of_a_full_disk_too():
    text = "from lowmem.cli.boundary import leave_with\nleave_with(lambda: print('x'))"
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", text],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert ended.returncode == 74
    assert "the standard output" in ended.stderr


@pytest.mark.slow
def test_a_run_without_any_standard_stream_writes_nothing_into_its_own_files(tmp_path):
    job, space = job_file(tmp_path, COUNTING), tmp_path / "w"
    line = f"exec {sys.executable} -m lowmem run {job} --workspace {space}"
    ended = subprocess.run(
        ["/bin/sh", "-c", f"{line} --cycle-steps 6 <&- >&- 2>&-"],
        check=False,
        timeout=90,
        cwd=tmp_path,
    )
    assert ended.returncode == 0
    assert_counted(space)

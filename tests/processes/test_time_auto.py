"""`--time-budget auto` with a squeue on the path that prints as the real one does."""

from __future__ import annotations

import re

import pytest

from lowmem.protocol.records import RunBegun
from tests.processes.lowmem_runs import (
    COUNTING,
    assert_counted,
    job_file,
    lowmem,
    records,
    run,
)

pytestmark = [pytest.mark.process, pytest.mark.slow]

# Knows one job. Prints nothing but what it is asked for, and fails for another.
SQUEUE = """#!/bin/sh
[ "$1" = --noheader ] && [ "$2" = --jobs ] && [ "$4 $5" = "--format %L" ] || exit 64
if [ "$3" != 42 ]; then
  echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1
fi
echo "$LEFT"
"""


@pytest.fixture
def job(tmp_path):
    return job_file(tmp_path, COUNTING)


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Return a function that sets which job this is, and what squeue says is left."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "squeue").write_text(SQUEUE)
    (folder / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    for name in ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_END_TIME"):
        monkeypatch.delenv(name, raising=False)

    def set_job(number, left=""):
        monkeypatch.setenv("SLURM_JOB_ID", number)
        monkeypatch.setenv("LEFT", left)

    return set_job


def budget_of(space):
    return [r for r in records(space) if isinstance(r, RunBegun)][-1].time_budget_s


def test_what_is_left_of_the_job_is_the_time_budget(tmp_path, job, slurm):
    slurm("42", "1-00:00:00")
    ended = run(job, tmp_path / "w", "--time-budget", "auto")
    assert ended.status == 0, ended
    assert budget_of(tmp_path / "w") == 86400 - 60
    assert "SLURM job 42 ends in 24 h 00 min" in ended.err


def test_a_job_that_ends_soon_is_left_in_time_and_gone_on_with(tmp_path, job, slurm):
    space = tmp_path / "w"
    slurm("42", "0:15")
    words = ("--rows", 1_000, "--pause", 0.1, "--time-budget", "auto")
    ended = run(job, space, *words, cycle_steps=None)
    assert ended.status == 75, ended
    # Also where a loaded machine needed all of it to begin.
    assert "the time budget" in ended.paragraph
    assert budget_of(space) == 13.5
    slurm("42", "UNLIMITED")
    words = ("--rows", 1_000, "--time-budget", "auto")
    ended = run(job, space, *words, cycle_steps=None)
    assert ended.status == 0, ended
    assert budget_of(space) is None
    assert_counted(space, 1_000)


def test_nothing_left_starts_nothing_and_is_resumable(tmp_path, job, slurm):
    slurm("42", "INVALID")
    ended = run(job, tmp_path / "w", "--time-budget", "auto")
    assert ended.status == 75, ended
    assert "nothing is left of SLURM job 42" in ended.paragraph
    assert not (tmp_path / "w" / ".lowmem").exists()


def test_a_plan_needs_no_time(tmp_path, job, slurm):
    slurm("42", "INVALID")
    space = tmp_path / "w"
    space.mkdir()
    (space / "lowmem.toml").write_text('[run]\ntime-budget = "auto"\n')
    ended = lowmem("plan", job, "--workspace", space)
    assert ended.status == 0, ended
    assert "SLURM" not in ended.err


def test_a_squeue_that_fails_is_said_even_quietly_and_the_run_goes_on(
    tmp_path, job, slurm
):
    slurm("43")
    ended = run(job, tmp_path / "w", "--time-budget", "auto", "--quiet")
    assert ended.status == 0, ended
    assert "neither SLURM_JOB_END_TIME nor squeue tells" in ended.err
    assert budget_of(tmp_path / "w") is None


def test_a_machine_without_slurm_says_that_it_does_not_know_and_has_no_limit(
    tmp_path, job, monkeypatch
):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    space = tmp_path / "w"
    space.mkdir()
    (space / "lowmem.toml").write_text('[run]\ntime-budget = "auto"\n')
    ended = run(job, space)
    assert ended.status == 0, ended
    assert re.search("nothing here tells when this machine ends", ended.err)
    assert budget_of(space) is None


def test_another_word_is_refused_as_no_duration(tmp_path, job):
    ended = run(job, tmp_path / "w", "--time-budget", "automatic")
    assert ended.status == 2, ended
    assert "a duration such as" in ended.paragraph

"""What is left of a batch system's job, from what its environment and squeue tell."""

from __future__ import annotations

import math

import pytest

from lowmem.base.errors import StoppedError
from lowmem.base.units import seconds_from_duration
from lowmem.places.time_left import (
    TimeLeft,
    auto_budget,
    is_auto,
    seconds_from_squeue,
    slurm_job,
    time_left,
    usable_s,
)

NOW_S = 1_790_000_000.0
JOB = {"SLURM_JOB_ID": "42"}


def squeue(text):
    """Return what is asked instead of squeue, and the list of jobs it was asked for."""
    asked = []

    def ask(job):
        asked.append(job)
        return text

    return ask, asked


@pytest.mark.parametrize(
    ("text", "left_s"),
    [
        ("0:42\n", 42),
        ("59:59\n", 3599),
        ("1:00:00\n", 3600),
        ("23:59:59\n", 86399),
        ("1-00:00:00\n", 86400),
        ("49-17:02:03\n", 49 * 86400 + 17 * 3600 + 123),
        ("  10:00  \n", 600),
        ("UNLIMITED\n", math.inf),
        # Past its limit, within the time that is left until the kill.
        ("INVALID\n", 0),
        ("0:00\n", 0),
        # The parts of a heterogeneous job end together with the first.
        ("20:00\n10:00\nUNLIMITED\n", 600),
        ("NOT_SET\n10:00\n", 600),
        ("NOT_SET\n", None),
        ("", None),
        (None, None),
        ("slurm_load_jobs error: Invalid job id specified\n", None),
        ("10\n", None),
        ("1:2:3:4\n", None),
        ("-1:00\n", None),
    ],
)
def test_what_squeue_prints_is_read_by_its_documented_format(text, left_s):
    assert seconds_from_squeue(text) == left_s


def test_the_end_that_the_environment_tells_is_taken_without_asking_squeue():
    ask, asked = squeue("1:00\n")
    environment = {**JOB, "SLURM_JOB_END_TIME": str(int(NOW_S) + 500)}
    assert time_left(environment, NOW_S, ask) == TimeLeft(job="42", left_s=500)
    assert asked == []


@pytest.mark.parametrize("end", ["", "soon", str(int(NOW_S) - 1), "-5"])
def test_squeue_is_asked_where_the_environment_tells_no_end_to_come(end):
    ask, asked = squeue("10:00\n")
    environment = {**JOB, "SLURM_JOB_END_TIME": end}
    assert time_left(environment, NOW_S, ask).left_s == 600
    assert asked == ["42"]


def test_a_task_of_an_array_asks_for_itself_though_its_number_is_that_of_all():
    array = {**JOB, "SLURM_ARRAY_JOB_ID": "42", "SLURM_ARRAY_TASK_ID": "7"}
    ask, asked = squeue("10:00\n")
    time_left(array, NOW_S, ask)
    assert asked == ["42_7"]


@pytest.mark.parametrize("job", ["", "x", "1;2", "-1"])
def test_what_is_no_number_of_a_job_is_never_handed_on(job):
    ask, asked = squeue("10:00\n")
    assert slurm_job({"SLURM_JOB_ID": job}) is None
    assert time_left({"SLURM_JOB_ID": job}, NOW_S, ask) == TimeLeft()
    assert asked == []


@pytest.mark.parametrize("left_s", [0.5, 1.0, 60.0, 599.0, 600.0, 601.0, 86400.0])
def test_some_time_is_kept_for_what_follows_the_last_commit_and_most_is_used(left_s):
    assert 0.9 * left_s <= usable_s(left_s) < left_s
    assert left_s - usable_s(left_s) <= 60


def test_a_known_end_becomes_a_duration_as_it_is_typed():
    budget, told = auto_budget(TimeLeft(job="42", left_s=3600), "train")
    assert seconds_from_duration(budget) == 3540
    assert "SLURM job 42 ends in 1 h 00 min" in told


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (TimeLeft(), "nothing here tells"),
        (TimeLeft(job="42"), "neither SLURM_JOB_END_TIME nor squeue tells"),
        (TimeLeft(job="42", left_s=math.inf), "has no time limit"),
    ],
)
def test_without_a_known_end_there_is_no_limit_and_it_is_said(left, words):
    budget, told = auto_budget(left, "train")
    assert budget is None
    assert words in told


def test_nothing_left_begins_nothing():
    with pytest.raises(StoppedError, match="nothing is left of SLURM job 42") as caught:
        auto_budget(TimeLeft(job="42", left_s=0), "train")
    assert caught.value.exit_code == 75


@pytest.mark.parametrize(
    ("text", "holds"),
    [("auto", True), (" Auto ", True), ("90m", False), (None, False), (5, False)],
)
def test_auto_is_a_word_of_its_own(text, holds):
    assert is_auto(text) is holds

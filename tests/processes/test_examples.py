"""The worked examples: sound, the same when killed, and equal to the same work in RAM.

The short form of benchmarks/examples.py, which has data larger than the budget.
"""

from __future__ import annotations

import pytest

from benchmarks import examples_ram
from benchmarks.examples import EXAMPLES, examples, make_data, results, to_the_end
from lowmem.testing import Case, check
from tests.processes.lowmem_runs import attempts

pytestmark = [pytest.mark.process, pytest.mark.slow]

SMALL = examples(is_small=True)

# The job of a file, whose first worker dies in the step after so many commits.
DEADLY_JOB = """
import os, signal
from dataclasses import replace
from pathlib import Path
from lowmem.worker.registry import find_job, work_of

JOB = find_job({file!r})
own = work_of(JOB)

def work(ctx):
    is_first, points, number = not Path({mark!r}).exists(), own(ctx), 0
    while True:
        try:
            point = next(points)
        except StopIteration as end:
            return end.value
        if is_first and number == {n_commits}:
            Path({mark!r}).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield point
        number += 1

JOB = replace(JOB, work=work)
"""


def deadly(example, line, folder, n_commits):
    """Return a command whose worker is killed once, in its midst."""
    file = str(EXAMPLES / f"{example.name}.py")
    wrapped, mark = folder / f"{example.name}.py", str(folder / "killed")
    wrapped.write_text(DEADLY_JOB.format(file=file, n_commits=n_commits, mark=mark))
    return [str(wrapped) if word == file else word for word in line]


def assert_near(example, data, made):
    """Assert that results are those of the same work in RAM, but for rounding."""
    far = examples_ram.EQUIVALENTS[example.name](data, made, **example.given)
    assert set(far) == set(example.near)
    assert all(value <= example.near[name] for name, value in far.items()), far


@pytest.mark.parametrize(
    ("name", "given"), [("spectra", "source"), ("topics", "texts")]
)
def test_a_job_is_sound_under_every_check_and_what_it_makes_is_that_of_ram(
    tmp_path, name, given
):
    example = SMALL[name]
    data = make_data(example.data, tmp_path, is_small=True)
    options = dict(zip(example.options[::2], example.options[1::2], strict=True))
    options = {flag[2:]: value for flag, value in options.items()} | {given: data}
    told = check(Case(EXAMPLES / f"{name}.py", tmp_path, options, ram="300M"))
    assert told["kills"] == "the same after 7 kills, one after each commit"
    # The run that was never cut stays where it was made.
    (whole,) = tmp_path.glob("runs-*/whole/here/lowmem-work")
    assert_near(example, data, whole)


@pytest.mark.keras
@pytest.mark.parametrize(
    ("name", "n_commits"), [("clusters", 5), ("eigenfaces", 9), ("classifier", 7)]
)
def test_a_killed_example_makes_the_bytes_of_an_unbroken_one_and_those_are_of_ram(
    tmp_path, name, n_commits
):
    example = SMALL[name]
    data = make_data(example.data, tmp_path, is_small=True)
    line = example.line(data)
    to_the_end(line, tmp_path / "whole")
    to_the_end(deadly(example, line, tmp_path, n_commits), tmp_path / "cut")
    assert len(attempts(tmp_path / "cut" / "lowmem-work")) == 2
    whole, cut = (example.made(tmp_path / made) for made in ("whole", "cut"))
    assert results(cut) == results(whole) != {}
    assert_near(example, data, whole)

"""Programs that nobody here wrote, within `lowmem exec` and stopped by it: the short form of benchmarks/exec.py."""

from __future__ import annotations

import sys

import pytest

from benchmarks.exec import PromiseError, compare, counted_bytes, stop
from benchmarks.exec_programs import Program, programs

pytestmark = [pytest.mark.process, pytest.mark.slow]

# Those of all ten that a machine for tests has, most of the time.
NAMES = ("sort", "gcc", "node", "pip", "polars", "ImageMagick")


def program(name, folder):
    (found,) = programs(
        folder, libraries=sys.executable, torch=sys.executable, scale=0.02, only=[name]
    )
    if found.missing:
        pytest.skip(found.missing)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_program_within_its_budget_gives_what_it_gives_by_hand(tmp_path, name):
    within = compare(program(name, tmp_path), tmp_path, 1)
    ((by_hand, under),) = within.rounds
    assert (under.exit_code, under.output) == (0, by_hand.output)
    assert under.errors == by_hand.errors
    assert within.counted_bytes > 0


@pytest.mark.memory
@pytest.mark.parametrize("name", NAMES)
def test_a_program_that_wants_more_is_stopped_within_its_budget(tmp_path, name):
    greedy = program(name, tmp_path)
    beyond = stop(greedy, tmp_path, 1)
    (ran,) = beyond.under
    assert beyond.by_hand.exit_code == 0
    assert max(ran.group_peak, beyond.counted_bytes) <= greedy.greedy_ram
    assert ran.exit_code == 73
    assert "its RAM budget of" in beyond.message
    assert "Most of it had" in beyond.message


def test_what_is_not_there_is_said(tmp_path):
    python = str(tmp_path / "no-python")
    names = ["polars", "torch", "pip"]
    found = programs(tmp_path, libraries=python, torch=python, only=names)
    assert {one.name: python in one.missing for one in found} == dict.fromkeys(
        names, True
    )


def test_a_benchmark_ends_where_a_program_is_not_stopped_or_gives_another_output(
    tmp_path,
):
    modest = Program(name="modest", greedy=("true",), greedy_ram=10**9)
    with pytest.raises(PromiseError, match="modest-greedy"):
        stop(modest, tmp_path, 1)
    unlike = Program(name="unlike", line=("sh", "-c", "echo $LOWMEM_ATTEMPT"))
    with pytest.raises(PromiseError, match="unlike gives another output"):
        compare(unlike, tmp_path, 1)
    assert counted_bytes(tmp_path, "unlike") > 0
